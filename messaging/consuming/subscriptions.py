"""Registers the handlers of queues and runs them as Celery tasks."""

import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal

from celery import Task, shared_task

from messaging.broker import topology
from messaging.consuming.batch_execution import consume_batch
from messaging.consuming.execution import Subscription, consume, handle_message
from messaging.events import Event
from messaging.instrumentation import telemetry, tracing
from messaging.messages import Headers, MessageArgs, ReceivedMessage

AnyEvent = typing.TypeVar("AnyEvent", bound=Event)
AnyHandler = typing.TypeVar("AnyHandler", bound=Callable[..., None])
Handler = Callable[[AnyEvent], None]
BatchHandler = Callable[[Sequence[AnyEvent]], None]
RawHandler = Callable[[ReceivedMessage], None]
RawBatchHandler = Callable[[Sequence[ReceivedMessage]], None]


class SubscriberTask(Task):
    """The base of all subscriber tasks. Its requests never acknowledge a message that was not handled."""

    Request = "messaging.consuming.celery_pool:EventRequest"
    acks_late = True
    ignore_result = True
    # A lost database connection is replaced when an error shows it, so it is not checked before each event.
    checks_connection = False


_subscriptions: dict[str, Subscription] = {}


@typing.overload
def subscriber(
    queue: str, *, name: str, batch: Literal[False] = False, raw: Literal[False] = False
) -> Callable[[Handler[AnyEvent]], Handler[AnyEvent]]: ...


@typing.overload
def subscriber(
    queue: str, *, name: str, batch: Literal[True], raw: Literal[False] = False
) -> Callable[[BatchHandler[AnyEvent]], BatchHandler[AnyEvent]]: ...


@typing.overload
def subscriber(
    queue: str, *, name: str, batch: Literal[False] = False, raw: Literal[True]
) -> Callable[[RawHandler], RawHandler]: ...


@typing.overload
def subscriber(
    queue: str, *, name: str, batch: Literal[True], raw: Literal[True]
) -> Callable[[RawBatchHandler], RawBatchHandler]: ...


def subscriber(queue: str, *, name: str, batch: bool = False, raw: bool = False) -> Callable[[AnyHandler], AnyHandler]:
    """Make `def handler(event: SomeEvent) -> None` the handler of a queue, as the Celery task `name`.

    The handler runs in one transaction together with the record that the event was handled, so its changes are
    committed once per event, however often the message is delivered. It must do no network I/O. If it raises an error,
    the message becomes a dead letter at once, except after errors of the database.

    `batch`: the handler is `def handler(events: Sequence[SomeEvent]) -> None`, for a queue in `topology.BATCHES`. It
    gets the events that wait, up to the queue's size of a batch, each once, in any order. When it raises, the whole
    batch is rolled back, and it is called again with each event alone: what it raises then is about that event. Events
    that came back from a worker's death are always alone.

    `raw`: the handler takes a `ReceivedMessage` of any shape instead of an event. It must be idempotent by itself, and
    a message that it fails on stays in its queue.
    """

    def register(handler: AnyHandler) -> AnyHandler:
        event_type = Event if raw else _event_type(handler)
        _register(Subscription(queue, name, handler, event_type, batch=batch, raw=raw))
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
    """Run a queue's handler on one message in this process. Raises all errors."""
    handle_message(
        _subscriptions[queue], ReceivedMessage(queue, exchange, routing_key, body, headers or {}, message_id)
    )


def handle_batch(queue: str, batch: Sequence[MessageArgs]) -> set[int]:
    """Run a queue's handler on a batch, as a worker's child does. Returns the positions of the messages that failed."""
    return consume_batch(_subscriptions[queue], [ReceivedMessage(queue, *args) for args in batch])


def is_subscribed(queue: str) -> bool:
    return queue in _subscriptions


def subscription_of(queue: str) -> Subscription:
    """The subscription of a queue. Raises KeyError if it has none."""
    return _subscriptions[queue]


def _register(subscription: Subscription) -> None:
    if topology.SUBSCRIPTIONS.get(subscription.queue) != subscription.task_name:
        raise LookupError(f"topology.SUBSCRIPTIONS does not give {subscription.queue} to {subscription.task_name}")
    if subscription.batch != (subscription.queue in topology.BATCHES):
        raise LookupError(f"topology.BATCHES and the decorator of {subscription.task_name} do not agree")
    _subscriptions[subscription.queue] = subscription
    _register_task(subscription)
    _register_batch_task(subscription)


def _register_task(subscription: Subscription) -> None:
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
        """The arguments are `MessageArgs`."""
        raw = body.encode() if isinstance(body, str) else body
        message = ReceivedMessage(
            subscription.queue, exchange, routing_key, raw, headers or {}, message_id, given_id, deliveries
        )
        with tracing.handling(message.headers.get(topology.TRACE_HEADER)), telemetry.processing(message):
            consume(subscription, message)


def _register_batch_task(subscription: Subscription) -> None:
    @shared_task(name=subscription.batch_task_name, base=SubscriberTask)
    def batch_task(batch: Sequence[MessageArgs]) -> str:
        """Returns the failed positions as bits of a hexadecimal number, because Celery truncates longer results."""
        failed = handle_batch(subscription.queue, batch)
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
