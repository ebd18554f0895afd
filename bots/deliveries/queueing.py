"""Queues and cancels deliveries, resolves unknown ones, and writes final states.

The states change queued → sending → sent | failed | refused | cancelled | unknown, and unknown → sent | failed when an
operator has checked the chat. Every change is one conditional UPDATE.
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
from campaigns.policy.notices import DELIVERIES_CHANNEL, QUEUED
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
    """A new idempotency key for Telegram: a signed number of 64 bits, never 0."""
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
    """Queue `text` to be sent by the bot, to the chat or the person, not before `due_at`.

    Runs in the caller's transaction; the senders are notified when it commits. There is one delivery per (origin,
    origin_id): another call returns the existing delivery unchanged. A bot's messages of one campaign and purpose to
    one chat or person are sent in the order of `due_at`, then in the order in which they were queued.
    """
    draft = Delivery(
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
    return deliveries_queue([draft])[0]


@transaction.atomic
def deliveries_queue(drafts: Sequence[Delivery]) -> list[Delivery]:
    """Like `delivery_queue`, for many unsaved rows of one origin. Returns the stored rows in the same order."""
    for draft in drafts:
        draft.random_id = new_random_id()
        # The text that Telegram will show is checked, sent and searched for.
        draft.text = as_kept(draft.text)
    Delivery.objects.bulk_create(drafts, ignore_conflicts=True, batch_size=ROWS_AT_ONCE)
    notify_senders()
    rows = Delivery.objects.filter(
        origin__in={draft.origin for draft in drafts}, origin_id__in=[draft.origin_id for draft in drafts]
    )
    stored = {(row.origin, row.origin_id): row for row in rows}
    return [stored[draft.origin, draft.origin_id] for draft in drafts]


def notify_senders() -> None:
    """Notify the senders on commit that a delivery was queued. PostgreSQL sends it once per transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [DELIVERIES_CHANNEL, QUEUED])


def deliveries_cancel(*, origin: str, origin_ids: Collection[UUID], reason: str) -> int:
    """Cancel and settle the deliveries that are still queued. Returns their number.

    The caller must have closed the fence that the origin locks: it has locked the row FOR UPDATE, or has committed the
    change. Deliveries in `sending` are sent all the same: see `deliveries_leaving`.
    """
    return _cancel(Delivery.objects.filter(origin=origin, origin_id__in=origin_ids), reason)


def deliveries_cancel_for_person(*, telegram_user_id: int | None, username: str = "", reason: str) -> int:
    """Cancel all queued deliveries to this person, of every origin. Call it after `suppression_add`."""
    return _cancel(Delivery.objects.filter(_person(telegram_user_id, username)), reason)


@transaction.atomic
def _cancel(wanted: QuerySet[Delivery], reason: str) -> int:
    # Skip rows that another transaction has locked: it is checking them after the fence was closed and will refuse
    # them. To wait for them could deadlock: refusing calls the origin, which may need a row that our caller has locked.
    queued = wanted.filter(state=State.QUEUED).order_by("id").select_for_update(skip_locked=True)
    cancelled, now = 0, None
    for delivery in queued:
        now = now or database_clock()
        cancelled += delivery_finish(
            delivery_id=delivery.id, was=State.QUEUED, state=State.CANCELLED, reason=reason, now=now
        )
    return cancelled


def delivery_cancel(*, delivery_id: UUID, reason: str) -> bool:
    """Cancel and settle a queued delivery. False if it is no longer queued, or is being sent.

    The delivery's row is the fence: a claim that checks the delivery has locked the row, so this waits for the verdict,
    and a cancelled delivery is never claimed. The origin's rows are locked after it, as in all settling.
    """
    return delivery_finish(delivery_id=delivery_id, was=State.QUEUED, state=State.CANCELLED, reason=reason)


def delivery_resolve(*, delivery_id: UUID, sent: bool, by: str, telegram_message_id: int | None = None) -> bool:
    """Store an operator's finding whether an unknown delivery was sent, and settle it with its origin again.

    `telegram_message_id` is the sending bot's number of the message, if the operator knows it. False if the delivery is
    not unknown. A delivery that was not sent no longer counts against its budgets. It is not sent again; its origin may
    queue another.
    """
    if not sent:
        return delivery_finish(
            delivery_id=delivery_id,
            was=State.UNKNOWN,
            state=State.FAILED,
            reason=f"Not sent, according to {by}.",
            error_kind=RESOLVED,
            counted_at=None,
        )
    at = Coalesce("sent_at", "first_attempt_at", "counted_at", "due_at")
    return delivery_finish(
        delivery_id=delivery_id,
        was=State.UNKNOWN,
        state=State.SENT,
        reason=f"Sent, according to {by}.",
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
    """The number of claimed deliveries that are not settled yet, with this campaign, bot, origin and person.

    Criteria that are not given are ignored. After a fence was closed (pause, stop, opt-out) the number only falls; at 0
    nothing more is sent.
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
    """The people among these with queued deliveries: their ids, and their plain usernames."""
    queued = Delivery.objects.filter(state=State.QUEUED)
    ids = queued.filter(peer_id__in=user_ids).values_list("peer_id", flat=True)
    # The index has usernames in upper case.
    named = queued.filter(peer_username__upper__in=[name.upper() for name in usernames])
    names = {plain_username(name) for name in named.values_list("peer_username", flat=True)}
    return {peer_id for peer_id in ids if peer_id is not None}, names


def _person(telegram_user_id: int | None, username: str) -> Q:
    """Deliveries to the person. With an id, those to the username count only if they have no id."""
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
    """Give the delivery its final state and settle it with its origin.

    False, without any change, if the delivery's state is no longer `was` or its epoch is not `epoch`, so a second call
    is harmless. `now` is the database's time; by default the time after the delivery's row was locked.
    """
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
