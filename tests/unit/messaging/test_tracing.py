"""Log lines name the trace of the event that is being handled."""

import logging

import pytest

from messaging.instrumentation.tracing import TraceFilter, handling

OURS = f"00-{'ab' * 16}-{'cd' * 8}-01"


def _trace_of_a_line() -> str:
    record = logging.LogRecord("x", logging.INFO, "", 0, "said", (), None)
    TraceFilter().filter(record)
    return str(record.trace)  # type: ignore[attr-defined]


def test_a_line_names_the_trace_while_the_event_is_handled():
    with handling(OURS):
        assert _trace_of_a_line() == f" traceparent={OURS}"
    assert _trace_of_a_line() == ""


@pytest.mark.parametrize("header", [None, "", 5, b"00", f"{OURS}\nforged line", OURS.upper(), "00-ab-cd-01"])
def test_what_is_no_traceparent_is_not_logged(header: object):
    with handling(header):
        assert _trace_of_a_line() == ""
