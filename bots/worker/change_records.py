"""Records edits, deletions and reactions with the deliveries, and finds the recent messages that a bot checks again."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Q, QuerySet, Value, When

from bots.accounts.flood_waits import CHECK_MESSAGES
from bots.chats.identity import in_former_group
from bots.deliveries.timeline import note
from bots.gate.facts import destination_id
from bots.models import BotBlock, Cursor, Delivery, DeliveryEvent
from bots.worker.cursors import Reader
from bots.worker.leases import is_driven
from campaigns.models import Chat
from messaging.database.clock import database_clock
from telegram.types import MessageNow
from texts.telegram_form import same_text

State, Kind = Delivery.State, DeliveryEvent.Kind

# Only the newest messages of a bot within this time, at most so many, are checked again.
LOOK_BACK = timedelta(days=7)
LOOK_BACK_MOST = 500
# The most direct chats without a recorded message that are checked, and the most groups whose newest messages are.
LOOK_BACK_CHATS = 50
# Edits of older messages in groups do not count.
LOOK_BACK_IN_GROUPS = timedelta(hours=48)
REACTIONS_LENGTH = 200

# A supergroup's id, or None for the bot's own numbers; and a message's id there.
Place = tuple[int | None, int | None]


def changes_record(*, bot_id: UUID, changes: Collection[MessageNow]) -> list[MessageNow]:
    """Record changes of delivered messages that this bot has seen. Known changes have no effect.

    Returns the changes of messages that are not deliveries. The lease is not checked, because a change that a former
    owner of the session has seen did happen.
    """
    delivered = _deliveries_of(bot_id, changes)
    deleted = []
    for change in changes:
        delivery = delivered.get((change.peer_id, change.message_id))
        if delivery is not None and change.deleted:
            deleted.append(delivery.id)
        elif delivery is not None:
            _record(delivery, change, bot_id)
    _record_deletions(deleted)
    return [change for change in changes if (change.peer_id, change.message_id) not in delivered]


def _deliveries_of(bot_id: UUID, changes: Collection[MessageNow]) -> dict[Place, Delivery]:
    """The deliveries of these messages, by (supergroup id, message id); the first is None for the bot's own numbers."""
    sent = _kept().order_by("sent_at")
    peers = {change.peer_id for change in changes} - {None}
    found: dict[Place, Delivery] = {}
    if peers:
        numbers = {change.message_id for change in changes if change.peer_id is not None}
        there = sent.filter(telegram_message_id__in=numbers, chat__telegram_id__in=peers).exclude(in_former_group())
        found |= {
            (destination_id(delivery), delivery.telegram_message_id): delivery
            for delivery in there.select_related("chat")
        }
    if numbers := {change.message_id for change in changes if change.peer_id is None}:
        own = sent.filter(telegram_message_id__in=numbers, bot_id=bot_id).filter(_own_numbers())
        found |= {(None, delivery.telegram_message_id): delivery for delivery in own}
    return found


def _own_numbers() -> Q:
    """Deliveries to chats in which the sending account has its own message numbers."""
    return Q(chat=None) | ~Q(chat__kind=Chat.Kind.SUPERGROUP) | in_former_group()


def _kept() -> QuerySet[Delivery]:
    """Sent deliveries, except those to people whose data was erased.

    Such people have a pseudonym below 0 as id, and nothing about them may be recorded again.
    """
    return Delivery.objects.filter(state=State.SENT).exclude(peer_id__lt=0)


@transaction.atomic
def _record_deletions(delivery_ids: Collection[UUID]) -> None:
    """Record deletions together, because a user may have cleared a chat with many messages."""
    if not delivery_ids:
        return
    rows = _kept().filter(id__in=delivery_ids, deleted_at=None)
    # Another bot may have seen the deletion at the same moment.
    news = list(rows.select_for_update(of=("self",)).order_by("id").values_list("id", flat=True))
    Delivery.objects.filter(id__in=news).update(deleted_at=database_clock())
    note(Kind.DELETED, dict.fromkeys(news, ""))


@transaction.atomic
def _record(delivery: Delivery, change: MessageNow, bot_id: UUID) -> None:
    # Query again: the recipient's data may have been erased since the delivery was read.
    row = _kept().filter(id=delivery.id)
    # If two accounts see a change, the slower one would restore the earlier state, unless a time shows which is older.
    # So while the account that sent the message is connected, only its view counts.
    counts = bot_id == delivery.bot_id or not is_driven(delivery.bot_id)
    if change.text is not None and change.edited_at is not None:
        _record_edit(delivery, change, row, same_second=counts)
    if change.reactions is not None and counts:
        # Reactions have no time.
        reactions = change.reactions[:REACTIONS_LENGTH]
        if row.exclude(reactions=reactions).update(reactions=reactions):
            note(Kind.REACTED, {delivery.id: reactions or "none left"})


def _record_edit(delivery: Delivery, change: MessageNow, row: QuerySet[Delivery], *, same_second: bool) -> None:
    # Telegram marks a message as edited when its reactions change, too.
    if not delivery.edited_text and same_text(change.text or "", delivery.text):
        return
    # Telegram reports times in whole seconds.
    before = Q(edited_at__lte=change.edited_at) if same_second else Q(edited_at__lt=change.edited_at)
    older = row.filter(Q(edited_at=None) | before).exclude(edited_text=change.text)
    if older.update(edited_text=change.text, edited_at=change.edited_at):
        note(Kind.EDITED, {delivery.id: change.text or ""}, at=change.edited_at)


def recent_messages(*, reader: Reader) -> dict[int | None, list[int]]:
    """The messages of the last days that the bot sent or received and that are not deleted.

    Returns message ids by supergroup id, with None for all other chats. Empty while a flood wait forbids the bot to
    check messages.
    """
    now = database_clock()
    if _checks_forbidden(reader, now):
        return {}
    found = _sent_since(reader.bot_id, now - LOOK_BACK)
    if reader.handler.reads_private:
        # These come first: a person may have edited a message to say "stop".
        received = reader.handler.received_since(bot_id=reader.bot_id, since=now - LOOK_BACK, most=LOOK_BACK_MOST)
        found = {None: received + found.pop(None, []), **found}
    return {peer_id: numbers for peer_id, numbers in found.items() if numbers}


def unrecorded_chats(*, reader: Reader) -> list[int]:
    """The chats whose newest messages are checked although they are not recorded.

    These are direct chats with people who have written, and the groups in which the bot has read messages lately.
    """
    now = database_clock()
    if _checks_forbidden(reader, now):
        return []
    found: list[int] = []
    if reader.handler.reads_private:
        since = now - LOOK_BACK
        found += reader.handler.people_unrecorded(bot_id=reader.bot_id, since=since, most=LOOK_BACK_CHATS)
    if reader.handler.reads_chats:
        moved = Cursor.objects.filter(bot_id=reader.bot_id, peer_id__lt=0, updated_at__gt=now - LOOK_BACK_IN_GROUPS)
        found += moved.order_by("-updated_at").values_list("peer_id", flat=True)[:LOOK_BACK_CHATS]
    return found


def _checks_forbidden(reader: Reader, now: datetime) -> bool:
    return BotBlock.objects.filter(bot_id=reader.bot_id, method=CHECK_MESSAGES, until__gt=now).exists()


def _sent_since(bot_id: UUID, since: datetime) -> dict[int | None, list[int]]:
    rows = _kept().filter(bot_id=bot_id, counted_at__gt=since, deleted_at=None)
    rows = rows.filter(telegram_message_id__isnull=False).order_by("-counted_at")
    found: dict[int | None, list[int]] = {}
    own = Case(When(_own_numbers(), then=Value(True)), default=Value(False))
    columns: Any = rows.annotate(own=own).values_list("telegram_message_id", "chat__telegram_id", "own")
    for message_id, peer_id, is_own in columns[:LOOK_BACK_MOST]:
        found.setdefault(None if is_own else peer_id, []).append(message_id)
    return found
