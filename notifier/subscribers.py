"""The notifier's subscriber for events."""

from messaging.broker import topology
from messaging.consuming.subscriptions import subscriber
from messaging.events import Event
from notifier.notifications.recording import event_record


@subscriber(topology.NOTIFIER_QUEUE, name="notifier.subscribers.record_event")
def record_event(event: Event) -> None:
    event_record(event=event)
