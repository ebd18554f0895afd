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
        """Find edits among the newest messages of a chat, because its messages are not recorded."""
        try:
            found = await account.newest(peer_id, limit=PAGE)
        except RetryAfter as error:
            # This flood wait concerns only the checks: the account does everything else.
            raise RetryAfter(error.seconds, error.reason, CHECK_MESSAGES) from error
        except TelegramError as error:
            if isinstance(error, BotDead | TransientError) and not isinstance(error, PassingError):
                raise
            log.info("bot %s cannot check the chat %s: %s", self._bot_id, peer_id, error.reason)
            return
        self._found([change for change in found if change.edited_at is not None])

    def _found(self, changes: Sequence[MessageNow]) -> None:
        updated = self._updated or set()
        self._received.extend(change for change in changes if (change.peer_id, change.message_id) not in updated)
        self.news.set()
