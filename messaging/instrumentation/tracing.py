"""W3C Trace Context: the header `traceparent` of events, and its value in the log lines of their handling."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

_current: ContextVar[str] = ContextVar("traceparent", default="")
# Only what the standard allows: a foreign header must not write lines of its own into our logs.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
# Which the standard forbids.
_NO_VERSION = 0xFF
_LOWER_HALF = (1 << 64) - 1


def traceparent(event_id: UUID) -> str:
    """W3C Trace Context, level 1: the trace is the event, so its id finds the event in foreign tools and in ours.

    The publishing span's id is the lower half of the event's id; the standard forbids ids of zeros alone.
    """
    span = event_id.int & _LOWER_HALF
    return f"00-{event_id.int or 1:032x}-{span or 1:016x}-01"


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
