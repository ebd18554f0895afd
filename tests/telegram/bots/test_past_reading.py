"""Older messages are read again when a room asks for them, beside live ones and without a trace in the cursors."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from bots import roles
from bots.models import Cursor
from bots.roles import PastPage
from campaigns.models import Chat
from sandbox.world.faults import Fault
from telegram.types import OlderMessages
from tests.support import wait_until
from tests.telegram.bots_support import Company


class Asking:
    """A fake of the room above: wants a chat's whole past, and keeps what it is shown."""

    def __init__(self) -> None:
        self.purpose = uuid4()
        self.chat: Chat | None = None
        self.peer_id = self.before_id = 0
        self.wants = True
        self.breaks = False
        self.texts: list[str] = []
        self.refused: list[str] = []

    def next_page(self, *, bot_id: UUID) -> PastPage | None:
        if self.chat is None or not self.wants:
            return None
        return PastPage(self.purpose, self.chat.pk, self.peer_id, self.before_id)

    def page_read(self, *, bot_id: UUID, page: PastPage, found: OlderMessages) -> None:
        if self.breaks:
            raise RecursionError
        self.texts += [message.text for message in found.messages if message.text]
        self.before_id, self.wants = found.lowest_id, bool(found.lowest_id)

    def page_refused(self, *, bot_id: UUID, page: PastPage, reason: str) -> None:
        self.refused.append(reason)
        self.wants = False


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    before, asking = roles.past_reader(), Asking()
    roles.register_past_reader(asking)
    for name in ("PACE_SECONDS", "IDLE_SECONDS", "PASSING_SECONDS"):
        monkeypatch.setattr(f"bots.worker.past_reading.{name}", 0.05)
    yield asking
    if before is not None:
        roles.register_past_reader(before)


def test_a_chats_past_is_read_newest_first_while_live_messages_are_recorded(company: Company, asking: Asking) -> None:
    square, row = company.make_chat("square")
    company.say(square, *(f"old {number}" for number in range(230)))
    bot = company.make_bot("ears", row)
    company.run(company.start(), bot)
    company.online(bot)
    company.say(square, "live")
    company.until_heard(bot, 1)
    cursor = Cursor.objects.get(bot=bot, peer_id__lt=0)
    asking.peer_id, asking.chat = cursor.peer_id, row
    wait_until(lambda: not asking.wants, what="the whole past")
    assert asking.texts == ["live", *(f"old {number}" for number in reversed(range(230)))]
    company.say(square, "live again")
    assert company.until_heard(bot, 2) == ["live", "live again"]
    assert Cursor.objects.get(pk=cursor.pk).last_message_id > cursor.last_message_id


def test_a_wait_a_refusal_and_an_unforeseen_error_leave_the_connection_alone(company: Company, asking: Asking) -> None:
    square, row = company.make_chat("square")
    bot = company.make_bot("ears", row)
    company.run(company.start(), bot)
    company.online(bot)
    company.say(square, "hello")
    company.until_heard(bot, 1)
    company.sandbox.faults.plan(Fault(kind="FLOOD_WAIT", method="messages.getHistory", seconds=1))
    asking.peer_id, asking.chat = Cursor.objects.get(bot=bot, peer_id__lt=0).peer_id, row
    wait_until(lambda: not asking.wants, what="the past after the wait")
    assert asking.texts == ["hello"] and not asking.refused
    peer_id = asking.peer_id
    asking.peer_id, asking.before_id, asking.wants = -1009999999999, 0, True
    wait_until(lambda: bool(asking.refused), what="the refusal")
    asking.peer_id, asking.breaks, asking.wants = peer_id, True, True
    wait_until(lambda: len(asking.refused) == 2, what="the end of the request that fails")
    assert "RecursionError" in asking.refused[1]
    company.say(square, "still here")
    assert company.until_heard(bot, 2) == ["hello", "still here"]
    assert company.connections(bot) == 1
