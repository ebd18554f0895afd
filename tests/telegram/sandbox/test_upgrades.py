"""A basic group that becomes a supergroup, as an unmodified client sees it."""

import pytest
from telethon import errors, functions, types

from sandbox.world.actions import sending
from sandbox.world.actions.upgrades import upgrade
from tests.telegram.sandbox_support import Inbox, Town, send, until


async def test_its_creator_upgrades_a_group_and_all_members_are_notified(town: Town) -> None:
    town.group.owner = town.anna.id
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    received: list[types.MessageService] = []

    async def collect(update: object) -> None:
        if isinstance(message := getattr(update, "message", None), types.MessageService):
            received.append(message)

    boris.add_event_handler(collect)
    with pytest.raises(errors.ChatAdminRequiredError):
        await boris(functions.messages.MigrateChatRequest(town.group.bare_id))
    result = await anna(functions.messages.MigrateChatRequest(town.group.bare_id))
    old = next(chat for chat in result.chats if isinstance(chat, types.Chat))
    new = next(chat for chat in result.chats if isinstance(chat, types.Channel))
    assert old.deactivated and old.migrated_to.channel_id == new.id
    assert new.megagroup and not new.left and new.title == old.title
    await until(lambda: len(received) >= 2)
    by_action = {type(message.action): message for message in received}
    left, arrived = (
        by_action[types.MessageActionChatMigrateTo],
        by_action[types.MessageActionChannelMigrateFrom],
    )
    assert (left.peer_id, left.action.channel_id) == (types.PeerChat(old.id), new.id)
    assert (arrived.peer_id, arrived.id) == (types.PeerChannel(new.id), 1)
    assert (arrived.action.chat_id, arrived.action.title) == (old.id, "Flat")
    with pytest.raises(errors.ChatIdInvalidError):
        await anna(functions.messages.MigrateChatRequest(town.group.bare_id))


async def test_both_chats_are_in_the_list_and_each_names_the_other(town: Town) -> None:
    boris = await town.login(town.boris)
    sending.send(town.world, user_id=town.vera.id, peer=town.group.id, text="Before")
    new = upgrade(town.world, town.group.id)
    listed = {dialog.id: dialog for dialog in await boris.get_dialogs()}
    assert {town.group.id, new.id} <= listed.keys()
    assert listed[town.group.id].entity.migrated_to.channel_id == new.bare_id
    assert town.group.id not in {dialog.id for dialog in await boris.get_dialogs(ignore_migrated=True)}

    full = (await boris(functions.channels.GetFullChannelRequest(await boris.get_input_entity(new.id)))).full_chat
    assert full.migrated_from_chat_id == town.group.bare_id
    assert full.migrated_from_max_id == listed[town.group.id].dialog.top_message
    answer = await boris(functions.messages.GetFullChatRequest(town.group.bare_id))
    (old,) = (await boris(functions.messages.GetChatsRequest([town.group.bare_id]))).chats
    for chat in (old, answer.chats[0]):
        assert chat.deactivated and chat.migrated_to.channel_id == new.bare_id
    # By the hash that the old chat gives the new one can be addressed, met before or not.
    (channel,) = (await boris(functions.channels.GetChannelsRequest([old.migrated_to]))).chats
    assert channel.id == new.bare_id


async def test_the_old_chat_is_read_but_not_written_to_and_the_new_one_begins_empty(town: Town) -> None:
    boris = await town.login(town.boris)
    inbox = Inbox(boris)
    sending.send(town.world, user_id=town.vera.id, peer=town.group.id, text="Before")
    new = upgrade(town.world, town.group.id)
    with pytest.raises(errors.PeerIdInvalidError):
        await send(boris, types.InputPeerChat(town.group.bare_id), "Anybody?", random_id=1)
    sending.send(town.world, user_id=town.vera.id, peer=new.id, text="After")
    assert await inbox.wait_for(2) == ["Before", "After"]
    await boris.get_dialogs()
    left, before = await boris.get_messages(town.group.id, limit=5)
    assert (type(left.action), before.raw_text) == (types.MessageActionChatMigrateTo, "Before")
    assert [message.id for message in await boris.get_messages(new.id, limit=5)] == [2, 1]
    await send(boris, await boris.get_input_entity(new.id), "Here I am", random_id=2)
    assert town.world.ledger[-1].peer == new.id


async def test_an_invite_of_the_group_leads_to_the_supergroup(town: Town) -> None:
    gleb = town.world.add_user(first_name="Gleb", phone="9996644444")
    link = town.group.invite_hash
    new = upgrade(town.world, town.group.id)
    client = await town.login(gleb)
    result = await client(functions.messages.ImportChatInviteRequest(link))
    assert [chat.id for chat in result.updates.chats] == [new.bare_id]
    assert gleb.id in new.members and gleb.id not in town.group.members
