"""Reading what one bot's chats say: each message once and in order, from updates, else from the history.

Only this task writes the bot's cursors, so between a look at the history and the next live message nothing slips by:
live messages wait in `inbox` meanwhile, and duplicates fall at the cursor.
"""

import logging
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from itertools import groupby

from django.db import InterfaceError, OperationalError

from bots.cursors import (
    CursorGone,
    Reader,
    cursor_follow,
    cursor_start,
    cursors_of,
    cursors_start_direct,
    message_skip,
    messages_record,
)
from bots.executor import in_db
from bots.leases import LeaseLost
from bots.unwelcome import reading_refused
from telegram.client import TelegramAccount
from telegram.errors import BotDead, ChatRefuses, PassingError, RetryAfter, TelegramError, TransientError
from telegram.types import Dialog, IncomingMessage, is_supergroup

# Messages asked for at once, and recorded in one transaction.
PAGE = 100
# How often a handler may fail on a message before the message is skipped, and the wait after each (seconds).
TRIES = 3
RETRY_SECONDS = 1.0
# Before a chat whose history is refused is tried again (seconds).
REFUSED_SECONDS = 60.0

log = logging.getLogger(__name__)


def _author_missing(message: IncomingMessage) -> bool:
    return message.author.kind == "unknown" and not (message.outgoing or message.service)


class Reading:
    """The reading of one bot during one lease; `account` is set anew after each reconnect."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.account: TelegramAccount | None = None
        self.inbox: deque[IncomingMessage] = deque()
        # Chats to be read from their history before their live messages count: peer id → not before (monotonic).
        self.behind: dict[int, float] = {}
        self._chats: set[int] = set()
        self._failures: dict[tuple[int, int], int] = {}

    async def begin(self, account: TelegramAccount, dialogs: Iterable[Dialog]) -> None:
        """A new connection: everything that was read before is compared with where the chats stand now."""
        self.account = account
        self.behind.clear()
        dialogs = list(dialogs)
        if self.reader.handler.reads_private:
            positions = await in_db(cursors_start_direct, reader=self.reader, dialogs=dialogs)
            tops = {dialog.peer_id: dialog.top_message_id for dialog in dialogs if dialog.kind == "private"}
            self.behind.update({peer: 0.0 for peer, top in tops.items() if top > positions.get(peer, top)})
        if self.reader.handler.reads_chats:
            positions = await in_db(cursors_of, self.reader.bot_id)
            tops = {dialog.peer_id: dialog.top_message_id for dialog in dialogs}
            for peer in self._chats:
                if tops.get(peer, 1) > positions.get(peer, 0):
                    self.behind[peer] = 0.0

    async def watch(self, peer_id: int, *, former: int | None = None) -> None:
        """Read a chat from now on: from the cursor if it has one, else from its newest message. `former`: the basic
        group that it was; if that was read, it is read to its end, and then this one from its beginning."""
        if not self.reader.handler.reads_chats or peer_id in self._chats or self.account is None:
            return
        positions = await in_db(cursors_of, self.reader.bot_id)
        if former is not None and former in positions:
            if not await self._read_out(former):
                return
            await in_db(cursor_follow, reader=self.reader, former=former, peer_id=peer_id)
        elif peer_id not in positions:
            top = await self.account.top_message_id(peer_id)
            await in_db(cursor_start, reader=self.reader, peer_id=peer_id, at=top)
        self._chats.add(peer_id)
        self.behind[peer_id] = 0.0

    async def _read_out(self, peer_id: int) -> bool:
        """Whether everything in a group that takes no more messages is recorded, as far as it can be read."""
        try:
            while await self._read_page(peer_id):
                pass
        except (BotDead, TransientError, RetryAfter):
            raise
        except TelegramError as error:
            log.warning("bot %s: the end of %s cannot be read: %s", self.reader.bot_id, peer_id, error.reason)
            self.behind.pop(peer_id, None)
        self._chats.discard(peer_id)
        # Something could not be recorded yet: it is tried again at the next look.
        return self.behind.pop(peer_id, None) is None

    def reads(self, peer_id: int) -> bool:
        """Whether `watch` has nothing to do for this chat."""
        return not self.reader.handler.reads_chats or peer_id in self._chats

    def keep_only(self, peer_ids: set[int]) -> None:
        """Stop reading the chats that are not among these."""
        for peer_id in self._chats - peer_ids:
            self.behind.pop(peer_id, None)
        self._chats &= peer_ids

    @property
    def overdue(self) -> bool:
        """Whether there is something to do at once."""
        return bool(self.inbox) or any(at <= time.monotonic() for at in self.behind.values())

    async def take_in(self) -> None:
        """Record what is there: first the chats that are behind, then what came in live."""
        await self._catch_up()
        live = [message for message in self._taken() if self._wanted(message)]
        live.sort(key=lambda message: (message.peer_id, message.message_id))
        for peer_id, messages in groupby(live, key=lambda message: message.peer_id):
            if peer_id in self.behind:
                continue
            found = list(messages)
            if any(map(_author_missing, found)):
                await self._ask_history(peer_id, found[0])
            else:
                await self._record(peer_id, found, live=True)

    async def _ask_history(self, peer_id: int, first: IncomingMessage) -> None:
        """Read these messages again from the history, which describes their authors; nothing before them."""
        if first.private:
            # A direct chat without a cursor would be read from its beginning.
            await in_db(cursor_start, reader=self.reader, peer_id=peer_id, at=first.message_id - 1)
        self.behind[peer_id] = 0.0

    def _taken(self) -> list[IncomingMessage]:
        return [self.inbox.popleft() for _ in range(min(len(self.inbox), PAGE))]

    def _wanted(self, message: IncomingMessage) -> bool:
        return self.reader.handler.reads_private if message.private else message.peer_id in self._chats

    async def _catch_up(self) -> None:
        for peer_id in [peer for peer, at in self.behind.items() if at <= time.monotonic()]:
            try:
                while await self._read_page(peer_id):
                    pass
            except TelegramError as error:
                if isinstance(error, BotDead | TransientError) and not isinstance(error, PassingError):
                    raise
                if isinstance(error, ChatRefuses):
                    await in_db(reading_refused, bot_id=self.reader.bot_id, peer_id=peer_id, error=error)
                wait = error.seconds if isinstance(error, RetryAfter) else REFUSED_SECONDS
                log.warning("bot %s cannot read the history of %s: %s", self.reader.bot_id, peer_id, error.reason)
                self.behind[peer_id] = time.monotonic() + wait

    async def _read_page(self, peer_id: int) -> bool:
        """One page of the history after the cursor. False: nothing more to do now."""
        assert self.account is not None
        after = (await in_db(cursors_of, self.reader.bot_id)).get(peer_id)
        if after is None and peer_id < 0:
            self._drop(peer_id)
            return False
        page = await self.account.history(peer_id, after_id=after or 0, limit=PAGE)
        if not page:
            self.behind.pop(peer_id, None)
            return False
        # One at a time where a handler has failed: the good ones get through, the bad one is known.
        careful = any(peer == peer_id for peer, _ in self._failures)
        return await self._record(peer_id, page[:1] if careful else page, live=False)

    def _drop(self, peer_id: int) -> None:
        """Its cursor is gone: nobody wanted the chat for a while. If it is wanted, `watch` begins anew."""
        self._chats.discard(peer_id)
        self.behind.pop(peer_id, None)

    async def _record(self, peer_id: int, messages: list[IncomingMessage], *, live: bool) -> bool:
        gapless = live and is_supergroup(peer_id)
        try:
            recorded = await in_db(
                messages_record, reader=self.reader, peer_id=peer_id, messages=messages, gapless=gapless
            )
        except LeaseLost:
            raise
        except CursorGone:
            self._drop(peer_id)
            return False
        except (OperationalError, InterfaceError) as error:
            log.warning("bot %s: the database fails while reading: %s", self.reader.bot_id, error)
            self.behind[peer_id] = time.monotonic() + RETRY_SECONDS
            return False
        except Exception as error:
            await self._failed(peer_id, messages, error)
            return False
        self._failures = {place: count for place, count in self._failures.items() if place[0] != peer_id}
        if recorded.gap:
            self.behind[peer_id] = 0.0
        return True

    async def _failed(self, peer_id: int, messages: list[IncomingMessage], error: Exception) -> None:
        place = (peer_id, messages[0].message_id)
        if len(messages) == 1:
            self._failures[place] = self._failures.get(place, 0) + 1
        else:
            self._failures.setdefault(place, 0)
        log.exception("bot %s: a message of chat %s could not be recorded", self.reader.bot_id, peer_id)
        if self._failures[place] >= TRIES:
            with suppress(CursorGone):
                await in_db(message_skip, reader=self.reader, message=messages[0], error=error)
            del self._failures[place]
        self.behind[peer_id] = time.monotonic() + RETRY_SECONDS
