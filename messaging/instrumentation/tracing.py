"""W3C Trace Context: the header `traceparent` of events, and its value in log lines while events are handled."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

_current: ContextVar[str] = ContextVar("traceparent", default="")
# Only what the standard allows, because a header of another program must not add lines to our logs.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
# The version that the standard forbids.
_NO_VERSION = 0xFF
_LOWER_HALF = (1 << 64) - 1


def traceparent(event_id: UUID) -> str:
    """The event's header (W3C Trace Context, level 1).

    The trace id is the event's id, so it finds the event in any tool. The span id of the publisher is the lower half of
    the event's id. The standard forbids ids that are 0.
    """
    span = event_id.int & _LOWER_HALF
    return f"00-{event_id.int or 1:032x}-{span or 1:016x}-01"


def parsed(traceparent: object) -> tuple[int, int, bool] | None:
    """(trace id, parent's span id, whether it is sampled) of a valid header; None otherwise."""
    if not isinstance(traceparent, str) or not _TRACEPARENT.fullmatch(traceparent):
        return None
    version, trace_id, span_id, flags = (int(part, 16) for part in traceparent.split("-"))
    return (trace_id, span_id, bool(flags & 1)) if version != _NO_VERSION and trace_id and span_id else None


@contextmanager
def handling(traceparent: object) -> Iterator[None]:
    """Add the header's value to log lines in this block, if it is valid."""
    known = isinstance(traceparent, str) and _TRACEPARENT.fullmatch(traceparent)
    token = _current.set(str(traceparent) if known else "")
    try:
        yield
    finally:
        _current.reset(token)


class TraceFilter(logging.Filter):
    """Sets `trace` of each record: " traceparent=…" while an event is handled, otherwise ""."""

    def filter(self, record: logging.LogRecord) -> bool:
        current = _current.get()
        record.trace = f" traceparent={current}" if current else ""
        return True
