"""Operators' actions on the bus: release unpublishable events, pause queues and services.

Actions on dead letters are in `messaging.dead_letters.services`.
"""

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

# The reason of dead letters that were never in a queue.
UNPUBLISHED = "unpublished"


@transaction.atomic
def outbox_release(*, outbox_id: int, by: str) -> OutboxEvent:
    """Let the relay try an unpublishable event again. Raises NotPossible if the event is not unpublishable."""
    row = OutboxEvent.objects.select_for_update().get(pk=outbox_id)
    if row.parked_at is None:
        raise NotPossible("the event is not unpublishable")
    row.parked_at, row.parked_reason = None, ""
    row.save(update_fields=["parked_at", "parked_reason"])
    outbox.notify_relay()
    log.info("unpublishable event %s is released by %s", row.event_id, by)
    return row


@transaction.atomic
def outbox_give_up(*, outbox_id: int, by: str) -> DeadLetter:
    """Turn an unpublishable event into an open dead letter, which operators can edit and replay, or discard.

    An event that is itself a replay of a dead letter reopens that dead letter. Raises NotPossible if the event is not
    unpublishable.
    """
    row = OutboxEvent.objects.select_for_update().get(pk=outbox_id)
    if row.parked_at is None:
        raise NotPossible("the event is not unpublishable")
    replay = row.headers.get(topology.REPLAY_HEADER)
    letter = _unpublished(row) if replay is None else _back_again(row, replay, by)
    row.delete()
    log.info("unpublishable event %s becomes dead letter %s by %s", row.event_id, letter.pk, by)
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
    """Call `queue_pause` for all queues of a service (`topology.SERVICES`), in one transaction."""
    with transaction.atomic():
        return [queue_pause(queue=queue, reason=reason, by=by) for queue in sorted(queues_of(service))]


def service_resume(*, service: str, by: str) -> list[QueueControl]:
    with transaction.atomic():
        return [queue_resume(queue=queue, by=by) for queue in sorted(queues_of(service))]


def maintenance_pause() -> QueueControl | None:
    """The row that pauses the queue of background work, with user and reason; None if that queue is not paused."""
    return QueueControl.objects.filter(queue=topology.MAINTENANCE_QUEUE, paused=True).first()


def queues_of(service: str) -> list[str]:
    """The queues of a service, in the topology's order. Raises NotPossible if there are none."""
    queues = [queue for queue, owner in topology.SERVICES.items() if owner == service]
    if not queues:
        known = ", ".join(dict.fromkeys(topology.SERVICES.values()))
        raise NotPossible(f"the service {service!r} has no queues; services with queues: {known}")
    return queues


def _queue_set(queue: str, *, paused: bool, reason: str, by: str) -> QueueControl:
    if not topology.TOPOLOGY.has_queue(queue):
        raise NotPossible(f"there is no queue {queue}")
    control, _ = QueueControl.objects.update_or_create(
        queue=queue, defaults={"paused": paused, "reason": reason[:200], "changed_by": by[:150]}
    )
    log.info("queue %s is %s by %s", queue, "paused" if paused else "resumed", by)
    return control
