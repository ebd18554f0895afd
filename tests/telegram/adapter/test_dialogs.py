"""The adapter's list of chats, on lists of several pages that move meanwhile."""

from collections.abc import AsyncIterator

import pytest

from sandbox.world.actions import membership, sending
from sandbox.world.entities import Chat
from sandbox.world.faults import Fault
from telegram import dialogs
from tests.telegram.accounts import Accounts, logged_in, point_at
from tests.telegram.sandbox_support import Town


@pytest.fixture(autouse=True)
def _server(settings, town: Town, monkeypatch) -> None:
    point_at(settings, town.sandbox)
    monkeypatch.setattr(dialogs, "PAGE", 3)


@pytest.fixture
async def accounts() -> AsyncIterator[Accounts]:
    accounts = Accounts()
    yield accounts
    await accounts.close()


@pytest.fixture
def halls(town: Town) -> list[Chat]:
    """Ten supergroups of Anna's and Boris's in which he has written one after the other."""
    now, chats = town.world.clock(), []
    for number in range(10):
        chats.append(town.world.add_chat(kind="supergroup", title=f"Hall {number}", members=[town.anna.id]))
        membership.join(town.world, town.boris.id, chats[-1].id)
        town.world.clock = lambda at=now + number: at  # type: ignore[misc]
        sending.send(town.world, user_id=town.boris.id, peer=chats[-1].id, text=str(number))
    sending.send(town.world, user_id=town.boris.id, peer=town.anna.id, text="Hello")
    town.world.clock = lambda: now + 20
    return chats


async def test_every_page_is_read(town: Town, accounts: Accounts, halls: list[Chat]):
    account = await accounts.open(await logged_in(town.anna))
    found = await account.dialogs()
    assert [dialog.peer_id for dialog in found if dialog.kind == "supergroup"] == [
        *(hall.id for hall in reversed(halls)),
        town.square.id,
    ]
    assert len({dialog.peer_id for dialog in found}) == len(found) == 13


@pytest.mark.parametrize("moving", [[2], [0, 1, 2, 3, 4, 5], "private"])
async def test_what_moves_up_while_the_list_is_read_is_in_it_with_its_newest_message(
    town: Town, accounts: Accounts, halls: list[Chat], moving
):
    peers = [town.boris.id] if moving == "private" else [halls[number].id for number in moving]
    if moving == "private":
        # It is the newest of all: some others go before it.
        now = town.world.clock()
        town.world.clock = lambda: now + 20
        for hall in halls[:4]:
            sending.send(town.world, user_id=town.boris.id, peer=hall.id, text="Later")
    account = await accounts.open(await logged_in(town.anna))
    for peer in peers:
        town.sandbox.faults.plan(Fault(kind="DIALOG_MOVES", user=town.anna.id, chat=peer))
    found = {dialog.peer_id: dialog.top_message_id for dialog in await account.dialogs()}
    assert town.sandbox.faults.as_json() == []
    assert found.keys() >= {*(hall.id for hall in halls), town.boris.id}
    for peer in peers:
        assert found[peer] == town.world.box_of(town.anna.id, peer).history(peer)[-1]
