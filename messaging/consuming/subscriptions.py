"""Handlers of queues: registered here, run as Celery tasks."""

import typing
from collections.abc import Callable, Sequence
from typing import Any

from celery import Task, shared_task

from messaging.broker import topology
from messaging.consuming.execution import consume_many
from messaging.consuming.handling import consume, handle_one
from messaging.events import Event, decode
from messaging.instrumentation import telemetry, tracing
from messaging.messages import Headers, Message, Parcel, Subscription, body_digest

__all__ = [
    "Message",
    "SubscriberTask",
    "Subscription",
    "batch_subscriber",
    "body_digest",
    "decode",
    "handle",
    "handle_batch",
    "raw_batch_subscriber",
    "raw_subscriber",
    "subscriber",
    "subscription_of",
]

AnyEvent = typing.TypeVar("AnyEvent", bound=Event)


class SubscriberTask(Task):
    """What all subscriber tasks share; its requests never acknowledge a message that was not handled."""

    Request = "messaging.consuming.celery_requests:EventRequest"
    acks_late = True
    ignore_result = True
    # A lost connection to the database is replaced when it shows: no need to try it before each event.
    checks_connection = False


_subscriptions: dict[str, Subscription] = {}


def subscriber(queue: str, *, name: str) -> Callable[[Callable[[AnyEvent], None]], Callable[[AnyEvent], None]]:
    """Make `def handler(event: SomeEvent) -> None` the handler of a queue, as the Celery task `name`.

    The handler runs in one transaction together with the record that this event was handled, so it runs to its end
    once for each event, however often the message comes. It does no network I/O. Whatever it raises dead-letters the
    message at once, except a failing database.
    """

    def register(handler: Callable[[AnyEvent], None]) -> Callable[[AnyEvent], None]:
        _register(Subscription(queue, name, handler, _event_type(handler)), batches=False)
        return handler

    return register


def batch_subscriber(
    queue: str, *, name: str
) -> Callable[[Callable[[Sequence[AnyEvent]], None]], Callable[[Sequence[AnyEvent]], None]]:
    """As `subscriber`, for `def handler(events: Sequence[SomeEvent]) -> None` of a queue in `topology.BATCHES`.

    The handler gets events that wait anyway, up to the queue's size of a batch, each once, in any order. When it
    raises, nothing of the batch has happened, and it is called again with each event alone: what it raises then is
    about that event. Events that came back from a worker's death are always alone.
    """

    def register(handler: Callable[[Sequence[AnyEvent]], None]) -> Callable[[Sequence[AnyEvent]], None]:
        _register(Subscription(queue, name, handler, _event_type(handler)), batches=True)
        return handler

    return register


def raw_subscriber(queue: str, *, name: str) -> Callable[[Callable[[Message], None]], Callable[[Message], None]]:
    """As `subscriber`, for a handler that takes messages of any shape. It must be idempotent by itself."""

    def register(handler: Callable[[Message], None]) -> Callable[[Message], None]:
        _register(Subscription(queue, name, handler, Event, raw=True), batches=False)
        return handler

    return register


def raw_batch_subscriber(
    queue: str, *, name: str
) -> Callable[[Callable[[Sequence[Message]], None]], Callable[[Sequence[Message]], None]]:
    """As `raw_subscriber` and `batch_subscriber`."""

    def register(handler: Callable[[Sequence[Message]], None]) -> Callable[[Sequence[Message]], None]:
        _register(Subscription(queue, name, handler, Event, raw=True), batches=True)
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
    handle_one(_subscriptions[queue], Message(queue, exchange, routing_key, body, headers or {}, message_id))


def handle_batch(queue: str, parcels: Sequence[Parcel]) -> set[int]:
    """Run a queue's handler on what waits, as a worker's child does; the positions of those that failed."""
    return consume_many(_subscriptions[queue], [Message(queue, *parcel) for parcel in parcels])


def subscription_of(queue: str) -> Subscription:
    """Raises KeyError for a queue that nobody subscribes to."""
    return _subscriptions[queue]


def _register(subscription: Subscription, *, batches: bool) -> None:
    if topology.SUBSCRIPTIONS.get(subscription.queue) != subscription.task_name:
        raise LookupError(f"topology.SUBSCRIPTIONS does not give {subscription.queue} to {subscription.task_name}")
    if subscription.batches != batches:
        raise LookupError(f"topology.BATCHES and the decorator of {subscription.task_name} do not agree")
    _subscriptions[subscription.queue] = subscription

    @shared_task(name=subscription.task_name, base=SubscriberTask)
    def task(
        exchange: str,
        routing_key: str,
        body: bytes | str,
        headers: dict[str, Any] | None = None,
        message_id: str | None = None,
        given_id: str | None = None,
        deliveries: int = 0,
    ) -> None:
        raw = body.encode() if isinstance(body, str) else body
        message = Message(
            subscription.queue, exchange, routing_key, raw, headers or {}, message_id, given_id, deliveries
        )
        with tracing.handling(message.headers.get(topology.TRACE_HEADER)), telemetry.processing(message):
            consume(subscription, message)

    _register_task_of_many(subscription)


def _register_task_of_many(subscription: Subscription) -> None:
    @shared_task(name=subscription.task_name_of_many, base=SubscriberTask)
    def task_of_many(parcels: Sequence[Parcel]) -> str:
        """The failed positions as bits of a hexadecimal number: Celery cuts longer results short."""
        failed = handle_batch(subscription.queue, parcels)
        return f"{sum(1 << position for position in failed):x}"


def _event_type(handler: Callable[..., None]) -> type[Event]:
    hints = typing.get_type_hints(handler)
    parameters = [hint for name, hint in hints.items() if name != "return"]
    if len(parameters) != 1:
        raise TypeError(f"{handler.__qualname__} must take one annotated event")
    # The events of a batch are a Sequence[…].
    event_type = next(iter(typing.get_args(parameters[0])), parameters[0])
    if not issubclass(event_type, Event):
        raise TypeError(f"{handler.__qualname__} must take one annotated event")
    return typing.cast(type[Event], event_type)
