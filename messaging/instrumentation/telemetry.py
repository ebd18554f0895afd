"""Reports what happens to events to an OpenTelemetry collector, if `OTEL_EXPORTER_OTLP_ENDPOINT` is set.

If it is not set, OpenTelemetry is not imported. If it is, no caller waits for the collector: a thread of each process
sends the spans, and drops those that it cannot send in time. Telemetry errors never reach the caller.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from celery.signals import celeryd_after_setup, worker_process_shutdown, worker_shutdown
from django.conf import settings

from messaging.instrumentation.process_name import name_process
from messaging.messages import OutboxRow, ReceivedMessage

log = logging.getLogger(__name__)


def is_on() -> bool:
    return bool(settings.OTEL_EXPORTER_OTLP_ENDPOINT)


@contextmanager
def processing(message: ReceivedMessage) -> Iterator[None]:
    """Report that a subscription handles one message in this block.

    An exception is recorded in the span and re-raised.
    """
    if not is_on():
        yield
        return
    began, problem = time.time_ns(), None
    try:
        yield
    except BaseException as raised:
        problem = raised
        raise
    finally:
        _report(lambda spans: spans.processed(message, began, *_outcome(problem)))


def processed(message: ReceivedMessage, began: int) -> None:
    """Report that a subscription has handled one message and committed; `began` is from `time.time_ns()`."""
    if is_on():
        _report(lambda spans: spans.processed(message, began))


def processed_together(queue: str, messages: Sequence[ReceivedMessage], began: int) -> None:
    """Report that a batch was handled in one transaction; `began` is from `time.time_ns()`."""
    if is_on() and messages:
        _report(lambda spans: spans.processed_together(queue, messages, began))


def refused(message: ReceivedMessage, problem: Exception) -> None:
    """Report that a message of a batch is not a valid event and was not passed to the handler."""
    if is_on():
        _report(lambda spans: spans.processed(message, time.time_ns(), type(problem).__name__, "dead-lettered"))


def published(row: OutboxRow, committed_at: datetime) -> None:
    """Report that the broker has confirmed the row."""
    if is_on():
        _report(lambda spans: spans.published(row, committed_at))


def unpublishable(row: OutboxRow, committed_at: datetime) -> None:
    """Report that the row cannot be published."""
    if is_on():
        _report(lambda spans: spans.published(row, committed_at, error="parked"))


def flush_before_exit(**_: object) -> None:
    """Send the waiting spans before the process ends, for a few seconds at most."""
    if "messaging.instrumentation.spans" in sys.modules:
        _report(lambda spans: spans.flush_before_exit())


def _report(report: Callable[[Any], None]) -> None:
    try:
        from messaging.instrumentation import spans

        report(spans)
    except Exception as problem:
        log.warning("a span is lost: %r", problem)


def _outcome(problem: BaseException | None) -> tuple[str, str]:
    """The error's class, and what became of the message. Never the error's text, which may contain message texts."""
    if problem is None:
        return "", ""
    # Celery's stubs lack `requeue`. An exception that is not an Exception concerns the process, not the message.
    is_requeued = getattr(problem, "requeue", not isinstance(problem, Exception))
    cause = problem.__cause__ or problem
    return type(cause).__name__, "given back" if is_requeued else "dead-lettered"


@celeryd_after_setup.connect
def _name_worker(sender: str, **_: object) -> None:
    name_process(sender.partition("@")[0])


worker_process_shutdown.connect(flush_before_exit)
worker_shutdown.connect(flush_before_exit)
