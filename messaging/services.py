"""What an operator does to the bus: release parked events, pause queues and services. Letters: `dead_letters`."""

import logging

from django.db import transaction

from messaging.broker import topology
from messaging.dead_letters import services
from messaging.dead_letters.archive import event_type
from messaging.event_objects import campaign_of
from messaging.messages import body_digest
from messaging.models import DeadLetter, DeadLetterEntry, OutboxEvent, QueueControl
from messaging.publishing import outbox
from panelkit.errors import NotPossible

log = logging.getLogger(__name__)

# The reason of letters that no queue ever had.
UNPUBLISHED = "unpublished"


@transaction.atomic
def outbox_release(*, outbox_id: int, by: str) -> OutboxEvent:
    """Let the relay try a parked event again."""
    row = OutboxEvent.objects.select_for_update().get(pk=outbox_id)
    if row.parked_at is None:
        raise NotPossible("the event is not parked")
    row.parked_at, row.parked_reason = None, ""
    row.save(update_fields=["parked_at", "parked_reason"])
    outbox.notify_relay()
    log.info("parked event %s is released by %s", row.event_id, by)
    return row


@transaction.atomic
def outbox_give_up(*, outbox_id: int, by: str) -> DeadLetter:
    """Make an open dead letter of a parked event: there it can be edited and replayed, or discarded with a reason. What
    was parked on its way back to a queue becomes its own letter again."""
    row = OutboxEvent.objects.select_for_update().get(pk=outbox_id)
    if row.parked_at is None:
        raise NotPossible("the event is not parked")
    replay = row.headers.get(topology.REPLAY_HEADER)
    letter = _unpublished(row) if replay is None else _back_again(row, replay, by)
    row.delete()
    log.info("parked event %s is made dead letter %s by %s", row.event_id, letter.pk, by)
    return letter


def _back_again(row: OutboxEvent, replay: str, by: str) -> DeadLetter:
    entry = DeadLetterEntry.objects.get(
        replay=replay, letter__event_id=row.event_id, what=DeadLetterEntry.What.REPLAYED
    )
    return services.dead_letter_reopen(letter_id=entry.letter_id, by=by)


def _unpublished(row: OutboxEvent) -> DeadLetter:
    letter, _ = DeadLetter.objects.get_or_create(
        queue="",
        event_id=row.event_id,
        body_digest=body_digest(row.body.encode()),
        defaults={
            "exchange": row.exchange,
            "routing_key": row.routing_key,
            "event_type": event_type(row.exchange, row.routing_key),
            "campaign_id": campaign_of(row.body),
            "body": row.body,
            "headers": row.headers,
            "reason": UNPUBLISHED,
            "error": row.parked_reason,
        },
    )
    return letter


def queue_pause(*, queue: str, reason: str, by: str) -> QueueControl:
    """Stop consuming from a queue, on every worker, within a few seconds and across restarts.

    Messages that a worker has prefetched already are still handled.
    """
    return _queue_set(queue, paused=True, reason=reason, by=by)


def queue_resume(*, queue: str, by: str) -> QueueControl:
    return _queue_set(queue, paused=False, reason="", by=by)


def service_pause(*, service: str, reason: str, by: str) -> list[QueueControl]:
    """As `queue_pause`, for every queue that is the work of a service (`topology.SERVICES`), or for none of them."""
    with transaction.atomic():
        return [queue_pause(queue=queue, reason=reason, by=by) for queue in sorted(queues_of(service))]


def service_resume(*, service: str, by: str) -> list[QueueControl]:
    with transaction.atomic():
        return [queue_resume(queue=queue, by=by) for queue in sorted(queues_of(service))]


def maintenance_pause() -> QueueControl | None:
    """Who paused the queue of what is done in the background, and why; None when it is not paused."""
    return QueueControl.objects.filter(queue=topology.MAINTENANCE_QUEUE, paused=True).first()


def queues_of(service: str) -> list[str]:
    """The queues that are a service's work, in the topology's order."""
    queues = [queue for queue, owner in topology.SERVICES.items() if owner == service]
    if not queues:
        known = ", ".join(dict.fromkeys(topology.SERVICES.values()))
        raise NotPossible(f"no queue is the work of a service {service!r}; those that have queues: {known}")
    return queues


def _queue_set(queue: str, *, paused: bool, reason: str, by: str) -> QueueControl:
    if not topology.TOPOLOGY.has_queue(queue):
        raise NotPossible(f"there is no queue {queue}")
    control, _ = QueueControl.objects.update_or_create(
        queue=queue, defaults={"paused": paused, "reason": reason[:200], "changed_by": by[:150]}
    )
    log.info("queue %s is %s by %s", queue, "paused" if paused else "resumed", by)
    return control
