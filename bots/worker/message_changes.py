"""Edits, deletions and reactions of earlier messages, as one bot is notified of them or finds them.

Changes of messages that CoolThing sent are recorded with their deliveries (`change_records`); changes of other people's
messages go to the application's handler. Updates report changes at once, and a bot checks the messages of the last days
after each connect. The messages of a supergroup have the same numbers for every account, so any bot in it may notice a
change. In private chats and basic groups each account has its own numbers.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence

from django.db import Error as DatabaseFailure

from bots.accounts.flood_waits import CHECK_MESSAGES, method_wait_record
from bots.accounts.incidents import incident_report
from bots.worker.change_records import Place, changes_record, recent_messages, unrecorded_chats
from bots.worker.cursors import Reader
from bots.worker.executor import in_db
from telegram.client import TelegramAccount
from telegram.errors import BotDead, PassingError, RetryAfter, TelegramError, TransientError
from telegram.types import MessageNow

# Messages in one request: Telegram's limit.
PAGE = 100
# The most changes recorded at a time.
BATCH = 200
# Seconds before a change of an unknown message is tried once more: a moderation bot may delete a message before its
# delivery is recorded as sent.
ONCE_MORE = 5.0
# Seconds before changes are recorded again after a database error.
RETRY_SECONDS = 1.0

log = logging.getLogger(__name__)


<<<<<<< HEAD
=======
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


Place = tuple[int | None, int | None]


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
    """The people whose direct chats with the bot are checked although none of their messages is recorded."""
    now = database_clock()
    if not reader.handler.reads_private or _checks_forbidden(reader, now):
        return []
    return reader.handler.people_unrecorded(bot_id=reader.bot_id, since=now - LOOK_BACK, most=LOOK_BACK_CHATS)


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


>>>>>>> 2102edb (Models of accounts, workers and deliveries: labels, help texts and file names say what they are)
class MessageChanges:
    """The changes of earlier messages that one bot is notified of.

    Used from the event loop; one task calls `take_in`.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._bot_id = reader.bot_id
        self._received: deque[MessageNow] = deque()
        # Set when there are changes to record.
        self.news = asyncio.Event()
        # Changes of unknown messages, each with the moment (on time.monotonic()) of the second try.
        self._again: deque[tuple[float, MessageNow]] = deque()
        self._not_before = 0.0
        # Messages that updates have reported during a look back: the updates are newer than its results.
        self._updated: set[Place] | None = None

    def receive(self, change: MessageNow) -> None:
        self._received.append(change)
        self.news.set()
        if self._updated is not None:
            self._updated.add((change.peer_id, change.message_id))

    @property
    def due(self) -> float:
        """When (on time.monotonic()) there is work for `take_in`; infinity if there is none."""
        if self._received:
            return self._not_before
        return max(self._again[0][0], self._not_before) if self._again else float("inf")

    async def take_in(self, *, catching_up: bool) -> None:
        """Record the received changes.

        `catching_up` means that histories have still to be read, so a change of an unknown message may be tried
        repeatedly.
        """
        now = time.monotonic()
        if now < self._not_before:
            return
        again = [self._again.popleft()[1] for _ in range(len(self._again)) if self._again[0][0] <= now]
        unknown = await self._record(again)
        if catching_up:
            self._again.extend((now + ONCE_MORE, change) for change in unknown)
        fresh = [self._received.popleft() for _ in range(min(len(self._received), BATCH))]
        self._again.extend((now + ONCE_MORE, change) for change in await self._record(fresh))

    async def _record(self, changes: Sequence[MessageNow]) -> list[MessageNow]:
        """Record the changes. Returns those of unknown messages."""
        if not changes:
            return []
        try:
            others = await in_db(changes_record, bot_id=self._bot_id, changes=changes)
            return await in_db(self._pass_on, others)
        except DatabaseFailure as error:
            log.warning("bot %s: changes of messages are recorded later: %s", self._bot_id, type(error).__name__)
            self._received.extendleft(reversed(changes))
            self._not_before = time.monotonic() + RETRY_SECONDS
            return []
        except Exception as error:
            if len(changes) > 1:
                return [unknown for change in changes for unknown in await self._record([change])]
            # The look back after the next connect finds the change again.
            number = changes[0].message_id
            log.exception("bot %s: a change of message %s could not be recorded", self._bot_id, number)
            reason = (
                f"account {self._bot_id}: an edit, a deletion or a reaction was not recorded ({type(error).__name__}): "
                "report this to the developers"
            )
            await in_db(incident_report, key=f"change:{self._bot_id}:{number}", reason=reason)
            return []

    def _pass_on(self, changes: list[MessageNow]) -> list[MessageNow]:
        handler = self._reader.handler
        if handler.reads_chats:
            theirs, others = changes, []
        elif handler.reads_private:
            theirs = [change for change in changes if change.peer_id is None]
            others = [change for change in changes if change.peer_id is not None]
        else:
            theirs, others = [], changes
        return others + handler.on_changes(bot_id=self._bot_id, changes=theirs) if theirs else others

    async def look_back(self, account: TelegramAccount) -> None:
        """Check what has changed in the last days' messages, for `take_in` to record.

        Raises BotDead and TransientError.
        """
        self._updated = set()
        try:
            for peer_id, message_ids in (await in_db(recent_messages, reader=self._reader)).items():
                await self._check_messages(account, peer_id, message_ids)
            for peer_id in await in_db(unrecorded_chats, reader=self._reader):
                await self._check_chat(account, peer_id)
        except RetryAfter as error:
            await in_db(method_wait_record, bot_id=self._bot_id, error=error)
        finally:
            self._updated = None

    async def _check_messages(self, account: TelegramAccount, peer_id: int | None, message_ids: list[int]) -> None:
        for start in range(0, len(message_ids), PAGE):
            try:
                found = await account.messages_now(peer_id, message_ids[start : start + PAGE])
            except TelegramError as error:
                if isinstance(error, BotDead | TransientError | RetryAfter) and not isinstance(error, PassingError):
                    raise
                log.info("bot %s cannot check older messages: %s", self._bot_id, error.reason)
                return
            self._found(found)

    async def _check_chat(self, account: TelegramAccount, peer_id: int) -> None:
        """Find edits among the newest messages of a direct chat, because no message ids of this chat are recorded."""
        try:
            found = await account.newest(peer_id, limit=PAGE)
        except RetryAfter as error:
            # This flood wait concerns only the checks: the account does everything else.
            raise RetryAfter(error.seconds, error.reason, CHECK_MESSAGES) from error
        except TelegramError as error:
            if isinstance(error, BotDead | TransientError) and not isinstance(error, PassingError):
                raise
            log.info("bot %s cannot check the chat with %s: %s", self._bot_id, peer_id, error.reason)
            return
        self._found([change for change in found if change.edited_at is not None])

    def _found(self, changes: Sequence[MessageNow]) -> None:
        updated = self._updated or set()
        self._received.extend(change for change in changes if (change.peer_id, change.message_id) not in updated)
        self.news.set()
