"""The cursor of each chat: up to which message a bot has recorded it.

A message counts as read once the transaction that moved the cursor has committed; everything else about updates is a
hint.
"""

import hashlib
import traceback
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from bots.accounts.incidents import trouble_tell
from bots.models import Bot, Cursor
from bots.roles import RoleHandler
from bots.worker.leases import LeaseLost
from campaigns.models import Chat
from campaigns.policy.fences import erasing_hold
from campaigns.selectors import at_telegram
from campaigns.suppressions.lookup import erased, is_erased
from campaigns.wording import chat_phrase
from messaging.database.locks import rows_delete
from messaging.models import HandlingFailure
from telegram.types import Dialog, IncomingMessage

# The cursor under this peer says that the bot's direct chats have been seen once: those found later are new.
DIRECT_CHATS_SEEN = 0


@dataclass(frozen=True)
class Reader:
    """Who reads: the bot, the epoch that fences its writes, and the room that takes the messages."""

    bot_id: UUID
    epoch: int
    handler: RoleHandler


@dataclass(frozen=True)
class Recorded:
    """`position` is the cursor afterwards. `gap`: something between it and the next message was not seen."""

    position: int
    gap: bool = False


def cursors_of(bot_id: UUID) -> dict[int, int]:
    """Where the bot stands in each chat: peer id → last recorded message id."""
    return dict(Cursor.objects.filter(bot_id=bot_id).values_list("peer_id", "last_message_id"))


class CursorGone(Exception):
    """The chat is not read any more: its cursor was dropped."""


def chats_forget(*, bot_id: UUID, but: Collection[int] = ()) -> int:
    """Drop the cursors of all chats except these; direct chats keep theirs. Returns how many.

    What is said in a chat while nobody may read it is never read: a chat that comes back begins at its newest message.
    """
    return rows_delete(Cursor.objects.filter(bot_id=bot_id, peer_id__lt=0).exclude(peer_id__in=but))


def cursor_start(*, reader: Reader, peer_id: int, at: int) -> int:
    """Begin to read a chat after message `at`, unless it is being read already. Returns where the cursor stands."""
    with transaction.atomic():
        return _locked(reader, peer_id, start=at).last_message_id


def cursor_start_direct(*, reader: Reader, peer_id: int, at: int) -> int:
    """As `cursor_start`, for a direct chat. Nothing is kept of somebody whose data was erased."""
    with transaction.atomic():
        # No lock comes before it.
        erasing_hold()
        if is_erased(telegram_user_id=peer_id):
            return at
        return _locked(reader, peer_id, start=at).last_message_id


def cursor_follow(*, reader: Reader, former: int, peer_id: int) -> None:
    """A basic group that was read to its end is the supergroup `peer_id` now, and read there from its first message on:
    nothing in it was said before."""
    with transaction.atomic():
        # First, so that both are there to be locked by one statement.
        _make(reader, peer_id, at=0)
        locked = _owned(reader).filter(peer_id__in=[former, peer_id]).order_by("pk")
        if peer_id not in [cursor.peer_id for cursor in locked]:
            # Dropped meanwhile, or the lease is another's.
            _locked(reader, peer_id, start=0)
        Cursor.objects.filter(bot_id=reader.bot_id, peer_id=former).delete()


def cursors_start_direct(*, reader: Reader, dialogs: Collection[Dialog]) -> dict[int, int]:
    """Begin to read the direct chats among `dialogs`. Returns peer id → where the cursor stands.

    Those that an account has when we first see it are old, and read from their newest message on; later ones are
    read whole. People whose data was erased are not read at all, and not among the peers.
    """
    known = cursors_of(reader.bot_id)
    forgotten = erased(user_ids=[dialog.peer_id for dialog in dialogs if dialog.kind == "private"]).user_ids
    first_time = DIRECT_CHATS_SEEN not in known
    for dialog in dialogs:
        if dialog.kind == "private" and dialog.peer_id not in known and dialog.peer_id not in forgotten:
            start = dialog.top_message_id if first_time else 0
            known[dialog.peer_id] = cursor_start(reader=reader, peer_id=dialog.peer_id, at=start)
    if first_time:
        cursor_start(reader=reader, peer_id=DIRECT_CHATS_SEEN, at=0)
    return {peer: position for peer, position in known.items() if peer > DIRECT_CHATS_SEEN}


def messages_record(
    *, reader: Reader, peer_id: int, messages: Sequence[IncomingMessage], gapless: bool = False
) -> Recorded:
    """Hand messages of one chat to the room above and move the cursor, in one transaction.

    They come in ascending order; those at or before the cursor are duplicates and skipped. With `gapless` (live
    messages of a supergroup, whose ids are consecutive) it stops before a hole. Raises LeaseLost, CursorGone, or what
    the handler raised: then nothing has happened. Holes are counted on the cursor.
    """
    gap = False
    with transaction.atomic():
        # Before the cursor: whoever keeps what somebody wrote asks for it, and no lock comes before it.
        erasing_hold()
        if peer_id > DIRECT_CHATS_SEEN and is_erased(telegram_user_id=peer_id):
            return Recorded(max((message.message_id for message in messages), default=0))
        cursor = _locked(reader, peer_id)
        for message in messages:
            if message.message_id <= cursor.last_message_id:
                continue
            if gapless and message.message_id > cursor.last_message_id + 1:
                gap = True
                cursor.gaps += 1
                cursor.gap_messages += message.message_id - cursor.last_message_id - 1
                break
            if not message.service:
                reader.handler.on_message(bot_id=reader.bot_id, message=message)
            cursor.last_message_id = message.message_id
        cursor.save(update_fields=["last_message_id", "gaps", "gap_messages", "updated_at"])
    return Recorded(cursor.last_message_id, gap)


def message_skip(*, reader: Reader, message: IncomingMessage, error: BaseException) -> None:
    """Go past a message that its handler fails on again and again; what happened is kept and told."""
    with transaction.atomic():
        cursor = _locked(reader, message.peer_id)
        if cursor.last_message_id >= message.message_id:
            return
        cursor.last_message_id = message.message_id
        cursor.save(update_fields=["last_message_id", "updated_at"])
        place = f"{reader.bot_id}:{message.peer_id}:{message.message_id}"
        HandlingFailure.objects.create(
            queue="bots.on_message",
            body_digest=hashlib.sha256(place.encode()).hexdigest(),
            error=f"{place}: {type(error).__name__}: {error}",
            traceback="".join(traceback.format_exception(error)),
        )
        reason = (
            f"bot {reader.bot_id}: a message in {_place_told(message.peer_id)} was skipped "
            f"({type(error).__name__}): read it in Telegram's app, and report this to the developers"
        )
        trouble_tell(key=f"message:{place}", reason=reason)


def _place_told(peer_id: int) -> str:
    chat = Chat.objects.filter(at_telegram([peer_id])).first() if peer_id < 0 else None
    return (
        chat_phrase(chat) if chat is not None else "a private chat" if peer_id > 0 else "a chat that is not on record"
    )


def _locked(reader: Reader, peer_id: int, *, start: int | None = None) -> Cursor:
    """The cursor, locked. A former owner that still holds it finishes first, and finds its epoch gone afterwards.

    One that is missing is made at `start`. Without it a direct chat begins with its first message, and a chat raises
    CursorGone: from 0 its whole history would be read.
    """
    cursor = _owned(reader).filter(peer_id=peer_id).first()
    if cursor is None:
        if not Bot.objects.filter(pk=reader.bot_id, lease_epoch=reader.epoch).exists():
            raise LeaseLost(reader.bot_id)
        if start is None and peer_id < 0:
            raise CursorGone(peer_id)
        _make(reader, peer_id, at=start or 0)
        cursor = Cursor.objects.select_for_update(of=("self",)).get(bot_id=reader.bot_id, peer_id=peer_id)
    return cursor


def _owned(reader: Reader) -> QuerySet[Cursor]:
    """The bot's cursors, locked as they are read; none once its lease is another's."""
    cursors = Cursor.objects.select_for_update(of=("self",))
    return cursors.filter(bot_id=reader.bot_id, bot__lease_epoch=reader.epoch)


def _make(reader: Reader, peer_id: int, *, at: int) -> None:
    """Unless it is there already."""
    new = Cursor(bot_id=reader.bot_id, peer_id=peer_id, last_message_id=at)
    Cursor.objects.bulk_create([new], ignore_conflicts=True)
