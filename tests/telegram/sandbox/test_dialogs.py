"""The list of chats in pages that move, as an unmodified Telethon client is shown it."""

from datetime import timedelta
from typing import Any

from telethon import TelegramClient, utils
from telethon.tl import functions, types

from sandbox.world.actions import sending
from sandbox.world.entities import Chat
from sandbox.world.faults import Fault
from tests.telegram.sandbox_support import Town, send


def add_chats(town: Town, count: int) -> list[Chat]:
    """Supergroups of Anna's and Boris's, in each of which he has sent a message, one after the other in time."""
    now, chats = town.world.clock(), []
    for number in range(count):
        chat = town.world.add_chat(kind="supergroup", title=f"Hall {number}", members=[town.anna.id, town.boris.id])
        town.world.clock = lambda at=now + number: at  # type: ignore[misc]
        sending.send(town.world, user_id=town.boris.id, peer=chat.id, text=str(number))
        chats.append(chat)
    town.world.clock = lambda: now + count
    return chats


async def page(client: TelegramClient, after: Any = None, limit: int = 2) -> Any:
    """The page after another one."""
    offset: dict[str, Any] = {"offset_date": None, "offset_id": 0, "offset_peer": types.InputPeerEmpty()}
    if after is not None:
        last = after.dialogs[-1]
        top = next(
            message for message in after.messages if (message.peer_id, message.id) == (last.peer, last.top_message)
        )
        offset = {"offset_date": top.date, "offset_id": top.id, "offset_peer": await client.get_input_entity(last.peer)}
    return await client(functions.messages.GetDialogsRequest(**offset, limit=limit, hash=0))


def listed(answer: Any) -> list[int]:
    return [utils.get_peer_id(dialog.peer) for dialog in answer.dialogs]


async def test_more_dialogs_than_a_page_come_in_slices_that_telethon_joins(town: Town) -> None:
    chats = add_chats(town, 103)
    anna = await town.login(town.anna)
    found = await anna.get_dialogs()
    assert [dialog.id for dialog in found[:103]] == [chat.id for chat in reversed(chats)]
    assert {dialog.id for dialog in found[103:]} == {town.group.id, town.square.id}
    first = await page(anna, limit=200)
    assert isinstance(first, types.messages.DialogsSlice)
    assert (first.count, len(first.dialogs)) == (105, 100)
    everything = await page(await town.login(town.vera))
    assert isinstance(everything, types.messages.Dialogs)


async def test_a_dialog_that_moves_up_between_two_pages_is_on_neither(town: Town) -> None:
    chats = add_chats(town, 4)
    anna = await town.login(town.anna)
    town.sandbox.faults.plan(Fault(kind="DIALOG_MOVES", user=town.anna.id, chat=chats[1].id))
    first = await page(anna)
    second = await page(anna, first)
    assert listed(first) == [chats[3].id, chats[2].id]
    assert listed(second)[0] == chats[0].id
    assert listed(await page(anna))[0] == chats[1].id


async def test_a_private_dialog_moves_up_when_the_other_one_writes(town: Town) -> None:
    sending.send(town.world, user_id=town.boris.id, peer=town.anna.id, text="Hello")
    now = town.world.clock()
    town.world.clock = lambda: now + timedelta(hours=1).total_seconds()
    chats = add_chats(town, 2)
    anna = await town.login(town.anna)
    town.sandbox.faults.plan(Fault(kind="DIALOG_MOVES", user=town.anna.id, chat=town.boris.id))
    first = await page(anna)
    assert listed(first) == [chats[1].id, chats[0].id]
    assert town.boris.id not in listed(await page(anna, first))
    assert listed(await page(anna))[0] == town.boris.id


async def test_a_dialog_whose_newest_message_is_deleted_between_two_pages_is_on_both(town: Town) -> None:
    chats = add_chats(town, 4)
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    await page(boris, limit=100)
    peer = await boris.get_input_entity(types.PeerChannel(chats[0].bare_id))
    newest = await send(boris, peer, "Newest", random_id=1)
    first = await page(anna)
    assert listed(first) == [chats[0].id, chats[3].id]
    await boris(functions.channels.DeleteMessagesRequest(utils.get_input_channel(peer), [newest]))
    second = await page(anna, first)
    third = await page(anna, second)
    assert listed(second) == [chats[2].id, chats[1].id]
    assert listed(third)[0] == chats[0].id
