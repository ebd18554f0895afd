"""The child process's part for one message: from the message to the handler's transaction.

The handler's changes and the record that the event was handled are committed together. A raw subscription takes
messages instead of events; the messages that it has handled are not recorded. `messaging.consuming.batch_execution`
handles several messages that waited together.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery.exceptions import Reject
from django.db import transaction

from messaging.consuming import copies, failures
from messaging.consuming.failures import retry_database_errors
from messaging.consuming.processed_events import record_first_time, record_seconds
from messaging.events import Event, UndecodableMessage, check_version, decode
from messaging.instrumentation import timings
from messaging.messages import ReceivedMessage


@dataclass(frozen=True)
class Subscription:
    """A queue and its handler. `batch` handlers take a sequence, `raw` handlers take messages instead of events."""

    queue: str
    task_name: str
    handler: Callable[[Any], None]
    event_type: type[Event]
    batch: bool = False
    raw: bool = False

    @property
    def only_type(self) -> type[Event] | None:
        """The type of all events of the queue; None if there are several, which exchanges and keys distinguish."""
        return self.event_type if self.event_type.exchange_name() else None

    @property
    def batch_task_name(self) -> str:
        """The name of the task that takes several messages at once, which handlers of single events have too."""
        return f"{self.task_name}.many"


def consume(subscription: Subscription, message: ReceivedMessage) -> None:
    """The task of one message. Returns if the message was handled, and raises `Reject` if it was not."""
    try:
        retry_database_errors(subscription.queue, lambda: handle_message(subscription, message))
    except Reject:
        raise
    except Exception as problem:
        failures.give_up(message, problem, is_raw=subscription.raw)


def handle_message(subscription: Subscription, message: ReceivedMessage) -> None:
    """Run the handler on one message in a transaction of its own. Raises all errors."""
    if subscription.raw:
        with transaction.atomic():
            timings.count_on_commit(subscription.queue)
            subscription.handler([message] if subscription.batch else message)
        return
    handle_event(subscription, event_of(subscription, message), message, record=True)


def handle_event(
    subscription: Subscription, event: Event, message: ReceivedMessage, *, record: bool = False
) -> float | None:
    """Run the handler on one event in a transaction of its own, unless the event was handled before.

    Returns the seconds that the handler took, or None if the event was handled before. With `record` the seconds are
    stored with the event's record.
    """
    with transaction.atomic():
        arrivals = copies.arrivals([(message, event.id)])
        if copies.handled_before(subscription.queue, arrivals):
            return None
        if not record_first_time(subscription.queue, event.id):
            return None
        copies.remember(subscription.queue, arrivals.values())
        timings.count_on_commit(subscription.queue, event.created_at)
        seconds = call_handler(subscription, event)
        if record:
            record_seconds(subscription.queue, {event.id: seconds})
    return seconds


def event_of(subscription: Subscription, message: ReceivedMessage) -> Event:
    """The event in the message. Raises `UndecodableMessage`, also for an event of a class that the handler rejects."""
    exchange, routing_key = message.origin
    check_version(message.headers)
    assumed = subscription.only_type if message.is_straight else None
    if message.is_straight and assumed is None:
        raise UndecodableMessage(
            f"{subscription.queue} receives several types of event: choose this event's exchange and routing key (Edit)"
        )
    event = decode(exchange, routing_key, message.body, message_id=message.stable_message_id, assumed=assumed)
    if not isinstance(event, subscription.event_type):
        raise UndecodableMessage(
            f"{subscription.queue} handles {subscription.event_type.__name__}, not {type(event).__name__}"
        )
    return event


def call_handler(subscription: Subscription, event: Event) -> float:
    """Call the handler in the caller's transaction. Returns the seconds that it took."""
    began = time.monotonic()
    subscription.handler([event] if subscription.batch else event)
    return time.monotonic() - began
