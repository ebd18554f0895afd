"""Messages of many bots are recorded in one transaction, and what is wrong with one chat concerns that chat alone."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import pytest
from django.db import connections, transaction
from django.utils import timezone

from bots.models import Bot, Cursor
from bots.worker import executor
from bots.worker.cursors import Reader, Recorded, cursor_start
from bots.worker.leases import lease_take
from bots.worker.reading import Reading
from bots.worker.recorder import Recorder
from telegram.types import Author, IncomingMessage
from tests.telegram.bots_support import Listener

SQUARE, YARD = -1_000_000_000_001, -1_000_000_000_002


def said(peer_id: int, message_id: int, text: str = "text") -> IncomingMessage:
    return IncomingMessage(
        peer_id, message_id, 5, "", "", text, timezone.now(), False, None, False, author=Author("person")
    )


class BatchListener(Listener):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def on_messages(self, *, messages: Mapping[UUID, Sequence[IncomingMessage]]) -> None:
        self.batches.append(sum(map(len, messages.values())))
        super().on_messages(messages=messages)


class Readers:
    """Two bots, each of which reads both chats."""

    def __init__(self) -> None:
        self.role, self.recorder = BatchListener(), Recorder()
        self.first, self.second = self._reader("first"), self._reader("second")

    def _reader(self, key: str) -> Reader:
        bot = Bot.objects.create(key=key, role="parser")
        lease = lease_take(bot_id=bot.pk, owner="worker")
        assert lease is not None
        reader = Reader(bot.pk, lease.epoch, self.role)
        for peer_id in (SQUARE, YARD):
            cursor_start(reader=reader, peer_id=peer_id, at=0)
        return reader

    def record(self, **chats: Sequence[IncomingMessage]) -> list[dict[int, Recorded]]:
        """Both bots hear these messages at the same time."""
        by_peer = {messages[0].peer_id: messages for messages in chats.values()}

        async def both() -> list[dict[int, Recorded]]:
            return await asyncio.gather(*(self.recorder.record(each, by_peer) for each in (self.first, self.second)))

        return asyncio.run(both())

    def position(self, reader: Reader, peer_id: int) -> int:
        return Cursor.objects.get(bot_id=reader.bot_id, peer_id=peer_id).last_message_id


@pytest.fixture
def readers(transactional_db: None) -> Iterator[Readers]:
    yield Readers()
    executor.close_connections()


def test_what_bots_hear_at_the_same_time_is_one_batch(readers: Readers):
    recorded = readers.record(square=[said(SQUARE, 1), said(SQUARE, 2)], yard=[said(YARD, 1)])
    assert recorded == [{SQUARE: Recorded(2), YARD: Recorded(1)}] * 2
    assert readers.role.batches == [6]
    again = readers.record(square=[said(SQUARE, 2), said(SQUARE, 3)])
    assert again == [{SQUARE: Recorded(3)}] * 2
    assert [message.message_id for bot, message in readers.role.heard if message.peer_id == SQUARE] == [
        1,
        2,
        1,
        2,
        3,
        3,
    ]


def test_a_full_batch_leaves_the_other_bot_to_the_next_one(readers: Readers, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bots.worker.recorder.FULL", 2)
    recorded = readers.record(square=[said(SQUARE, 1), said(SQUARE, 2), said(SQUARE, 3)])
    assert recorded == [{SQUARE: Recorded(3)}] * 2
    assert readers.role.batches == [3, 3]


def test_recording_stops_before_a_gap_and_counts_it(readers: Readers):
    first, _ = readers.record(square=[said(SQUARE, 1), said(SQUARE, 4)], yard=[said(YARD, 1)])
    assert first == {SQUARE: Recorded(1, gap=True), YARD: Recorded(1)}
    cursor = Cursor.objects.get(bot_id=readers.first.bot_id, peer_id=SQUARE)
    assert (cursor.last_message_id, cursor.gaps, cursor.gap_messages) == (1, 1, 2)


def test_a_bot_whose_lease_is_lost_writes_nothing_and_the_other_does(readers: Readers):
    Bot.objects.filter(pk=readers.second.bot_id).update(lease_epoch=7)
    assert readers.record(square=[said(SQUARE, 1)]) == [{SQUARE: Recorded(1)}, {}]
    assert [bot_id for bot_id, _ in readers.role.heard] == [readers.first.bot_id]
    assert readers.position(readers.second, SQUARE) == 0


def test_a_cursor_that_is_gone_or_locked_delays_no_other_chat(readers: Readers):
    Cursor.objects.filter(bot_id=readers.first.bot_id, peer_id=YARD).delete()
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Cursor.objects.select_for_update().get(bot_id=readers.second.bot_id, peer_id=SQUARE)
            locked.set()
            release.wait(30)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(30)
    try:
        recorded = readers.record(square=[said(SQUARE, 1)], yard=[said(YARD, 1)])
    finally:
        release.set()
        thread.join()
    assert recorded == [{SQUARE: Recorded(1)}, {YARD: Recorded(1)}]


def test_a_message_on_which_the_handler_fails_costs_no_other_chat_its_messages(readers: Readers):
    readers.role.fails_on = lambda message: message.text == "poison"
    first, second = (Reading(reader, readers.recorder) for reader in (readers.first, readers.second))

    async def scenario() -> None:
        for reading in (first, second):
            reading._chats.update((SQUARE, YARD))
        first.inbox.append(said(SQUARE, 1, "poison"))
        first.inbox.append(said(YARD, 1))
        second.inbox.append(said(SQUARE, 1))
        await asyncio.gather(first.take_in(), second.take_in())

    asyncio.run(scenario())
    assert readers.position(readers.first, SQUARE) == 0 and set(first.behind) == {SQUARE}
    assert readers.position(readers.first, YARD) == readers.position(readers.second, SQUARE) == 1
    assert len(readers.role.heard) == 2 and not second.behind
