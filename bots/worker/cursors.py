"""The cursor of each chat: the last message that a bot has recorded.

A message has been read once the transaction that moved the cursor has committed. All other state about updates is only
a hint.
"""

import hashlib
import traceback
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from bots.accounts.incidents import incident_report
from bots.models import Bot, Cursor
from bots.roles import RoleHandler
from bots.worker.leases import LeaseLost
from campaigns.models import Chat
from campaigns.policy.locks import erasures_lock_shared
from campaigns.selectors import at_telegram
from campaigns.suppressions.lookup import erased, is_erased
from campaigns.wording import chat_phrase
from messaging.database.locks import rows_delete
from messaging.models import HandlingFailure
from telegram.types import Dialog, IncomingMessage

# A cursor with this peer id marks that the bot's direct chats have been listed once; direct chats found later are new.
DIRECT_CHATS_SEEN = 0


@dataclass(frozen=True)
class Reader:
    """The bot that reads, the epoch under which it may write, and the handler that records the messages."""

    bot_id: UUID
    epoch: int
    handler: RoleHandler


@dataclass(frozen=True)
class Recorded:
    """The result of recording messages: the new cursor, and whether messages directly after it are missing."""

    position: int
    gap: bool = False


def cursors_of(bot_id: UUID) -> dict[int, int]:
    """The bot's cursors: peer id → last recorded message id."""
    return dict(Cursor.objects.filter(bot_id=bot_id).values_list("peer_id", "last_message_id"))


class CursorGone(Exception):
    """The bot no longer reads the chat: its cursor was deleted."""


def chats_forget(*, bot_id: UUID, but: Collection[int] = ()) -> int:
    """Delete the bot's cursors of all chats except `but`; those of direct chats stay. Returns their number.

    Messages that are sent while the bot may not read the chat are never read: a chat that is read again begins at its
    newest message.
    """
    return rows_delete(Cursor.objects.filter(bot_id=bot_id, peer_id__lt=0).exclude(peer_id__in=but))


def cursor_start(*, reader: Reader, peer_id: int, at: int) -> int:
    """Begin to read a chat after message `at`, unless the bot reads it already. Returns the cursor."""
    with transaction.atomic():
        return _locked(reader, peer_id, start=at).last_message_id


def cursor_start_direct(*, reader: Reader, peer_id: int, at: int) -> int:
    """Like `cursor_start`, for a direct chat. Stores nothing for a person whose data was erased."""
    with transaction.atomic():
        # This must be the transaction's first lock.
        erasures_lock_shared()
        if is_erased(telegram_user_id=peer_id):
            return at
        return _locked(reader, peer_id, start=at).last_message_id


def cursor_follow(*, reader: Reader, former: int, peer_id: int) -> None:
    """Continue to read a basic group, which was read to its end, as the supergroup `peer_id` that it is now.

    The supergroup is read from its first message on, since all its messages are newer than the upgrade.
    """
    with transaction.atomic():
        # First create the new cursor, so that one statement can lock both.
        _make(reader, peer_id, at=0)
        locked = _owned(reader).filter(peer_id__in=[former, peer_id]).order_by("pk")
        if peer_id not in [cursor.peer_id for cursor in locked]:
            # The cursor was deleted meanwhile, or another process has the lease.
            _locked(reader, peer_id, start=0)
        Cursor.objects.filter(bot_id=reader.bot_id, peer_id=former).delete()


def cursors_start_direct(*, reader: Reader, dialogs: Collection[Dialog]) -> dict[int, int]:
    """Begin to read the direct chats among `dialogs`. Returns the cursors of direct chats by peer id.

    The direct chats in the account's first list are old: they are read after their newest message. Later ones are read
    as a whole. Chats with people whose data was erased are not read, and are not in the result.
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


@dataclass(frozen=True)
class Moved:
    """The cursor's way over messages of its chat.

    `fresh` are the messages to pass to the handler. `missing` is the number of ids in the gap before which the cursor
    has stopped.
    """

    position: int
    fresh: list[IncomingMessage]
    changed: bool
    missing: int = 0

    @property
    def gap(self) -> bool:
        return self.missing > 0


def moved(position: int, messages: Sequence[IncomingMessage], *, gapless: bool) -> Moved:
    """The way of a cursor at `position` over messages in ascending order; see `messages_record`."""
    fresh, missing, before = [], 0, position
    for message in messages:
        if message.message_id <= position:
            continue
        if gapless and message.message_id > position + 1:
            missing = message.message_id - position - 1
            break
        if not message.service:
            fresh.append(message)
        position = message.message_id
    return Moved(position, fresh, position != before or missing > 0, missing)


def messages_record(
    *, reader: Reader, peer_id: int, messages: Sequence[IncomingMessage], gapless: bool = False
) -> Recorded:
    """Pass messages of one chat to the handler and move the cursor, in one transaction.

    `messages` are in ascending order. Messages at or before the cursor are duplicates and are skipped. With `gapless`
    (for live messages of a supergroup, whose ids are consecutive) recording stops before a gap, which is counted on the
    cursor. Raises LeaseLost, CursorGone, or what the handler raises; nothing has changed then.
    """
    with transaction.atomic():
        # Before the cursor is locked: everything that records a person's messages takes this lock, as its first.
        erasures_lock_shared()
        if peer_id > DIRECT_CHATS_SEEN and is_erased(telegram_user_id=peer_id):
            return Recorded(max((message.message_id for message in messages), default=0))
        cursor = _locked(reader, peer_id)
        move = moved(cursor.last_message_id, messages, gapless=gapless)
        if move.fresh:
            reader.handler.on_messages(messages={reader.bot_id: move.fresh})
        cursor.last_message_id = move.position
        cursor.gaps += int(move.gap)
        cursor.gap_messages += move.missing
        cursor.save(update_fields=["last_message_id", "gaps", "gap_messages", "updated_at"])
    return Recorded(move.position, move.gap)


def message_skip(*, reader: Reader, message: IncomingMessage, error: BaseException) -> None:
    """Move the cursor past a message on which the handler fails repeatedly; record the failure and report it."""
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
            f"account {reader.bot_id}: a message in {_chat_in_words(message.peer_id)} was skipped "
            f"({type(error).__name__}): read it in Telegram's app, and report this to the developers"
        )
        incident_report(key=f"message:{place}", reason=reason)


def _chat_in_words(peer_id: int) -> str:
    chat = Chat.objects.filter(at_telegram([peer_id])).first() if peer_id < 0 else None
    return (
        chat_phrase(chat) if chat is not None else "a private chat" if peer_id > 0 else "a chat that is not on record"
    )


def _locked(reader: Reader, peer_id: int, *, start: int | None = None) -> Cursor:
    """Lock and return the cursor. Waits for a former owner that has it locked; that one finds its epoch gone next time.

    A missing cursor is created at `start`. Without `start` the cursor of a direct chat begins before its first message;
    for a chat this raises CursorGone, because the whole history would be read otherwise. Raises LeaseLost if another
    process owns the bot.
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
    """The bot's cursors, which are locked when they are read; none if another process has the lease."""
    cursors = Cursor.objects.select_for_update(of=("self",))
    return cursors.filter(bot_id=reader.bot_id, bot__lease_epoch=reader.epoch)


def _make(reader: Reader, peer_id: int, *, at: int) -> None:
    """Create the cursor unless it exists."""
    new = Cursor(bot_id=reader.bot_id, peer_id=peer_id, last_message_id=at)
    Cursor.objects.bulk_create([new], ignore_conflicts=True)
