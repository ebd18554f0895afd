"""What an operator does to the bus: replay or discard dead letters, release parked events, pause queues."""

import logging
import uuid

from django.db import transaction

from messaging import outbox, topology
from messaging.models import DeadLetter, OutboxEvent, QueueControl
from messaging.subscriptions import body_digest

log = logging.getLogger(__name__)

# Written by the broker on the way to the archive; on a replay they would tell of the life before.
_BROKER_HEADERS = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")


class NotPossible(Exception):
    """The letter's state or content does not allow what was asked; the text is for the operator."""


@transaction.atomic
def dead_letter_replay(*, letter_id: int, by: str) -> DeadLetter:
    """Send a dead letter once more, through the outbox, to the queue where it died and to no other.

    What was unroutable goes to its exchange again: by now a binding may want it. The letter becomes `replayed`; it
    opens again if the message dies again. Raises `NotPossible`.
    """
    letter = _open_letter(letter_id, "replayed")
    if body_digest(letter.body.encode()) != letter.body_digest:
        raise NotPossible("the body is not UTF-8 text: it cannot be sent as it was, and it would be refused again")
    if letter.queue and letter.queue not in topology.SUBSCRIPTIONS:
        raise NotPossible(f"nobody subscribes to {letter.queue} any more")
    replay = str(uuid.uuid4())
    headers = {name: value for name, value in letter.headers.items() if not name.startswith(_BROKER_HEADERS)}
    headers |= {topology.EVENT_ID_HEADER: str(letter.event_id), topology.REPLAY_HEADER: replay}
    if letter.queue:
        headers |= {
            topology.ORIGINAL_EXCHANGE_HEADER: letter.exchange,
            topology.ORIGINAL_ROUTING_KEY_HEADER: letter.routing_key,
        }
    outbox.enqueue(
        OutboxEvent(
            event_id=letter.event_id,
            service="admin",
            exchange=topology.TASKS_EXCHANGE if letter.queue else letter.exchange,
            routing_key=letter.queue or letter.routing_key,
            body=letter.body,
            headers=headers,
        )
    )
    _decide(letter, DeadLetter.State.REPLAYED, by=by, reason="")
    log.info("dead letter %s (event %s) is replayed by %s", letter.pk, letter.event_id, by)
    return letter


@transaction.atomic
def dead_letter_discard(*, letter_id: int, reason: str, by: str) -> DeadLetter:
    """Decide that a dead letter shall not be handled. It stays readable. Raises `NotPossible`."""
    letter = _open_letter(letter_id, "discarded")
    _decide(letter, DeadLetter.State.DISCARDED, by=by, reason=reason)
    log.info("dead letter %s (event %s) is discarded by %s: %s", letter.pk, letter.event_id, by, reason)
    return letter


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


def queue_pause(*, queue: str, reason: str, by: str) -> QueueControl:
    """Stop consuming from a queue, on every worker, within a few seconds and across restarts.

    Messages that a worker has prefetched already are still handled.
    """
    return _queue_set(queue, paused=True, reason=reason, by=by)


def queue_resume(*, queue: str, by: str) -> QueueControl:
    return _queue_set(queue, paused=False, reason="", by=by)


def _queue_set(queue: str, *, paused: bool, reason: str, by: str) -> QueueControl:
    if not topology.TOPOLOGY.has_queue(queue):
        raise NotPossible(f"there is no queue {queue}")
    control, _ = QueueControl.objects.update_or_create(
        queue=queue, defaults={"paused": paused, "reason": reason[:200], "changed_by": by[:150]}
    )
    log.info("queue %s is %s by %s", queue, "paused" if paused else "resumed", by)
    return control


def _open_letter(letter_id: int, verb: str) -> DeadLetter:
    letter = DeadLetter.objects.select_for_update().get(pk=letter_id)
    if letter.state != DeadLetter.State.OPEN:
        raise NotPossible(f"the letter is {letter.state} already and cannot be {verb}")
    return letter


def _decide(letter: DeadLetter, state: DeadLetter.State, *, by: str, reason: str) -> None:
    letter.state, letter.decided_by, letter.decision_reason = state, by[:150], reason[:200]
    letter.save(update_fields=["state", "decided_by", "decision_reason"])
