"""The life of a delivery outside of attempts: queue it, cancel it, settle an unknown one, write its final state.

The states move queued → sending → sent | failed | refused | cancelled | unknown, and unknown → sent | failed when an
operator has looked; every move is one conditional UPDATE.
"""

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from bots.deliveries.timeline import RESOLVED, note
from bots.gate.origins import origin_settle
from bots.gate.recipients import addressed_as
from bots.models import Delivery, DeliveryEvent
from campaigns.identifiers import plain_username
from campaigns.models import Purpose
from campaigns.policy.fences import DELIVERIES_CHANNEL, QUEUED
from messaging.database.clock import database_clock
from texts.telegram_form import as_kept

__all__ = [
    "deliveries_cancel",
    "deliveries_cancel_for_person",
    "deliveries_leaving",
    "deliveries_queue",
    "delivery_cancel",
    "delivery_finish",
    "delivery_queue",
    "delivery_resolve",
    "people_waited_for",
]

State = Delivery.State
ROWS_AT_ONCE = 1000


def new_random_id() -> int:
    """Telegram's idempotency key: signed, 64 bits, never 0."""
    while True:
        number = int.from_bytes(secrets.token_bytes(8), "big", signed=True)
        if number:
            return number


def delivery_queue(
    *,
    bot_id: UUID,
    campaign_id: UUID,
    purpose: Purpose,
    origin: str,
    origin_id: UUID,
    text: str,
    due_at: datetime,
    chat_id: UUID | None = None,
    peer_id: int | None = None,
    peer_username: str = "",
    via_chat_id: int | None = None,
    via_message_id: int | None = None,
    reply_to_id: UUID | None = None,
) -> Delivery:
    """Say `text` as that bot, in the chat or to the person, not before `due_at`.

    In the caller's transaction; the senders hear of it on commit. Once for each (origin, origin_id): a repeat returns
    the first one's delivery as it is. One bot's messages to one place for one purpose leave in the order of `due_at`,
    then of queueing.
    """
    wish = Delivery(
        bot_id=bot_id,
        campaign_id=campaign_id,
        purpose=purpose,
        origin=origin,
        origin_id=origin_id,
        text=text,
        due_at=due_at,
        chat_id=chat_id,
        peer_id=peer_id,
        peer_username=peer_username.strip().removeprefix("@"),
        via_chat_id=via_chat_id,
        via_message_id=via_message_id,
        reply_to_id=reply_to_id,
    )
    return deliveries_queue([wish])[0]


@transaction.atomic
def deliveries_queue(wishes: Sequence[Delivery]) -> list[Delivery]:
    """As `delivery_queue`, for many unsaved rows of one origin at once; returns the stored ones in the same order."""
    for wish in wishes:
        wish.random_id = new_random_id()
        # What Telegram will show is what is checked, sent and looked for.
        wish.text = as_kept(wish.text)
    Delivery.objects.bulk_create(wishes, ignore_conflicts=True, batch_size=ROWS_AT_ONCE)
    notify_senders()
    rows = Delivery.objects.filter(
        origin__in={wish.origin for wish in wishes}, origin_id__in=[wish.origin_id for wish in wishes]
    )
    stored = {(row.origin, row.origin_id): row for row in rows}
    return [stored[wish.origin, wish.origin_id] for wish in wishes]


def notify_senders() -> None:
    """On commit: something may be sendable. Repeats within a transaction are one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [DELIVERIES_CHANNEL, QUEUED])


def deliveries_cancel(*, origin: str, origin_ids: Collection[UUID], reason: str) -> int:
    """Cancel what is still queued and settle it; returns how many. The caller has closed the fence that its origin
    locks: holds it FOR UPDATE, or has committed the change. What is `sending` leaves: see `deliveries_leaving`.
    """
    return _cancel(Delivery.objects.filter(origin=origin, origin_id__in=origin_ids), reason)


def deliveries_cancel_for_person(*, telegram_user_id: int | None, username: str = "", reason: str) -> int:
    """Cancel everything queued for this person, whoever asked for it. Called after `suppression_add`."""
    return _cancel(Delivery.objects.filter(_person(telegram_user_id, username)), reason)


@transaction.atomic
def _cancel(wanted: QuerySet[Delivery], reason: str) -> int:
    # A row that someone holds is being judged behind the closed fence: it will be refused. Waiting for it could
    # deadlock: refusing it calls the origin, which may want a row that our caller holds.
    queued = wanted.filter(state=State.QUEUED).order_by("id").select_for_update(skip_locked=True)
    cancelled, now = 0, None
    for delivery in queued:
        now = now or database_clock()
        cancelled += delivery_finish(
            delivery_id=delivery.id, was=State.QUEUED, state=State.CANCELLED, reason=reason, now=now
        )
    return cancelled


def delivery_cancel(*, delivery_id: UUID, reason: str) -> bool:
    """Cancel one that is queued and settle it; False when it is not queued any more, or leaves at this moment.

    Here the row is the fence: whoever judges it holds it, so this waits for the verdict, and what was cancelled is
    never claimed. The rows of its origin are locked after it, as at every other settling.
    """
    return delivery_finish(delivery_id=delivery_id, was=State.QUEUED, state=State.CANCELLED, reason=reason)


def delivery_resolve(*, delivery_id: UUID, said: bool, by: str, telegram_message_id: int | None = None) -> bool:
    """A person has looked whether an unknown delivery was said; `telegram_message_id` as the sending bot sees it, if
    they know it. Settles it with its origin again. False when it is not unknown (any more).

    What was not said gives its budgets back. It is not sent by itself: whoever asked for it may ask again.
    """
    if not said:
        return delivery_finish(
            delivery_id=delivery_id,
            was=State.UNKNOWN,
            state=State.FAILED,
            reason=f"Not said, as {by} found out.",
            error_kind=RESOLVED,
            counted_at=None,
        )
    at = Coalesce("sent_at", "first_attempt_at", "counted_at", "due_at")
    return delivery_finish(
        delivery_id=delivery_id,
        was=State.UNKNOWN,
        state=State.SENT,
        reason=f"Said, as {by} found out.",
        error_kind=RESOLVED,
        sent_at=at,
        telegram_message_id=telegram_message_id,
    )


def deliveries_leaving(
    *,
    campaign_id: UUID | None = None,
    bot_id: UUID | None = None,
    origin: str = "",
    origin_ids: Collection[UUID] | None = None,
    telegram_user_id: int | None = None,
    username: str = "",
) -> int:
    """How many messages of this campaign, bot, origin or person (all that are given) were claimed and are not settled.

    After a fence was closed (pause, stop, opt-out) this only falls; at 0 nothing more is said.
    """
    leaving = Delivery.objects.filter(state=State.SENDING)
    if campaign_id is not None:
        leaving = leaving.filter(campaign_id=campaign_id)
    if bot_id is not None:
        leaving = leaving.filter(bot_id=bot_id)
    if origin:
        leaving = leaving.filter(origin=origin)
    if origin_ids is not None:
        leaving = leaving.filter(origin_id__in=origin_ids)
    if telegram_user_id is not None or username:
        leaving = leaving.filter(_person(telegram_user_id, username))
    return leaving.count()


def people_waited_for(user_ids: Collection[int], usernames: Collection[str]) -> tuple[set[int], set[str]]:
    """Those of these people, by id and by plain username, to whom something is queued."""
    queued = Delivery.objects.filter(state=State.QUEUED)
    ids = queued.filter(peer_id__in=user_ids).values_list("peer_id", flat=True)
    # As the indexes have it.
    named = queued.filter(peer_username__upper__in=[name.upper() for name in usernames])
    names = {plain_username(name) for name in named.values_list("peer_username", flat=True)}
    return {peer_id for peer_id in ids if peer_id is not None}, names


def _person(telegram_user_id: int | None, username: str) -> Q:
    """With an id: whatever goes to the id, or to the name while nobody knows whose it is."""
    name = plain_username(username)
    by_id = Q(peer_id=telegram_user_id) if telegram_user_id is not None else Q(pk__in=[])
    if not name:
        return by_id
    named = addressed_as(name)
    return by_id | (named if telegram_user_id is None else named & Q(peer_id=None))


@transaction.atomic
def delivery_finish(
    *,
    delivery_id: UUID,
    was: State,
    state: State,
    reason: str = "",
    error_kind: str = "",
    epoch: int | None = None,
    now: datetime | None = None,
    **facts: Any,
) -> bool:
    """Give the delivery its final state and settle it with its origin; False when it has moved on from `was` (or to
    another owner than `epoch`): then nothing happens, so that a repeat is harmless. `now` is the database's; without
    it the time after the delivery's row is locked."""
    rows = Delivery.objects.filter(id=delivery_id, state=was)
    if epoch is not None:
        rows = rows.filter(lease_epoch=epoch)
    moved = rows.update(
        state=state, error=reason[:300], error_kind=error_kind, waiting_reason="", waiting_until=None, **facts
    )
    if not moved:
        return False
    delivery = Delivery.objects.get(id=delivery_id)
    now = now or database_clock()
    if reason or state != State.SENT:
        note(DeliveryEvent.Kind(state), {delivery_id: reason[:300]})
    origin_settle(delivery, now=now)
    return True
