"""Reads one bot's chats and records each message once and in order, from updates or from the history.

Two tasks use it: one records live messages (`take_in`), the other reads histories (`catch_up`), so that a long or slow
history delays nothing else. A chat belongs to one of them at any time: while the chat is behind, its live messages are
left out and read from the history, because recording one would move the cursor past unread messages. The history of a
direct chat or basic group is also read after each connect, and after an update in which Telegram did not report
everything, until it is known whether the chat's cursor is at the newest message.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby

from django.db import InterfaceError, OperationalError

from bots.chats.permission_suspension import reading_refused
from bots.roles import End
from bots.worker.cursors import (
    DIRECT_CHATS_SEEN,
    CursorGone,
    Reader,
    Recorded,
    cursor_follow,
    cursor_start,
    cursor_start_direct,
    cursors_of,
    cursors_start_direct,
    message_skip,
    messages_record,
)
from bots.worker.executor import in_db
from bots.worker.fair_shares import FairInbox, HistoryTurns
from bots.worker.leases import LeaseLost
from bots.worker.recorder import Recorder
from telegram.client import TelegramAccount
from telegram.errors import BotDead, ChatRefuses, PassingError, RetryAfter, TelegramError, TransientError
from telegram.types import Dialog, IncomingMessage, is_supergroup

# Messages in one request for a history, and in one transaction.
PAGE = 100
# The most live messages of one bot in one batch.
LIVE = 200
# How often a handler may fail on a message before the message is skipped, and the wait after each failure (seconds).
TRIES = 3
RETRY_SECONDS = 1.0
# Seconds before a bot tries again to read a history that Telegram refused.
REFUSED_SECONDS = 60.0

log = logging.getLogger(__name__)


def _author_missing(message: IncomingMessage) -> bool:
    return message.author.kind == "unknown" and not (message.outgoing or message.service)


@dataclass(frozen=True)
class Behind:
    """A chat whose history has to be read before its live messages count. Each request makes a new object.

    `not_before` is on time.monotonic(). `live` is the first live message that was left out.
    """

    not_before: float = 0.0
    live: int | None = None


class Reading:
    """The reading of one bot during one lease; `account` is set anew after each reconnect.

    Bots of one process that read chats share a `recorder`.
    """

    def __init__(self, reader: Reader, recorder: Recorder | None = None) -> None:
        self.reader = reader
        self._recorder = recorder or Recorder()
        self.account: TelegramAccount | None = None
        self.inbox = FairInbox()
        # Chats whose histories are to be read.
        self.behind: dict[int, Behind] = {}
        self._turns = HistoryTurns()
        # Chats that are to be read to the end, and those where this was done, as the role's handler wishes.
        self._to_ends: set[End] = set()
        self.at_end: set[End] = set()
        # Set when a chat has fallen behind.
        self.has_work = asyncio.Event()
        # Set while no history is due to be read.
        self.caught_up = asyncio.Event()
        # Grows whenever Telegram has not reported everything: a list of chats requested before that does not count.
        self.doubts = 0
        self._chats: set[int] = set()
        # Whether a list of chats has shown all chats with missed messages.
        self._compared = False
        # Chats whose live messages follow the last recorded one.
        self._sure: set[int] = set()
        # The last message that was read from the history of a chat that is behind. The chat may have no cursor: none is
        # kept for a person whose data was erased.
        self._passed: dict[int, int] = {}
        self._failures: dict[tuple[int, int], int] = {}
        # Basic groups that were upgraded to supergroups, and whether their histories were read to the end.
        self._read_to_end: dict[int, bool] = {}
        # Called when such a group was read to the end, so that its supergroup can be watched.
        self.when_read_out: Callable[[], None] = lambda: None

    def begin(self, account: TelegramAccount) -> None:
        """Start a new connection: the positions of all chats are unknown until `compare`."""
        self.account = account
        self.behind.clear()
        self._to_ends.clear()
        self.at_end.clear()
        self.doubt()

    def doubt(self) -> None:
        """Note that Telegram may have left out updates from before this moment."""
        self.doubts += 1
        self._sure.clear()
        self._compared = False

    def mark(self, peer_id: int) -> None:
        """Read the history of this chat soon, if the bot reads the chat."""
        if peer_id in self._chats:
            self._fall_behind(peer_id)

    def read_to_ends(self, wanted: Collection[End]) -> None:
        """Read these chats up to their newest message of now or later; then they are in `at_end`."""
        self._to_ends &= set(wanted)
        self.at_end &= set(wanted)
        for end in set(wanted) - self._to_ends - self.at_end:
            if end[0] in self._chats:
                self._to_ends.add(end)
                self._fall_behind(end[0])

    async def compare(self, dialogs: Iterable[Dialog], *, doubts: int) -> None:
        """Find the chats with messages that were not recorded.

        `doubts` is the value of `self.doubts` from before `dialogs` were requested.
        """
        listed = list(dialogs)
        behind: set[int] = set()
        sure: set[int] = set()
        if self.reader.handler.reads_private:
            private = [self._as_before(dialog) for dialog in listed if dialog.kind == "private"]
            positions = await in_db(cursors_start_direct, reader=self.reader, dialogs=private)
            tops = {dialog.peer_id: dialog.top_message_id for dialog in listed if dialog.kind == "private"}
            behind |= {peer for peer, top in tops.items() if top > positions.get(peer, top)}
            sure |= tops.keys() - behind
        if self.reader.handler.reads_chats:
            positions = await in_db(cursors_of, self.reader.bot_id)
            tops = {dialog.peer_id: dialog.top_message_id for dialog in listed}
            late = {peer for peer in self._chats if tops.get(peer, 1) > positions.get(peer, 0)}
            behind |= late
            sure |= self._chats - late
        for peer_id in behind:
            self._fall_behind(peer_id)
        if doubts == self.doubts:
            self._sure |= sure
            self._compared = True

    def _as_before(self, dialog: Dialog) -> Dialog:
        """The dialog without the messages since the connection began.

        They are new, even in a chat older than the bot.
        """
        behind = self.behind.get(dialog.peer_id)
        if behind is None or behind.live is None:
            return dialog
        return replace(dialog, top_message_id=min(dialog.top_message_id, behind.live - 1))

    async def watch(self, peer_id: int, *, former: int | None = None) -> None:
        """Read a chat from now on: from its cursor if there is one, else from its newest message.

        `former` is the basic group that the chat was upgraded from. If the bot read the group, the bot first reads the
        group to its end and then this chat from its beginning.
        """
        if not self.reader.handler.reads_chats or peer_id in self._chats or self.account is None:
            return
        positions = await in_db(cursors_of, self.reader.bot_id)
        if former is not None and former in positions:
            if not self._read_out(former):
                return
            await in_db(cursor_follow, reader=self.reader, former=former, peer_id=peer_id)
            del self._read_to_end[former]
        elif peer_id not in positions:
            top = await self.account.top_message_id(peer_id)
            await in_db(cursor_start, reader=self.reader, peer_id=peer_id, at=top)
        self._chats.add(peer_id)
        self._fall_behind(peer_id)

    def _read_out(self, peer_id: int) -> bool:
        """Whether everything readable in a group that was upgraded is recorded.

        If not, the group's history is read now, and `when_read_out` is called afterwards.
        """
        self._chats.discard(peer_id)
        if self._read_to_end.get(peer_id):
            return True
        self._read_to_end[peer_id] = False
        if peer_id not in self.behind:
            self._fall_behind(peer_id)
        return False

    def reads(self, peer_id: int) -> bool:
        """Whether `watch` has nothing to do for this chat."""
        return not self.reader.handler.reads_chats or peer_id in self._chats

    def reads_chat(self, peer_id: int) -> bool:
        """Whether the bot reads this group or channel now."""
        return peer_id in self._chats

    def keep_only(self, peer_ids: set[int]) -> None:
        """Stop reading the chats that are not among these."""
        for peer_id in self._chats - peer_ids:
            self._drop(peer_id)

    async def take_in(self) -> None:
        """Record live messages, except those that are to be read from the history."""
        live = [message for message in self.inbox.take(LIVE) if self.wants(message)]
        live.sort(key=lambda message: (message.peer_id, message.message_id))
        ready: dict[int, list[IncomingMessage]] = {}
        for peer_id, grouped in groupby(live, key=lambda message: message.peer_id):
            messages = list(grouped)
            known = is_supergroup(peer_id) or peer_id in self._sure
            # The history contains the author of a message.
            if peer_id in self.behind or not known or any(map(_author_missing, messages)):
                self._fall_behind(peer_id, live=messages[0].message_id)
            else:
                ready[peer_id] = messages
        # A direct message may lock more than its cursor, so each direct chat has a transaction of its own.
        together = {} if self.reader.handler.reads_private else await self._recorder.record(self.reader, ready)
        for peer_id, recorded in together.items():
            self._recorded(peer_id, recorded, live=True)
        for peer_id in ready.keys() - together.keys():
            await self._record(peer_id, ready[peer_id], live=True)

    def wants(self, message: IncomingMessage) -> bool:
        """Whether the bot reads the chat of this message now."""
        return self.reader.handler.reads_private if message.private else message.peer_id in self._chats

    def _fall_behind(self, peer_id: int, *, live: int | None = None, seconds: float = 0.0) -> None:
        """Mark the history as to be read.

        `live` is a live message that was left out: a history that was requested before may lack it. `seconds` is the
        time before the history may be read.
        """
        before = self.behind.get(peer_id, Behind())
        not_before = time.monotonic() + seconds if seconds else before.not_before
        self.behind[peer_id] = Behind(not_before, live if before.live is None else before.live)
        if not seconds:
            self.caught_up.clear()
        self.has_work.set()

    @property
    def due(self) -> float:
        """When (on time.monotonic()) the next history is due to be read; infinity if there is none."""
        return min((behind.not_before for behind in self.behind.values()), default=float("inf"))

    async def catch_up(self) -> bool:
        """Read one page of one chat's history; the chats take turns. Returns False if no history is due now."""
        now = time.monotonic()
        peer_id = self._turns.next([peer for peer, behind in self.behind.items() if behind.not_before <= now])
        if peer_id is None:
            self.caught_up.set()
            return False
        try:
            await self._read_page(peer_id)
        except TelegramError as error:
            if isinstance(error, BotDead | TransientError) and not isinstance(error, PassingError):
                raise
            if isinstance(error, ChatRefuses):
                await in_db(reading_refused, bot_id=self.reader.bot_id, peer_id=peer_id, error=error)
            wait = error.seconds if isinstance(error, RetryAfter) else REFUSED_SECONDS
            log.warning("bot %s cannot read the history of %s: %s", self.reader.bot_id, peer_id, error.reason)
            self._fall_behind(peer_id, seconds=wait)
            if peer_id in self._read_to_end and not isinstance(error, RetryAfter | PassingError):
                self._caught_up_with(peer_id)
        return True

    async def _read_page(self, peer_id: int) -> None:
        """Read one page of the history after the cursor."""
        assert self.account is not None
        request = self.behind[peer_id]
        after = await self._position(peer_id, request)
        if after is None:
            self._drop(peer_id)
            return
        if request.live is not None:
            await self.account.learn_author(peer_id, message_id=request.live)
        page = await self.account.history(peer_id, after_id=after, limit=PAGE)
        if not page:
            # If another live message was left out meanwhile, the history is read again.
            if self.behind.get(peer_id) is request:
                self._caught_up_with(peer_id)
            return
        # After a failure of a handler, record messages one by one: this finds the message that causes the failure.
        careful = any(peer == peer_id for peer, _ in self._failures)
        await self._record(peer_id, page[:1] if careful else page, live=False)

    async def _position(self, peer_id: int, request: Behind) -> int | None:
        """The id of the message to read after, or None if the bot does not read the chat any more."""
        cursors = await in_db(cursors_of, self.reader.bot_id)
        position = cursors.get(peer_id)
        if position is None and peer_id < 0:
            return None
        if position is None and request.live is not None and (self._compared or DIRECT_CHATS_SEEN not in cursors):
            # Either no message of this chat was missed, or the bot connects for the first time and older messages do
            # not count.
            position = await in_db(cursor_start_direct, reader=self.reader, peer_id=peer_id, at=request.live - 1)
        return max(position or 0, self._passed.get(peer_id, 0))

    def _caught_up_with(self, peer_id: int) -> None:
        self.behind.pop(peer_id, None)
        self._passed.pop(peer_id, None)
        self._sure.add(peer_id)
        done = {end for end in self._to_ends if end[0] == peer_id}
        self._to_ends -= done
        self.at_end |= done
        if peer_id in self._read_to_end:
            self._read_to_end[peer_id] = True
            self.when_read_out()

    def _drop(self, peer_id: int) -> None:
        """Stop reading a chat. `watch` starts it again if it is wanted."""
        self._chats.discard(peer_id)
        self._sure.discard(peer_id)
        self._passed.pop(peer_id, None)
        self.behind.pop(peer_id, None)
        self._turns.forget(peer_id)

    async def _record(self, peer_id: int, messages: list[IncomingMessage], *, live: bool) -> None:
        gapless = live and is_supergroup(peer_id)
        try:
            recorded = await in_db(
                messages_record, reader=self.reader, peer_id=peer_id, messages=messages, gapless=gapless
            )
        except LeaseLost:
            raise
        except CursorGone:
            self._drop(peer_id)
            return
        except (OperationalError, InterfaceError) as error:
            log.warning("bot %s: the database fails while reading: %s", self.reader.bot_id, error)
            self._fall_behind(peer_id, seconds=RETRY_SECONDS)
            return
        except Exception as error:
            await self._failed(peer_id, messages, error)
            return
        self._recorded(peer_id, recorded, live=live)

    def _recorded(self, peer_id: int, recorded: Recorded, *, live: bool) -> None:
        if self._failures:
            self._failures = {place: count for place, count in self._failures.items() if place[0] != peer_id}
        if recorded.gap:
            self._fall_behind(peer_id)
        elif not live:
            self._passed[peer_id] = recorded.position

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
        self._fall_behind(peer_id, seconds=RETRY_SECONDS)
