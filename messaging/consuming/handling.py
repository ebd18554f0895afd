"""From a message to a handler: decode, remember, call, all in one transaction; and what happens when that fails."""

import logging
import random
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from celery.exceptions import Reject
from django.db import connection, transaction

from messaging.consuming import copies
from messaging.database.errors import DATABASE_ERRORS
from messaging.events import Event, UndecodableMessage, check_version, decode
from messaging.instrumentation import timings
from messaging.instrumentation.error_names import fault
from messaging.messages import Message, Subscription
from messaging.models import HandlingFailure
from messaging.wire import storable

log = logging.getLogger(__name__)

# A failing database is no failure of the message: the handler waits for it this long before it gives the message
# back. Shorter than the broker's consumer_timeout (30 min), for the messages prefetched behind it.
DATABASE_PATIENCE_SECONDS = 600.0
_BACKOFF_FIRST_SECONDS, _BACKOFF_MOST_SECONDS = 0.1, 10.0
# PostgreSQL's class of errors about a value that is too large for it: such a message fails however often it is tried.
_TOO_LARGE = "54"

_SECONDS = """
    UPDATE messaging_processedevent AS done SET seconds = took.seconds
    FROM unnest(%s::uuid[], %s::float8[]) AS took (event_id, seconds)
    WHERE done.event_id = took.event_id AND done.subscription = %s
"""

# In one order everywhere: transactions with common events wait for each other, and never in a circle.
_RECORD = """
    INSERT INTO messaging_processedevent (event_id, subscription)
    SELECT id, %s FROM unnest(%s::uuid[]) AS id ORDER BY id ON CONFLICT DO NOTHING RETURNING event_id
"""

T = TypeVar("T")


def handle_one(subscription: Subscription, message: Message) -> None:
    """Run the handler on one message in a transaction of its own; raises whatever goes wrong."""
    if subscription.raw:
        with transaction.atomic():
            timings.count_on_commit(subscription.queue)
            subscription.handler([message] if subscription.batches else message)
        return
    handle_event(subscription, event_of(subscription, message), message, record=True)


def handle_event(subscription: Subscription, event: Event, message: Message, *, record: bool = False) -> float | None:
    """The seconds that the handler took, None for an event that was handled before. `record` keeps them with it."""
    with transaction.atomic():
        arrivals = copies.arrivals([(message, event.id)])
        if copies.handled_before(subscription.queue, arrivals) or not _first_time(event, subscription.queue):
            return None
        copies.remember(subscription.queue, arrivals.values())
        timings.count_on_commit(subscription.queue, event.created_at)
        seconds = handler_seconds(subscription, event)
        if record:
            record_seconds({event.id: seconds}, subscription.queue)
    return seconds


def handler_seconds(subscription: Subscription, event: Event) -> float:
    """Call the handler, in the caller's transaction; how long that took."""
    began = time.monotonic()
    subscription.handler([event] if subscription.batches else event)
    return time.monotonic() - began


def event_of(subscription: Subscription, message: Message) -> Event:
    """Raises `UndecodableMessage`, also for an event of a kind that the handler does not take."""
    exchange, routing_key = message.origin
    check_version(message.headers)
    assumed = subscription.only_type if message.is_straight else None
    if message.is_straight and assumed is None:
        raise UndecodableMessage(
            f"{subscription.queue} takes events of several types: choose this one's exchange and routing key (Edit)"
        )
    event = decode(exchange, routing_key, message.body, message_id=message.stable_message_id, assumed=assumed)
    if not isinstance(event, subscription.event_type):
        raise UndecodableMessage(
            f"{subscription.queue} handles {subscription.event_type.__name__}, not {type(event).__name__}"
        )
    return event


def consume(subscription: Subscription, message: Message) -> None:
    """The task's body: returns when the message was handled, raises `Reject` when it was not."""
    try:
        patiently(subscription.queue, lambda: handle_one(subscription, message))
    except Reject:
        raise
    except Exception as problem:
        _give_up(subscription, message, problem)


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


def remember_failures(failures: Sequence[tuple[Message, Exception]]) -> None:
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
        event = message.event_id
        log.error("%s: event %s is dead-lettered: %s", message.queue, event, fault(problem))
    try:
        HandlingFailure.objects.bulk_create(rows)
    except DATABASE_ERRORS as failing:
        connection.close()
        raise Reject(f"database: {failing}", requeue=True) from failing


def _known_by(message: Message) -> uuid.UUID:
    """What the archive finds the failure by. It gives a message without an id another one than the worker did."""
    event = message.event_id
    return copies.content_of(message) if copies.was_given(message, event) else event


def record_seconds(handled: Mapping[uuid.UUID, float], queue: str) -> None:
    """How long each event's handler took, for its trace; of a batch each event has the whole batch's time."""
    if handled:
        with connection.cursor() as cursor:
            cursor.execute(_SECONDS, [list(handled), list(handled.values()), queue])


def record_all(queue: str, ids: Iterable[uuid.UUID]) -> list[uuid.UUID]:
    """Record that a queue has handled these; those that were not recorded before."""
    if not (wanted := list(ids)):
        return []
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [queue, wanted])
        return [event_id for (event_id,) in cursor.fetchall()]


def _first_time(event: Event, queue: str) -> bool:
    """Record the event; false if it was recorded before. A copy that is being handled elsewhere is waited for."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messaging_processedevent (event_id, subscription) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [event.id, queue],
        )
        return bool(cursor.rowcount == 1)


def _wait_for_database(queue: str, problem: Exception, attempt: int, deadline: float) -> None:
    connection.close()
    delay = min(_BACKOFF_MOST_SECONDS, _BACKOFF_FIRST_SECONDS * 2 ** min(attempt - 1, 10)) * random.uniform(0.5, 1)
    if time.monotonic() + delay > deadline:
        log.error("%s: the database has been failing too long, giving the message back: %s", queue, problem)
        raise Reject(f"database: {problem}", requeue=True) from problem
    if attempt == 1:
        log.warning("%s: waiting for the database: %s", queue, str(problem).strip())
    time.sleep(delay)


def _give_up(subscription: Subscription, message: Message, problem: Exception) -> None:
    if subscription.raw:
        # Nothing stands behind this queue: a message that is dropped here is gone.
        log.exception("%s: message %s cannot be archived now, it stays in the queue", message.queue, message.event_id)
        time.sleep(_BACKOFF_MOST_SECONDS)
        raise Reject(str(problem), requeue=True) from problem
    remember_failures([(message, problem)])
    raise Reject(fault(problem), requeue=False) from problem
