"""Recover deliveries in `sending` without an attempt under way: after a crash, a lost answer, a new owner.

The owner finds them by `stranded`, asks the gate again by `take_over`, and either repeats the request with the same
`random_id` or looks in the history. `repair` is the round for those whose bot has no owner.
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
from bots.deliveries.claiming import Clock, Outgoing, judge_batch, mark_sending, outgoing
from bots.deliveries.outcomes import put_back, record_failed, record_refused
from bots.deliveries.queueing import delivery_finish
from bots.deliveries.timeline import note
from bots.gate.facts import BotOwner, GateFacts, Key, hold_fences, locked_deliveries
from bots.gate.rules import Allow, Refuse, Verdict, Wait, judge
from bots.models import Bot, Delivery, DeliveryEvent
from campaigns.models import Chat
from messaging.database.clock import database_clock
from messaging.database.errors import DATABASE_ERRORS
from messaging.rounds import all_of, for_each

State = Delivery.State
# Telegram knows a random_id again for a while that it does not publish; this is well inside of it.
REPEAT_FOR = timedelta(minutes=10)
# A request that was repeated so often without an answer, and is not in the history, is given up.
MAX_ATTEMPTS = 12
# A message is counted before it is sent: by far less than this.
COUNTED_BEFORE = timedelta(days=1)
# After this long without an owner an operator must decide (a bot that is banned never gets one).
ORPHAN_AFTER = timedelta(minutes=15)
# So many waiting deliveries without an owner are judged in a round of `repair`, from a place that is drawn by lot.
_ORPHANS_A_ROUND = 200

_KEY = ("id", "bot_id", "campaign_id", "chat_id", "via_chat_id", "origin", "origin_id")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovery:
    """`repeat`: send it again with its random_id. Otherwise look it up; `verdict` says what the gate thinks of it
    (None: it was allowed a moment ago)."""

    out: Outgoing
    verdict: Verdict | None
    repeat: bool


def stranded(owners: Collection[UUID], *, leaving: Collection[UUID]) -> list[Key]:
    """What these bots left in `sending`; `leaving` are the attempts under way in this process."""
    rows = Delivery.objects.filter(bot_id__in=owners, state=State.SENDING).exclude(id__in=leaving)
    return [Key(*row) for row in rows.order_by("first_attempt_at").values_list(*_KEY)]


@transaction.atomic
def take_over(key: Key, owners: Mapping[UUID, BotOwner], *, clock: Clock = database_clock) -> Recovery | None:
    """Make it this owner's attempt; whoever tried before can no longer write its outcome. None: nothing to do."""
    found = locked_deliveries([key], hold_fences([key]), State.SENDING)
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
    """Ids that other deliveries of the bot have in the same place: a line may have been said before in these words.
    Only of late: the history is not searched for what is older than the first attempt."""
    said = Delivery.objects.filter(bot_id=out.bot_id, state=State.SENT, text=out.text)
    since = out.first_attempt_at - COUNTED_BEFORE
    said = said.filter(Q(counted_at=None) | Q(counted_at__gte=since), sent_at__gte=since)
    said = said.filter(chat_id__isnull=True) if out.chat_id is None else said.filter(chat_id=out.chat_id)
    if out.chat_id is not None:
        former = Chat.objects.filter(pk=out.chat_id, upgraded_from_id=out.destination_id).exists()
        said = said.filter(in_former_group()) if former else said.exclude(in_former_group())
    return {found for found in said.values_list("telegram_message_id", flat=True) if found is not None}


def record_not_said(recovery: Recovery) -> None:
    """The history does not have it."""
    out, verdict = recovery.out, recovery.verdict
    if isinstance(verdict, Refuse):
        record_refused(out, verdict.reason)
    elif isinstance(verdict, Wait):
        put_back(out, verdict.reason, until=verdict.until, answered=False)
    elif out.attempts > MAX_ATTEMPTS:
        record_failed(out, kind="transient", reason=f"Telegram did not answer in {out.attempts - 1} attempts.")
    else:
        put_back(out, "Telegram did not answer, and it was not said; it will be sent again.", answered=False)


def repair(*, clock: Clock = database_clock) -> None:
    """Settle what will have no owner, and say of what waits for one why it waits. May run beside itself."""
    now = clock()
    all_of(partial(_give_up, now), partial(_judge_orphans, now, clock))


def _judge_orphans(now: datetime, clock: Clock) -> None:
    keys = _some_orphans(now, uuid4())
    try:
        refused = judge_batch(keys, {}, clock).refused
    except DATABASE_ERRORS:
        raise
    except Exception:
        log.exception("of %d deliveries without an owner each is judged alone", len(keys))
        refused = sum(for_each(keys, lambda key: judge_batch([key], {}, clock).refused, what="delivery"))
    if refused:
        log.info("deliveries without an owner: %d refused", refused)


def _some_orphans(now: datetime, start: UUID) -> list[Key]:
    """Those that follow `start` in the order of their ids, which are random: each has its turn, and none but those are
    read. Whatever they were told to wait for: nobody carries their bot and hears that a rule has changed."""
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
    reason = "Its account was lost before Telegram answered: look in the chat whether it was said."

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
