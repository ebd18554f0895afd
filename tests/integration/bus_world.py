"""Rows of the bus as a running system has them."""

import uuid
from datetime import timedelta
from typing import Any

from django.db.models import DurationField, ExpressionWrapper, Value
from django.db.models.functions import Now

from messaging.broker import topology
from messaging.models import DeadLetter, OutboxEvent, QueueSample


def ago(seconds: float) -> Any:
    """A time on the database's clock."""
    return Now() - ExpressionWrapper(Value(timedelta(seconds=seconds)), output_field=DurationField())


def make_samples(seconds: float = 0, **by_queue: dict[str, Any]) -> None:
    """One look at the broker, `seconds` ago; queues that are not named are empty and have one consumer."""
    idle = {"ready": 0, "unacked": 0, "consumers": 1, "published": 0, "publish_rate": 0.0, "ack_rate": 0.0}
    rows = [
        QueueSample(queue=queue.name, at=ago(seconds), **{**idle, **by_queue.get(queue.name, {})})
        for queue in topology.TOPOLOGY.queues
    ]
    QueueSample.objects.bulk_create(rows)


def make_outbox(service: str = "admin", **fields: Any) -> OutboxEvent:
    return OutboxEvent.objects.create(
        event_id=uuid.uuid4(),
        service=service,
        exchange=topology.EVENTS_EXCHANGE,
        routing_key=f"{service}.started",
        body="{}",
        **fields,
    )


def make_letter(queue: str, state: str = DeadLetter.State.OPEN) -> DeadLetter:
    event = uuid.uuid4()
    return DeadLetter.objects.create(
        event_id=event, queue=queue, body="{}", body_digest=event.hex, reason="rejected", state=state
    )
