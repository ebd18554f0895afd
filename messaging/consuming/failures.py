"""When handling fails: the child waits for a database that is away; any other failure is recorded, and the message is
rejected to its queue's dead letters."""

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

# A failing database is no failure of the message: the handler waits for it this long before it gives the message
# back. Shorter than the broker's consumer_timeout (30 min), for the messages prefetched behind it.
DATABASE_PATIENCE_SECONDS = 600.0
_BACKOFF_FIRST_SECONDS, _BACKOFF_MOST_SECONDS = 0.1, 10.0
# PostgreSQL's class of errors about a value that is too large for it: such a message fails however often it is tried.
_TOO_LARGE = "54"

T = TypeVar("T")


def patiently(queue: str, work: Callable[[], T], deadline: float | None = None) -> T:
    """What `work` returns, as soon as the database lets it; raises `Reject(requeue=True)` if it does not for long."""
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
        # Nothing stands behind this queue: a message that is dropped here is gone.
        log.exception("%s: message %s cannot be archived now, it stays in the queue", message.queue, message.event_id)
        time.sleep(_BACKOFF_MOST_SECONDS)
        raise Reject(str(problem), requeue=True) from problem
    record([(message, problem)])
    raise Reject(fault(problem), requeue=False) from problem


def record(failures: Sequence[tuple[ReceivedMessage, Exception]]) -> None:
    """Write down why: a reject itself carries no reason. Raises `Reject(requeue=True)` when that is impossible."""
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
    """What the archive finds the failure by. It gives a message without an id another one than the worker did."""
    event = message.event_id
    return copies.content_of(message) if copies.was_given(message, event) else event
