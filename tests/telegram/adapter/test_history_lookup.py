"""Whether something was said, found out of long histories."""

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.world.actions import sending
from telegram import histories
from telegram.errors import HistoryTooLong
from telegram.types import ChatTarget
from tests.telegram.accounts import Accounts, logged_in
from tests.telegram.sandbox_support import Town


def chatter(town: Town, peer: int, count: int) -> None:
    for number in range(count):
        sending.send(town.world, user_id=town.boris.id, peer=peer, text=f"chatter {number}")


@pytest.fixture(params=["group", "square"])
def place(request: pytest.FixtureRequest, town: Town) -> int:
    return int(getattr(town, request.param).id)


async def test_a_message_before_hundreds_of_newer_messages_is_found(town: Town, accounts: Accounts, place: int):
    account = await accounts.open(await logged_in(town.anna), receive_updates=False)
    await account.dialogs()
    chat = ChatTarget(telegram_id=place)
    said = await account.send(chat, "hello", random_id=7)
    chatter(town, place, 250)
    assert await account.find_own_message(chat, "hello", said.at) == said.message_id
    assert await account.find_own_message(chat, "never said", said.at) is None
    first = await account.find_message(place, from_user_id=town.boris.id, text="chatter 0", since=said.at)
    assert first == said.message_id + 1


async def test_a_search_ends_at_the_time_in_question(town: Town, accounts: Accounts, place: int, monkeypatch):
    chatter(town, place, 250)
    long_before = datetime.now(UTC)
    now = town.world.clock
    monkeypatch.setattr(town.world, "clock", lambda: now() + 3600)
    chatter(town, place, 120)
    monkeypatch.setattr(histories, "SEARCH_DEPTH", 200)
    account = await accounts.open(await logged_in(town.anna), receive_updates=False)
    await account.dialogs()
    chat = ChatTarget(telegram_id=place)
    assert await account.find_own_message(chat, "hello", long_before + timedelta(minutes=30)) is None


async def test_a_search_that_does_not_reach_the_time_in_question_decides_nothing(
    town: Town, accounts: Accounts, place: int, monkeypatch
):
    monkeypatch.setattr(histories, "SEARCH_DEPTH", 200)
    account = await accounts.open(await logged_in(town.anna), receive_updates=False)
    await account.dialogs()
    chat = ChatTarget(telegram_id=place)
    said = await account.send(chat, "hello", random_id=7)
    chatter(town, place, 250)
    with pytest.raises(HistoryTooLong):
        await account.find_own_message(chat, "hello", said.at)
    with pytest.raises(HistoryTooLong):
        await account.find_message(place, from_user_id=town.vera.id, text="who?", since=said.at)
