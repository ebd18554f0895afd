"""Recovers deliveries in `sending` that no process is sending: after a crash, a lost answer or a change of owner.

The bot's owner finds them with `stranded` and lets the gate check them again with `take_over`. Then it either repeats
the request with the same `random_id` or searches the chat's history. `repair` is the round for deliveries whose bot has
no owner.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Q

from bots.chats.identity import in_former_group
from bots.deliveries.claiming import Clock, judge_batch
from bots.deliveries.outcomes import put_back, record_failed, record_refused
from bots.deliveries.outgoing import Outgoing, mark_sending, outgoing
from bots.deliveries.queueing import delivery_finish
from bots.deliveries.timeline import note
from bots.gate.facts import BotOwner, GateFacts, Key, gate_rows_lock, locked_deliveries
from bots.gate.rules import judge
from bots.gate.verdicts import Allow, Refuse, Verdict, Wait
from bots.models import Bot, Delivery, DeliveryEvent
from campaigns.models import Chat
from messaging.database.clock import database_clock
from messaging.database.errors import DATABASE_ERRORS
from messaging.rounds import all_of, for_each

State = Delivery.State
# How long a request is repeated. Telegram recognises a random_id for a time that it does not publish, surely longer.
REPEAT_FOR = timedelta(minutes=10)
# A delivery fails after this many attempts without an answer if the message is not in the history.
MAX_ATTEMPTS = 12
# The time between counting a message against its budgets and sending it is far shorter than this.
COUNTED_BEFORE = timedelta(days=1)
# After this time without an owner a delivery becomes unknown, for an operator to decide.
ORPHAN_AFTER = timedelta(minutes=15)
# The most waiting deliveries without an owner that a round of `repair` checks, from a random position.
_ORPHANS_A_ROUND = 200

_KEY = ("id", "bot_id", "campaign_id", "chat_id", "via_chat_id", "origin", "origin_id")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovery:
    """How to recover a delivery.

    `repeat`: send the request again with the same random_id. Otherwise search the history for the message. `verdict` is
    the gate's verdict now; None if the gate allowed the delivery a moment ago.
    """

    out: Outgoing
    verdict: Verdict | None
    repeat: bool


def stranded(owners: Collection[UUID], *, leaving: Collection[UUID]) -> list[Key]:
    """The deliveries of these bots in `sending`, without those that this process is sending (`leaving`)."""
    rows = Delivery.objects.filter(bot_id__in=owners, state=State.SENDING).exclude(id__in=leaving)
    return [Key(*row) for row in rows.order_by("first_attempt_at").values_list(*_KEY)]


@transaction.atomic
def take_over(key: Key, owners: Mapping[UUID, BotOwner], *, clock: Clock = database_clock) -> Recovery | None:
    """Take a delivery over as this owner's attempt, so that a former owner can no longer write its outcome.

    None if there is nothing to do: the delivery is settled or locked, or the bot has another owner.
    """
    found = locked_deliveries([key], gate_rows_lock([key]), State.SENDING)
    if not found:
        return None
    delivery, owner, now = found[0], owners[key.bot_id], clock()
    facts = GateFacts(found, owners, now, None).facts(delivery)
    if not facts.owned:
        return None
    verdict, first = judge(facts), delivery.first_attempt_at or now
    repeat = isinstance(verdict, Allow) and now - first < REPEAT_FOR and delivery.attempts < MAX_ATTEMPTS
    if repeat:
        note(DeliveryEvent.Kind.REPEATED, {delivery.id: f"attempt {delivery.attempts + 1}, {_owner(delivery)}"}, at=now)
        return Recovery(mark_sending(delivery, owner, first_attempt_at=first), verdict, repeat)
    note(DeliveryEvent.Kind.LOOKED_UP, {delivery.id: _owner(delivery)}, at=now)
    Delivery.objects.filter(id=delivery.id).update(lease_epoch=owner.epoch)
    return Recovery(outgoing(delivery, owner, first), verdict, repeat)


def _owner(delivery: Delivery) -> str:
    return f"by {delivery.bot.lease_owner or 'nobody'}"


def known_ids(out: Outgoing) -> set[int]:
    """The message ids of the bot's other deliveries with the same text in the same chat, or to people.

    The search in the history must skip them, because none of them is this message. Older messages are left out, since
    the history is not searched further back than the first attempt.
    """
    sent = Delivery.objects.filter(bot_id=out.bot_id, state=State.SENT, text=out.text)
    since = out.first_attempt_at - COUNTED_BEFORE
    sent = sent.filter(Q(counted_at=None) | Q(counted_at__gte=since), sent_at__gte=since)
    sent = sent.filter(chat_id__isnull=True) if out.chat_id is None else sent.filter(chat_id=out.chat_id)
    if out.chat_id is not None:
        former = Chat.objects.filter(pk=out.chat_id, upgraded_from_id=out.destination_id).exists()
        sent = sent.filter(in_former_group()) if former else sent.exclude(in_former_group())
    return {found for found in sent.values_list("telegram_message_id", flat=True) if found is not None}


def record_not_sent(recovery: Recovery) -> None:
    """Store the outcome of a delivery whose message is not in the history."""
    out, verdict = recovery.out, recovery.verdict
    if isinstance(verdict, Refuse):
        record_refused(out, verdict.reason)
    elif isinstance(verdict, Wait):
        put_back(out, verdict.reason, until=verdict.until, answered=False)
    elif out.attempts > MAX_ATTEMPTS:
        record_failed(out, kind="transient", reason=f"Telegram did not answer in {out.attempts - 1} attempts.")
    else:
        put_back(
            out, "Telegram did not answer, and the message is not in the chat: it will be sent again.", answered=False
        )


def repair(*, clock: Clock = database_clock) -> None:
    """Settle deliveries that will get no owner, and store for waiting deliveries without an owner why they wait.

    Several processes may run it at the same time.
    """
    now = clock()
    all_of(partial(_give_up, now), partial(_judge_orphans, now, clock))


def _judge_orphans(now: datetime, clock: Clock) -> None:
    keys = _some_orphans(now, uuid4())
    try:
        refused = judge_batch(keys, {}, clock).refused
    except DATABASE_ERRORS:
        raise
    except Exception:
        log.exception("%d deliveries without an owner are judged one by one", len(keys))
        refused = sum(for_each(keys, lambda key: judge_batch([key], {}, clock).refused, what="delivery"))
    if refused:
        log.info("deliveries without an owner: %d refused", refused)


def _some_orphans(now: datetime, start: UUID) -> list[Key]:
    """Some waiting deliveries without an owner, from the id `start` on.

    Ids are random, so a random `start` gives each delivery its turn without reading all of them. Deliveries that wait
    until a later time are included: no process that drives their bot is notified when a rule changes.
    """
    orphans = Delivery.objects.filter(_unowned(now), state=State.QUEUED, due_at__lte=now).order_by("id")
    found: list[Key] = []
    for part in (Q(id__gte=start), Q(id__lt=start)):
        rows = orphans.filter(part).values_list(*_KEY)[: _ORPHANS_A_ROUND - len(found)]
        found += [Key(*row) for row in rows]
    return found


def _unowned(now: datetime) -> Q:
    return Q(bot__lease_expires_at__isnull=True) | Q(bot__lease_expires_at__lte=now)


def _give_up(now: datetime) -> None:
    lost = Delivery.objects.filter(_unowned(now), state=State.SENDING).filter(
        Q(first_attempt_at__lte=now - ORPHAN_AFTER) | Q(bot__state=Bot.State.BANNED)
    )
    reason = "The account's session ended before Telegram answered: check in the chat whether the message was sent."

    def give_up(delivery_id: UUID) -> bool:
        return delivery_finish(
            delivery_id=delivery_id,
            was=State.SENDING,
            state=State.UNKNOWN,
            reason=reason,
            error_kind="unknown",
            now=now,
        )

    given_up = sum(for_each(list(lost.values_list("id", flat=True)), give_up, what="delivery"))
    if given_up:
        log.info("deliveries without an owner: %d unknown", given_up)
