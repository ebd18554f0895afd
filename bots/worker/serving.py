"""The tasks of a bot's session during one connection, separate so that none delays the recording of new messages.

Listing the account's chats, entering them, reading histories and checking older messages all wait for Telegram, each up
to its own time limit. Meanwhile incoming messages are recorded at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn

from django.db import Error as DatabaseFailure

from bots.worker.dialog_listing import listed_later, wait_for_list
from bots.worker.leases import LeaseLost
from bots.worker.membership import Membership
from bots.worker.message_changes import MessageChanges
from bots.worker.past_reading import PastReading
from bots.worker.reading import Reading
from bots.worker.topic_titles import TopicTitles
from telegram.client import TelegramAccount
from telegram.errors import BotDead, RetryAfter, TelegramError, TransientError
from telegram.types import IncomingMessage, MessageNow

# Seconds between checks of the chats that the bot is to be in.
CHATS_SECONDS = 5.0
# Seconds between lists of chats that are requested because Telegram has not reported everything.
MISSED_SECONDS = 5.0


class Serving:
    """One connection of one bot. Create it before the account connects, so that no update is lost.

    `when_ready` is awaited when the bot is in its chats and has read their histories; `when_late` is called when this
    is no longer so.
    """

    def __init__(
        self,
        *,
        account: TelegramAccount,
        reading: Reading,
        membership: Membership,
        changes: MessageChanges,
        when_ready: Callable[[], Awaitable[None]],
        when_late: Callable[[], None],
    ) -> None:
        self._account = account
        self._reading = reading
        self._membership = membership
        self._changes = changes
        self._when_ready, self._when_late = when_ready, when_late
        self._news = changes.news
        self._look_now = asyncio.Event()
        self._missed = asyncio.Event()
        self._compared = 0.0
        # Set after the first check of the wanted chats.
        self._looked = asyncio.Event()
        self._reported: asyncio.Future[BotDead] = asyncio.get_running_loop().create_future()
        self._topics = TopicTitles()
        # Forums whose topics are requested once the bot reads them.
        self._forums: set[int] = set()
        reading.begin(account)
        reading.when_read_out = self.check_chats_now
        handler = reading.reader.handler
        if handler.reads_chats or handler.reads_private:
            account.on_message(self._on_message)
            account.on_missed(self._updates_missed)
        account.on_change(self._on_change)
        account.on_chats_changed(self._on_chats_changed)

    def check_chats_now(self) -> None:
        """Check at once which chats the bot is to join, without waiting for the next round."""
        self._look_now.set()

    def report(self, error: BotDead) -> None:
        if not self._reported.done():
            self._reported.set_result(error)

    def _on_message(self, message: IncomingMessage) -> None:
        if message.topic_id is not None and self._reading.reads_chat(message.peer_id):
            self._topics.saw(message.peer_id, message.topic_id)
        # A chat that is watched later is read from its history.
        if self._reading.wants(message):
            self._reading.inbox.append(message)
            self._news.set()

    def _on_change(self, change: MessageNow) -> None:
        self._changes.receive(change)

    def _on_chats_changed(self, upgraded: int | None) -> None:
        if upgraded is not None:
            self._membership.upgraded.add(upgraded)
        if self._membership.retry_approvals() or upgraded is not None:
            self.check_chats_now()

    def _updates_missed(self, peer_id: int | None) -> None:
        """Note missing updates. Called before any update that Telegram sends after them."""
        if peer_id is not None:
            self._reading.mark(peer_id)
            return
        self._reading.doubt()
        self._missed.set()
        self._when_late()

    async def run(self) -> NoReturn:
        """Serve until an error ends the connection, and raise that error.

        Raises LeaseLost, BotDead, RetryAfter, TransientError when the connection is lost, or any unforeseen error.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for part in self._parts():
                    tasks.create_task(part(), name=f"{part.__name__} {self._reading.reader.bot_id}")
        except BaseExceptionGroup as errors:
            raise gravest(errors) from None
        raise AssertionError("a connection is served until something ends it")

    def _parts(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        parts: list[Callable[[], Coroutine[Any, Any, None]]]
        parts = [self._end, self._take_in, self._catch_up, self._look_after, self._keep_ready, self._learn_topics]
        return [*parts, self._read_past] if self._reading.reader.handler.reads_chats else parts

    async def _read_past(self) -> NoReturn:
        """Read older messages again when nothing else is to be read."""
        await self._looked.wait()
        await PastReading(self._account, self._reading).run()

    async def _end(self) -> None:
        ends: list[asyncio.Future[Any]] = [self._account.closed, self._reported]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self._reported.done():
            raise self._reported.result()
        raise self._account.closed.result() or TransientError("CONNECTION_LOST")

    async def _take_in(self) -> None:
        """Record incoming messages and changes."""
        while True:
            self._news.clear()
            await self._reading.take_in()
            await self._changes.take_in(catching_up=bool(self._reading.behind))
            if not self._reading.inbox:
                await _until(self._news, self._changes.due)

    async def _catch_up(self) -> None:
        """Read histories."""
        while True:
            self._reading.has_work.clear()
            if not await self._reading.catch_up():
                await _until(self._reading.has_work, self._reading.due)

    async def _learn_topics(self) -> None:
        """Learn the titles of forums' topics."""
        await self._topics.learn(self._account)

    async def _look_after(self) -> None:
        """Enter the chats that the bot is to be in."""
        await self._list_first()
        while True:
            self._look_now.clear()
            await self._membership.look_after(self._account)
            for peer_id in [peer_id for peer_id in self._forums if self._reading.reads_chat(peer_id)]:
                self._forums.discard(peer_id)
                self._topics.want(peer_id)
            self._looked.set()
            await _until(self._look_now, time.monotonic() + CHATS_SECONDS)

    async def _list_first(self) -> None:
        """List the chats for the first time, however often Telegram refuses. Other tasks record messages meanwhile."""
        await wait_for_list(self._reading.reader)
        while True:
            try:
                await self._compare(first=True)
                return
            except TelegramError as error:
                await listed_later(self._reading.reader, error)

    async def _compare(self, *, first: bool = False) -> None:
        """List the account's chats and find those with messages that were not recorded."""
        doubts = self._reading.doubts
        dialogs = await self._account.dialogs()
        if first:
            await self._membership.begin(dialogs)
        await self._reading.compare(dialogs, doubts=doubts)
        self._forums.update(dialog.peer_id for dialog in dialogs if dialog.forum)
        self._compared = time.monotonic()

    async def _keep_ready(self) -> None:
        """Report the bot as ready to send while it has read all messages written to it."""
        await self._looked.wait()
        while True:
            while self._missed.is_set():
                await self._compare_again()
            await self._reading.caught_up.wait()
            if self._missed.is_set():
                continue
            await self._when_ready()
            if self._missed.is_set():
                self._when_late()
            # Deliveries need not wait for this.
            await self._changes.look_back(self._account)
            await self._missed.wait()

    async def _compare_again(self) -> None:
        await asyncio.sleep(self._compared + MISSED_SECONDS - time.monotonic())
        self._missed.clear()
        try:
            await self._compare()
        except TelegramError as error:
            self._missed.set()
            await listed_later(self._reading.reader, error)


async def _until(event: asyncio.Event, moment: float) -> None:
    """Wait until the event is set, or until the moment on time.monotonic()."""
    try:
        async with asyncio.timeout(max(0.0, moment - time.monotonic()) if moment != float("inf") else None):
            await event.wait()
    except TimeoutError:
        pass


def gravest(errors: BaseExceptionGroup) -> BaseException:
    """The error of a group that decides how the session continues."""
    found = _leaves(errors)

    def weight(error: BaseException) -> int:
        if isinstance(error, LeaseLost):
            return 0
        if isinstance(error, BotDead):
            return 1
        if isinstance(error, RetryAfter):
            return 2
        return 4 if isinstance(error, TelegramError | DatabaseFailure) else 3

    return min(found, key=weight)


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for nested in error.exceptions for leaf in _leaves(nested)]
