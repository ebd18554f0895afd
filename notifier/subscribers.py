"""Doors for events."""

from messaging import topology
from messaging.events import Event
from messaging.subscriptions import subscriber
from notifier.recording import event_record


@subscriber(topology.NOTIFIER_QUEUE, name="notifier.subscribers.record_event")
def record_event(event: Event) -> None:
    event_record(event=event)
