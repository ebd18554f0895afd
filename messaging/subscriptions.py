"""From a message to a handler: decode, remember, call, all in one transaction; and what happens when that fails."""

import hashlib
import logging
import random
import time
import traceback
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Reject
from django.db import InterfaceError, OperationalError, connection, transaction

from messaging import timings, topology, tracing
from messaging.events import Event, UndecodableMessage, decode, event_id
from messaging.models import HandlingFailure

log = logging.getLogger(__name__)

# A failing database is no failure of the message: the handler waits for it this long before it gives the message
# back. Shorter than the broker's consumer_timeout (30 min), for the messages prefetched behind it.
DATABASE_PATIENCE_SECONDS = 600.0
_BACKOFF_FIRST_SECONDS, _BACKOFF_MOST_SECONDS = 0.1, 10.0
DATABASE_ERRORS = (OperationalError, InterfaceError)

AnyEvent = typing.TypeVar("AnyEvent", bound=Event)
Headers = Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """What arrived, as far as a handler may care; `body` is exactly what the publisher sent."""

    queue: str
    exchange: str
    routing_key: str
    body: bytes
    headers: Headers
    message_id: str | None

    @property
    def digest(self) -> str:
        return body_digest(self.body)

    @property
    def origin(self) -> tuple[str, str]:
        """Exchange and key that make the type: a replay carries them in its headers."""
        exchange = self.headers.get(topology.ORIGINAL_EXCHANGE_HEADER)
        routing_key = self.headers.get(topology.ORIGINAL_ROUTING_KEY_HEADER)
        if isinstance(exchange, str) and isinstance(routing_key, str):
            return exchange, routing_key
        return self.exchange, self.routing_key

    @property
    def stable_message_id(self) -> str | None:
        """AMQP's message id; on a replay the id that the event had the first time."""
        replayed = self.headers.get(topology.EVENT_ID_HEADER)
        return replayed if isinstance(replayed, str) else self.message_id


@dataclass(frozen=True)
class Subscription:
    """That the events of a queue are handled by a function. `raw` handlers take a `Message` instead of an event."""

    queue: str
    task_name: str
    handler: Callable[[Any], None]
    event_type: type[Event]
    raw: bool = False


class SubscriberTask(Task):
    """What all subscriber tasks share; its requests never acknowledge a message that was not handled."""

    Request = "messaging.requests:EventRequest"
    acks_late = True
    ignore_result = True


_subscriptions: dict[str, Subscription] = {}


def subscriber(queue: str, *, name: str) -> Callable[[Callable[[AnyEvent], None]], Callable[[AnyEvent], None]]:
    """Make `def handler(event: SomeEvent) -> None` the handler of a queue, as the Celery task `name`.

    The handler runs in one transaction together with the record that this event was handled, so it runs to its end
    once for each event, however often the message comes. It does no network I/O. Whatever it raises dead-letters the
    message at once, except a failing database.
    """

    def register(handler: Callable[[AnyEvent], None]) -> Callable[[AnyEvent], None]:
        _register(Subscription(queue, name, handler, _event_type(handler)))
        return handler

    return register


def raw_subscriber(queue: str, *, name: str) -> Callable[[Callable[[Message], None]], Callable[[Message], None]]:
    """As `subscriber`, for a handler that takes messages of any shape. It must be idempotent by itself."""

    def register(handler: Callable[[Message], None]) -> Callable[[Message], None]:
        _register(Subscription(queue, name, handler, Event, raw=True))
        return handler

    return register


def handle(
    queue: str,
    exchange: str,
    routing_key: str,
    body: bytes,
    headers: Headers | None = None,
    message_id: str | None = None,
) -> None:
    """Run a queue's handler on one message, here and now; raises whatever goes wrong."""
    _handle(_subscriptions[queue], Message(queue, exchange, routing_key, body, headers or {}, message_id))


def body_digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def storable(text: str) -> str:
    """Text as PostgreSQL can hold it: no NUL, no lone surrogates."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _register(subscription: Subscription) -> None:
    if topology.SUBSCRIPTIONS.get(subscription.queue) != subscription.task_name:
        raise LookupError(f"topology.SUBSCRIPTIONS does not give {subscription.queue} to {subscription.task_name}")
    _subscriptions[subscription.queue] = subscription

    @shared_task(name=subscription.task_name, base=SubscriberTask)
    def task(
        exchange: str,
        routing_key: str,
        body: bytes | str,
        headers: dict[str, Any] | None = None,
        message_id: str | None = None,
    ) -> None:
        raw = body.encode() if isinstance(body, str) else body
        message = Message(subscription.queue, exchange, routing_key, raw, headers or {}, message_id)
        with tracing.handling(message.headers.get(topology.TRACE_HEADER)):
            _consume(subscription, message)


def _event_type(handler: Callable[..., None]) -> type[Event]:
    hints = typing.get_type_hints(handler)
    parameters = [hint for name, hint in hints.items() if name != "return"]
    if len(parameters) != 1 or not issubclass(parameters[0], Event):
        raise TypeError(f"{handler.__qualname__} must take one annotated event")
    return typing.cast(type[Event], parameters[0])


def _handle(subscription: Subscription, message: Message) -> None:
    if subscription.raw:
        with transaction.atomic():
            timings.count_on_commit(subscription.queue)
            subscription.handler(message)
        return
    exchange, routing_key = message.origin
    event = decode(exchange, routing_key, message.body, message_id=message.stable_message_id)
    if not isinstance(event, subscription.event_type):
        raise UndecodableMessage(
            f"{subscription.queue} handles {subscription.event_type.__name__}, not {type(event).__name__}"
        )
    with transaction.atomic():
        if _first_time(event, subscription.queue):
            timings.count_on_commit(subscription.queue, event.created_at)
            started = time.monotonic()
            subscription.handler(event)
            _record_seconds([event.id], subscription.queue, time.monotonic() - started)


def _first_time(event: Event, queue: str) -> bool:
    """Record the event; false if it was recorded before. A copy that is being handled elsewhere is waited for."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messaging_processedevent (event_id, subscription) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [event.id, queue],
        )
        return bool(cursor.rowcount == 1)


def _record_seconds(event_ids: Sequence[uuid.UUID], queue: str, seconds: float) -> None:
    """How long the handler took, for the events' traces; of a batch each event has the whole batch's time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_processedevent SET seconds = %s WHERE subscription = %s AND event_id = ANY(%s)",
            [seconds, queue, list(event_ids)],
        )


def _consume(subscription: Subscription, message: Message) -> None:
    """The task's body: returns when the message was handled, raises `Reject` when it was not."""
    deadline = time.monotonic() + DATABASE_PATIENCE_SECONDS
    attempt = 0
    while True:
        try:
            _handle(subscription, message)
            return
        except DATABASE_ERRORS as problem:
            attempt += 1
            _wait_for_database(subscription.queue, problem, attempt, deadline)
        except Exception as problem:
            _give_up(subscription, message, problem)


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
    """Write down why, then reject: a reject itself carries no reason."""
    identity = event_id(*message.origin, message.body, message_id=message.stable_message_id)
    if subscription.raw:
        # Nothing stands behind this queue: a message that is dropped here is gone.
        log.exception("%s: message %s cannot be archived now, it stays in the queue", message.queue, identity)
        time.sleep(_BACKOFF_MOST_SECONDS)
        raise Reject(str(problem), requeue=True) from problem
    log.error("%s: event %s is dead-lettered: %s: %s", message.queue, identity, type(problem).__name__, problem)
    try:
        HandlingFailure.objects.create(
            queue=message.queue,
            body_digest=message.digest,
            error=storable(f"{type(problem).__name__}: {problem}"),
            traceback=storable("".join(traceback.format_exception(problem))),
        )
    except DATABASE_ERRORS as failing:
        connection.close()
        raise Reject(f"database: {failing}", requeue=True) from failing
    raise Reject(f"{type(problem).__name__}: {problem}", requeue=False) from problem
