"""The W3C trace of the event that is being handled, in every line that is logged meanwhile."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("traceparent", default="")
# Only what the standard allows: a foreign header must not write lines of its own into our logs.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
# Which the standard forbids.
_NO_VERSION = 0xFF


def parsed(traceparent: object) -> tuple[int, int, bool] | None:
    """(trace id, parent's span id, whether it is sampled) of a header that is valid by the standard."""
    if not isinstance(traceparent, str) or not _TRACEPARENT.fullmatch(traceparent):
        return None
    version, trace_id, span_id, flags = (int(part, 16) for part in traceparent.split("-"))
    return (trace_id, span_id, bool(flags & 1)) if version != _NO_VERSION and trace_id and span_id else None


@contextmanager
def handling(traceparent: object) -> Iterator[None]:
    """Inside, log lines carry this header's value, if it is one."""
    known = isinstance(traceparent, str) and _TRACEPARENT.fullmatch(traceparent)
    token = _current.set(str(traceparent) if known else "")
    try:
        yield
    finally:
        _current.reset(token)


class TraceFilter(logging.Filter):
    """Gives each record `trace`: " traceparent=…" while an event is handled, else nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        current = _current.get()
        record.trace = f" traceparent={current}" if current else ""
        return True
