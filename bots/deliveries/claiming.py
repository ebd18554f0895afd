"""Claims due deliveries, in one short transaction per batch, in which the gate checks each of them."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection, transaction

from bots.accounts.incidents import incident_report
from bots.deliveries.outgoing import Outgoing, mark_sending
from bots.deliveries.queueing import delivery_finish
from bots.deliveries.timeline import note
from bots.gate.budgets import BudgetBook
from bots.gate.facts import BotOwner, GateFacts, Key, gate_rows_lock, locked_deliveries
from bots.gate.rules import judge
from bots.gate.verdicts import Allow, Refuse, Wait
from bots.models import Delivery, DeliveryEvent
from campaigns.models import Chat
from campaigns.wording import chat_phrase
from messaging.database.clock import database_clock
from messaging.database.errors import DATABASE_ERRORS
from messaging.database.locks import rows_lock

State = Delivery.State
Clock = Callable[[], datetime]

log = logging.getLogger(__name__)

# The most deliveries of a bot that the gate checks in a batch. At most one of them is claimed.
PER_BOT = 8
# How long a delivery waits after an unexpected error before the gate checks it again.
SET_ASIDE = timedelta(seconds=30)


@dataclass
class ClaimRound:
    """The result of a round of claims.

    `waiting` are the deliveries that the gate lets wait, by bot. `joining` are bots that are not members of a chat that
    they have to write in.
    """

    outgoing: list[Outgoing] = field(default_factory=list)
    waiting: dict[UUID, list[UUID]] = field(default_factory=dict)
    joining: set[UUID] = field(default_factory=set)
    refused: int = 0

    @property
    def judged(self) -> int:
        return len(self.outgoing) + self.refused + sum(map(len, self.waiting.values()))

    def add(self, other: "ClaimRound") -> None:
        self.outgoing += other.outgoing
        for bot_id, delivery_ids in other.waiting.items():
            self.waiting.setdefault(bot_id, []).extend(delivery_ids)
        self.joining |= other.joining
        self.refused += other.refused


def claim(
    owners: Mapping[UUID, BotOwner],
    *,
    skip: Collection[UUID] = (),
    first_only: Collection[UUID] = (),
    clock: Clock = database_clock,
) -> ClaimRound:
    """Let the gate check the due deliveries of these bots and claim at most one per bot: a bot sends one at a time.

    When this returns, a claimed delivery is `sending`, is counted against its budgets and has the owner's epoch. The
    deliveries in `skip` are left out. For a bot in `first_only` only the first delivery in its queue is checked. Pass
    the bots whose first delivery is probably allowed: to check more would be useless and would lock more rows.

    If a delivery cannot be checked or refused because of an error, it waits with that reason and is reported; the other
    deliveries are claimed all the same.
    """
    return _judge_all(due_keys(owners, skip=skip, first_only=first_only, now=clock()), owners, clock)


def _judge_all(keys: Sequence[Key], owners: Mapping[UUID, BotOwner], clock: Clock) -> ClaimRound:
    try:
        return judge_batch(keys, owners, clock)
    except DATABASE_ERRORS:
        raise
    except Exception:
        log.exception("%d due deliveries are judged one by one", len(keys))
        return _judge_each(keys, owners, clock)


def _judge_each(keys: Sequence[Key], owners: Mapping[UUID, BotOwner], clock: Clock) -> ClaimRound:
    whole = ClaimRound()
    for key in keys:
        try:
            whole.add(judge_batch([key], owners, clock))
        except DATABASE_ERRORS:
            raise
        except Exception as problem:
            whole.add(_set_aside(key.id, key.bot_id, "check", problem, clock))
    return whole


def _set_aside(delivery_id: UUID, bot_id: UUID, what: str, error: Exception, clock: Clock) -> ClaimRound:
    """Let a delivery wait after an error, so that it does not block those behind it, and report it once."""
    name = type(error).__name__
    log.error("cannot %s delivery %s of bot %s: %s", what, delivery_id, bot_id, name)
    with suppress(DatabaseError, InterfaceError), transaction.atomic():
        queued = Delivery.objects.filter(id=delivery_id, state=State.QUEUED)
        reason = f"CoolThing could not {what} this message ({name}) and will try again."
        queued.update(waiting_reason=reason, waiting_until=clock() + SET_ASIDE)
        chat = Chat.objects.filter(deliveries=delivery_id).first()
        recipient = "a person" if chat is None else chat_phrase(chat)
        report = (
            f"CoolThing cannot {what} a message of account {bot_id} to {recipient} ({name}): find it "
            "among the account's queued deliveries, and cancel it or report this to the developers"
        )
        incident_report(key=f"delivery:{delivery_id}", reason=report)
    # Return it as waiting too, because the database may have failed above.
    return ClaimRound(waiting={bot_id: [delivery_id]})


def judge_batch(keys: Sequence[Key], owners: Mapping[UUID, BotOwner], clock: Clock = database_clock) -> ClaimRound:
    """Like `claim`, for the given deliveries. Deliveries of bots not in `owners` are checked, never claimed."""
    batch, refused = ClaimRound(), list[tuple[Delivery, Refuse]]()
    if not keys:
        return batch
    with transaction.atomic():
        deliveries = locked_deliveries(keys, gate_rows_lock(keys), State.QUEUED)
        if deliveries:
            # This takes the last locks. Read the clock only after all of them.
            book = BudgetBook(deliveries)
            refused = _judge(deliveries, book, owners, clock(), batch)
    # Refuse in transactions of their own: settling may change rows of which this claim and others have shared locks.
    for delivery, refusal in refused:
        batch.add(_refuse(delivery, refusal, clock))
    return batch


def _refuse(delivery: Delivery, refusal: Refuse, clock: Clock) -> ClaimRound:
    """Refuse a delivery. After an error it waits and the gate refuses it again later.

    Raises nothing, since the deliveries that were claimed in the same batch must be sent.
    """
    try:
        done = delivery_finish(
            delivery_id=delivery.id, was=State.QUEUED, state=State.REFUSED, reason=refusal.reason, now=clock()
        )
    except Exception as problem:
        log.exception("delivery %s could not be refused", delivery.id)
        return _set_aside(delivery.id, delivery.bot_id, "refuse", problem, clock)
    return ClaimRound(refused=int(done))


def judge_unowned(bot_ids: Collection[UUID], *, clock: Clock = database_clock) -> ClaimRound:
    """Store for the due deliveries of these bots why they wait. Claims nothing."""
    return _judge_all(due_keys(bot_ids, skip=(), now=clock()), {}, clock)


def _judge(
    deliveries: Sequence[Delivery], book: BudgetBook, owners: Mapping[UUID, BotOwner], now: datetime, batch: ClaimRound
) -> list[tuple[Delivery, Refuse]]:
    policy = GateFacts(deliveries, owners, now, book)
    sending = Delivery.objects.filter(state=State.SENDING, bot_id__in={delivery.bot_id for delivery in deliveries})
    busy = set(sending.values_list("bot_id", flat=True))
    refused = []
    for delivery in deliveries:
        if delivery.bot_id in busy:
            continue
        facts = policy.facts(delivery)
        verdict = judge(facts)
        if isinstance(verdict, Allow):
            busy.add(delivery.bot_id)
            book.count(delivery)
            opens = book.opens_contact(delivery)
            batch.outgoing.append(_mark_claimed(delivery, owners[delivery.bot_id], now, opens_contact=opens))
        elif isinstance(verdict, Wait):
            batch.waiting.setdefault(delivery.bot_id, []).append(delivery.id)
            record_wait(delivery, verdict, now)
            if facts.chat is not None and not facts.member:
                batch.joining.add(delivery.bot_id)
        else:
            refused.append((delivery, verdict))
    return refused


def due_keys(
    owners: Collection[UUID], *, skip: Collection[UUID], first_only: Collection[UUID] = (), now: datetime
) -> list[Key]:
    """The first due deliveries of the bots that are not sending: PER_BOT of each, one of each bot in `first_only`."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT due.* FROM unnest(%(bots)s::uuid[]) AS owned(bot_id)
            CROSS JOIN LATERAL (
                SELECT id, bot_id, campaign_id, chat_id, via_chat_id, origin, origin_id FROM bots_delivery
                WHERE bot_id = owned.bot_id AND state = 'queued' AND due_at <= %(now)s
                    AND (waiting_until IS NULL OR waiting_until <= %(now)s) AND id <> ALL(%(skip)s::uuid[])
                ORDER BY due_at, created_at
                LIMIT CASE WHEN owned.bot_id = ANY(%(first_only)s::uuid[]) THEN 1 ELSE %(few)s END
            ) AS due
            WHERE NOT EXISTS (SELECT 1 FROM bots_delivery WHERE bot_id = owned.bot_id AND state = 'sending')
            """,
            {"bots": list(owners), "now": now, "skip": list(skip), "first_only": list(first_only), "few": PER_BOT},
        )
        return [Key(*row) for row in cursor.fetchall()]


def _mark_claimed(delivery: Delivery, owner: BotOwner, now: datetime, **counted: bool) -> Outgoing:
    first = delivery.first_attempt_at or now
    return mark_sending(delivery, owner, first_attempt_at=first, counted_at=now, **counted)


def record_wait(delivery: Delivery, wait: Wait, now: datetime) -> None:
    """Store why the delivery waits, for the panel, if that has changed."""
    reason = wait.reason[:300]
    if delivery.waiting_reason != reason:
        note(DeliveryEvent.Kind.WAITED, {delivery.id: reason}, at=now)
    if (delivery.waiting_reason, delivery.waiting_until) != (reason, wait.until):
        Delivery.objects.filter(id=delivery.id).update(waiting_reason=reason, waiting_until=wait.until)


def forget_waits(bot_ids: Collection[UUID]) -> int:
    """Make the gate check all waiting deliveries of these bots again, after a rule changed. Returns their number."""
    waiting = Delivery.objects.filter(bot_id__in=bot_ids, state=State.QUEUED, waiting_until__isnull=False)
    with transaction.atomic():
        # The rows are locked first, so these deliveries are still queued.
        return Delivery.objects.filter(id__in=rows_lock(waiting)).update(waiting_until=None)
