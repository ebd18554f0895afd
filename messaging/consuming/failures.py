"""Failures of handlers.

The child waits for a database that is unavailable. Any other failure is recorded, and the message is rejected to the
dead letters of its queue.
"""

import logging
import random
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from celery.exceptions import Reject
from django.db import connection

from messaging.consuming import copies
from messaging.database.errors import DATABASE_ERRORS
from messaging.instrumentation.error_names import fault
from messaging.messages import ReceivedMessage
from messaging.models import HandlingFailure
from messaging.wire import storable

log = logging.getLogger(__name__)

# Seconds to wait for an unavailable database before the message returns to its queue. Less than the broker's
# consumer_timeout (30 min), for the sake of the messages prefetched behind it.
DATABASE_PATIENCE_SECONDS = 600.0
_BACKOFF_FIRST_SECONDS, _BACKOFF_MOST_SECONDS = 0.1, 10.0
# PostgreSQL's class of errors about values that are too large: such a message fails at every attempt.
_TOO_LARGE = "54"

T = TypeVar("T")


def retry_database_errors(queue: str, work: Callable[[], T], deadline: float | None = None) -> T:
    """Call `work` and return its result, again after errors of the database until `deadline` (time.monotonic()).

    Raises `Reject(requeue=True)` if the database still fails then.
    """
    deadline = deadline or time.monotonic() + DATABASE_PATIENCE_SECONDS
    attempt = 0
    while True:
        try:
            return work()
        except DATABASE_ERRORS as problem:
            if (getattr(problem.__cause__, "sqlstate", None) or "").startswith(_TOO_LARGE):
                raise
            attempt += 1
            _wait_for_database(queue, problem, attempt, deadline)


def _wait_for_database(queue: str, problem: Exception, attempt: int, deadline: float) -> None:
    connection.close()
    delay = min(_BACKOFF_MOST_SECONDS, _BACKOFF_FIRST_SECONDS * 2 ** min(attempt - 1, 10)) * random.uniform(0.5, 1)
    if time.monotonic() + delay > deadline:
        log.error("%s: the database has been failing too long, giving the message back: %s", queue, problem)
        raise Reject(f"database: {problem}", requeue=True) from problem
    if attempt == 1:
        log.warning("%s: waiting for the database: %s", queue, str(problem).strip())
    time.sleep(delay)


def give_up(message: ReceivedMessage, problem: Exception, *, is_raw: bool) -> NoReturn:
    """Raises the `Reject` that dead-letters the message, or returns it to its queue if its subscription is raw."""
    if is_raw:
        # This queue has no dead letters: a message that is rejected here would be lost.
        log.exception("%s: message %s cannot be archived now, it stays in the queue", message.queue, message.event_id)
        time.sleep(_BACKOFF_MOST_SECONDS)
        raise Reject(str(problem), requeue=True) from problem
    record([(message, problem)])
    raise Reject(fault(problem), requeue=False) from problem


def record(failures: Sequence[tuple[ReceivedMessage, Exception]]) -> None:
    """Record the errors, because AMQP's reject has no reason. Raises `Reject(requeue=True)` if the database fails."""
    rows = [
        HandlingFailure(
            queue=message.queue,
            body_digest=message.digest,
            event_id=_known_by(message),
            error=storable(f"{type(problem).__name__}: {problem}"),
            traceback=storable("".join(traceback.format_exception(problem))),
        )
        for message, problem in failures
    ]
    for message, problem in failures:
        log.error("%s: event %s is dead-lettered: %s", message.queue, message.event_id, fault(problem))
    try:
        HandlingFailure.objects.bulk_create(rows)
    except DATABASE_ERRORS as failing:
        connection.close()
        raise Reject(f"database: {failing}", requeue=True) from failing


def _known_by(message: ReceivedMessage) -> uuid.UUID:
    """The id by which the archive finds the failure.

    For a message without an id this is its content: the archive gives the message another id than the worker.
    """
    event = message.event_id
    return copies.content_of(message) if copies.was_given(message, event) else event
