"""A busy chat or account and the others beside it: how many pages, batches or calls the others wait for."""

import asyncio
import threading
from collections.abc import Awaitable, Iterable, Iterator
from contextvars import copy_context
from typing import Any

import pytest
from django.utils import timezone

from bots.models import Bot, Cursor
from bots.worker import executor
from bots.worker.cursors import Reader
from bots.worker.executor import THREADS, in_db, own_share
from bots.worker.fair_shares import SHARE, FairInbox
from bots.worker.leases import lease_take
from bots.worker.reading import LIVE, PAGE, Reading
from bots.worker.recorder import Recorder
from telegram.types import Author, Dialog, IncomingMessage
from tests.telegram.bots_support import Listener

BUSY, QUIET, QUIETER = -1_000_000_000_001, -1_000_000_000_002, -1_000_000_000_003


def said(peer_id: int, message_id: int) -> IncomingMessage:
    return IncomingMessage(
        peer_id, message_id, 5, "", "", "text", timezone.now(), False, None, False, author=Author("person")
    )


class FullHistories:
    """An account whose chats have messages with the ids from 1 to `tops[peer_id]`."""

    def __init__(self, **_: Any) -> None:
        self.tops: dict[int, int] = {}
        self.pages: list[int] = []

    async def top_message_id(self, peer_id: int) -> int:
        return self.tops.get(peer_id, 0)

    async def learn_author(self, peer_id: int, *, message_id: int) -> None:
        pass

    async def history(self, peer_id: int, *, after_id: int, limit: int) -> list[IncomingMessage]:
        self.pages.append(peer_id)
        last = min(self.tops.get(peer_id, 0), after_id + limit)
        return [said(peer_id, number) for number in range(after_id + 1, last + 1)]

    def dialogs(self) -> list[Dialog]:
        return [Dialog(peer_id, top, "chat", "supergroup") for peer_id, top in self.tops.items()]


class Reads:
    """The reading of one account, which has read its chats up to the newest message."""

    def __init__(self, key: str = "ears", recorder: Recorder | None = None) -> None:
        bot = Bot.objects.create(key=key, role="parser")
        lease = lease_take(bot_id=bot.pk, owner="worker")
        assert lease is not None
        self.role, self.account = Listener(), FullHistories()
        self.reading = Reading(Reader(bot.pk, lease.epoch, self.role), recorder)

    async def begin(self, *peer_ids: int) -> None:
        self.reading.begin(self.account)  # type: ignore[arg-type]
        for peer_id in peer_ids:
            await self.reading.watch(peer_id)
        while await self.reading.catch_up():
            pass
        self.account.pages.clear()

    def heard(self, peer_id: int) -> list[int]:
        return [message.message_id for _, message in self.role.heard if message.peer_id == peer_id]


@pytest.fixture
def reads(transactional_db: None) -> Iterator[Reads]:
    yield Reads()
    executor.close_connections()


def test_a_flood_in_one_chat_delays_live_messages_of_others_by_a_batch(reads: Reads):
    async def scenario() -> list[int]:
        await reads.begin(BUSY, QUIET)
        for number in range(1, 10_001):
            reads.reading.inbox.append(said(BUSY, number))
        reads.reading.inbox.append(said(QUIET, 1))
        await reads.reading.take_in()
        first = reads.heard(BUSY)
        assert reads.heard(QUIET) == [1]
        await reads.reading.take_in()
        return first

    first = asyncio.run(scenario())
    assert first == list(range(1, LIVE)) and reads.heard(BUSY) == list(range(1, 2 * LIVE))


def test_an_account_with_a_flood_shares_each_batch_with_the_others(reads: Reads):
    recorder = Recorder()
    busy, quiet = Reads("busy", recorder), Reads("quiet", recorder)

    async def scenario() -> None:
        await busy.begin(BUSY)
        await quiet.begin(QUIET)
        for number in range(1, 10_001):
            busy.reading.inbox.append(said(BUSY, number))
        quiet.reading.inbox.append(said(QUIET, 1))
        await asyncio.gather(busy.reading.take_in(), quiet.reading.take_in())

    asyncio.run(scenario())
    assert quiet.heard(QUIET) == [1] and len(busy.heard(BUSY)) == LIVE


def test_one_chat_with_much_to_catch_up_leaves_every_second_page_to_the_other(reads: Reads):
    async def scenario() -> None:
        await reads.begin(BUSY, QUIET)
        reads.account.tops = {BUSY: 10_000, QUIET: 3 * PAGE}
        await reads.reading.compare(reads.account.dialogs(), doubts=reads.reading.doubts)
        for _ in range(6):
            await reads.reading.catch_up()

    asyncio.run(scenario())
    assert reads.account.pages.count(QUIET) == 3
    assert reads.heard(QUIET) == list(range(1, 3 * PAGE + 1))
    assert reads.heard(BUSY) == list(range(1, 3 * PAGE + 1))


def test_connections_that_are_lost_after_each_page_do_not_begin_with_the_same_chat_each_time(reads: Reads):
    peer_ids = [BUSY, QUIET, QUIETER]

    async def scenario() -> None:
        await reads.begin(*peer_ids)
        reads.account.tops = dict.fromkeys(peer_ids, 10_000)
        for _ in range(6):
            reads.reading.begin(reads.account)  # type: ignore[arg-type]
            await reads.reading.compare(reads.account.dialogs(), doubts=reads.reading.doubts)
            await reads.reading.catch_up()

    asyncio.run(scenario())
    assert {peer_id: reads.account.pages.count(peer_id) for peer_id in peer_ids} == dict.fromkeys(peer_ids, 2)
    assert dict(Cursor.objects.values_list("peer_id", "last_message_id")) == dict.fromkeys(peer_ids, 2 * PAGE)


def test_a_message_waits_for_at_most_a_share_of_each_other_chat():
    inbox = FairInbox()
    chats = range(-10, 0)
    for peer_id in chats:
        for number in range(50):
            inbox.append(said(peer_id, number))
    inbox.append(said(7, 1))
    before: list[IncomingMessage] = []
    while not any(message.peer_id == 7 for message in before):
        before += inbox.take(15)
    assert len(before) <= len(chats) * SHARE + 15
    assert len(inbox) == len(chats) * 50 + 1 - len(before)
    rest = [*before, *the_rest(inbox)]
    for peer_id in chats:
        assert [message.message_id for message in rest if message.peer_id == peer_id] == list(range(50))


def the_rest(inbox: FairInbox) -> Iterable[IncomingMessage]:
    while inbox:
        yield from inbox.take(7)


def test_an_account_whose_calls_hang_leaves_threads_to_the_others():
    release, running = threading.Event(), []

    def hang() -> None:
        running.append(1)
        release.wait(30)

    async def busy() -> None:
        own_share()
        await asyncio.gather(*(in_db(hang) for _ in range(2 * THREADS)))

    async def quiet() -> str:
        own_share()
        return await in_db(lambda: "done")

    async def scenario() -> str:
        task = asyncio.create_task(busy(), context=copy_context())
        try:
            while not running:
                await asyncio.sleep(0)
            return await within_some_seconds(quiet())
        finally:
            release.set()
            await task

    assert asyncio.run(scenario()) == "done"
    assert len(running) == 2 * THREADS


async def within_some_seconds(work: Awaitable[str]) -> str:
    async with asyncio.timeout(20):
        return await work
