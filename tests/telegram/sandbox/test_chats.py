"""Finding, joining and leaving chats, and who is in them."""

import pytest
from telethon import errors, functions, types

from sandbox.world.actions import membership, sending
from tests.telegram.sandbox_support import Inbox, Town, until


@pytest.fixture
def plaza(town: Town):
    """A public supergroup of Boris's."""
    return town.world.add_chat(
        kind="supergroup", title="Plaza", username="the_plaza", members=[town.boris.id], owner=town.boris.id
    )


@pytest.fixture
def cellar(town: Town):
    """A private supergroup of Boris's."""
    return town.world.add_chat(kind="supergroup", title="Cellar", members=[town.boris.id])


@pytest.fixture
def kitchen(town: Town):
    """A basic group of Boris's."""
    return town.world.add_chat(kind="group", title="Kitchen", members=[town.boris.id])


async def test_a_public_chat_is_joined_by_its_username(town: Town, plaza) -> None:
    anna = await town.login(town.anna)
    entity = await anna.get_entity("the_plaza")
    assert entity.left
    await anna(functions.channels.JoinChannelRequest(entity))
    assert town.anna.id in plaza.members
    inbox = Inbox(anna)
    sending.send(town.world, user_id=town.boris.id, peer=plaza.id, text="Welcome")
    assert await inbox.wait_for(1) == ["Welcome"]
    await anna.send_message(entity, "Thanks")
    assert town.world.ledger[-1].peer == plaza.id
    assert not (await anna.get_entity("the_plaza")).left


async def test_a_private_chat_is_joined_by_its_invite_link_only(town: Town, cellar) -> None:
    anna = await town.login(town.anna)
    invite = cellar.invite_link.rpartition("+")[2]
    shown = await anna(functions.messages.CheckChatInviteRequest(invite))
    assert isinstance(shown, types.ChatInvite)
    assert (shown.title, shown.participants_count) == ("Cellar", 1)
    result = await anna(functions.messages.ImportChatInviteRequest(invite))
    assert town.anna.id in cellar.members
    (channel,) = result.updates.chats
    await anna.send_message(types.InputPeerChannel(channel.id, channel.access_hash), "Hello")
    assert isinstance(await anna(functions.messages.CheckChatInviteRequest(invite)), types.ChatInviteAlready)
    with pytest.raises(errors.UserAlreadyParticipantError):
        await anna(functions.messages.ImportChatInviteRequest(invite))


async def test_a_basic_group_is_joined_by_its_invite_link(town: Town, kitchen) -> None:
    anna = await town.login(town.anna)
    await anna(functions.messages.ImportChatInviteRequest(kitchen.invite_hash))
    inbox = Inbox(anna)
    sending.send(town.world, user_id=town.boris.id, peer=kitchen.id, text="Tea?")
    assert await inbox.wait_for(1) == ["Tea?"]


async def test_joining_is_seen_as_a_service_message_and_not_in_the_ledger(town: Town, plaza) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    updates: list[object] = []

    async def collect(update: object) -> None:
        updates.append(update)

    boris.add_event_handler(collect)
    await anna(functions.channels.JoinChannelRequest(await anna.get_entity("the_plaza")))
    update = await until(lambda: next((u for u in updates if isinstance(u, types.UpdateNewChannelMessage)), None))
    assert isinstance(update.message, types.MessageService)
    assert isinstance(update.message.action, types.MessageActionChatAddUser)
    assert town.world.ledger == []
    (service,) = await anna.get_messages("the_plaza", limit=5)
    assert service.action.users == [town.anna.id]


async def test_a_false_invite_and_a_false_username_are_refused(town: Town) -> None:
    anna = await town.login(town.anna)
    with pytest.raises(errors.InviteHashExpiredError):
        await anna(functions.messages.ImportChatInviteRequest("nonsense"))
    with pytest.raises(errors.UsernameNotOccupiedError):
        await anna(functions.contacts.ResolveUsernameRequest("nobody_here"))


async def test_a_private_chat_shows_nothing_to_those_who_left_it(town: Town, cellar) -> None:
    anna = await town.login(town.anna)
    result = await anna(functions.messages.ImportChatInviteRequest(cellar.invite_hash))
    channel = types.InputChannel(result.updates.chats[0].id, result.updates.chats[0].access_hash)
    assert await anna.get_messages(channel, limit=5)
    await anna(functions.channels.LeaveChannelRequest(channel))
    assert town.anna.id not in cellar.members
    with pytest.raises(errors.ChannelPrivateError):
        await anna.get_messages(channel, limit=5)
    with pytest.raises(errors.ChannelPrivateError):
        await anna(functions.channels.JoinChannelRequest(channel))
    inbox = Inbox(anna)
    sending.send(town.world, user_id=town.boris.id, peer=cellar.id, text="Unheard")
    assert (await anna.get_me()).id == town.anna.id
    assert inbox.texts == []


async def test_a_link_that_lets_people_look_in_shows_what_chat_it_is(town: Town, cellar) -> None:
    anna = await town.login(town.anna)
    cellar.peek = True
    shown = await anna(functions.messages.CheckChatInviteRequest(cellar.invite_hash))
    assert isinstance(shown, types.ChatInvitePeek)
    assert (shown.chat.id, town.anna.id in cellar.members) == (cellar.bare_id, False)
    with pytest.raises(errors.InviteHashEmptyError):
        await anna(functions.messages.CheckChatInviteRequest(""))


async def test_who_leaves_a_basic_group_leaves_a_service_message(town: Town, kitchen) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    await anna(functions.messages.ImportChatInviteRequest(kitchen.invite_hash))
    left = await anna(functions.messages.DeleteChatUserRequest(kitchen.bare_id, types.InputUserSelf()))
    assert town.anna.id not in kitchen.members
    [update] = left.updates
    [newest] = await boris.get_messages(types.PeerChat(kitchen.bare_id), limit=1)
    for message in (update.message, newest):
        assert isinstance(message.action, types.MessageActionChatDeleteUser)
        assert message.action.user_id == town.anna.id
    with pytest.raises(errors.UserNotParticipantError):
        await anna(functions.messages.DeleteChatUserRequest(kitchen.bare_id, types.InputUserSelf()))


async def test_the_creator_of_a_supergroup_does_not_leave_it(town: Town, plaza) -> None:
    boris = await town.login(town.boris)
    with pytest.raises(errors.UserCreatorError):
        await boris(functions.channels.LeaveChannelRequest(await boris.get_input_entity("the_plaza")))
    assert town.boris.id in plaza.members


async def test_participants_are_listed(town: Town, plaza, kitchen) -> None:
    boris = await town.login(town.boris)
    membership.join(town.world, town.anna.id, plaza.id)
    membership.join(town.world, town.anna.id, kitchen.id)
    await boris.get_dialogs()
    for chat in (plaza, kitchen):
        listed = await boris.get_participants(chat.id)
        assert {user.id for user in listed} == {town.anna.id, town.boris.id}
    assert (await boris.get_permissions("the_plaza", "anna")).participant.user_id == town.anna.id
    with pytest.raises(errors.UserNotParticipantError):
        vera = town.world.add_user(first_name="V", username="vera_v")
        await boris.get_permissions("the_plaza", vera.username)


async def test_chats_show_their_details(town: Town, plaza) -> None:
    anna = await town.login(town.anna)
    full = await anna(functions.channels.GetFullChannelRequest("the_plaza"))
    assert full.full_chat.participants_count == 1
    group = await anna(functions.messages.GetFullChatRequest(town.group.bare_id))
    assert len(group.full_chat.participants.participants) == 3
    (channel,) = (await anna(functions.channels.GetChannelsRequest(["the_plaza"]))).chats
    assert channel.title == "Plaza"
    (chat,) = (await anna(functions.messages.GetChatsRequest([town.group.bare_id]))).chats
    assert chat.title == "Flat"
    user = await anna(functions.users.GetFullUserRequest("boris"))
    assert user.users[0].first_name == "Boris"


async def test_dialogs_show_the_last_message_and_what_is_unread(town: Town) -> None:
    anna = await town.login(town.anna)
    for text in ("One", "Two"):
        sending.send(town.world, user_id=town.boris.id, peer=town.square.id, text=text)
    dialogs = {dialog.id: dialog for dialog in await anna.get_dialogs()}
    square = dialogs[town.square.id]
    assert (square.message.raw_text, square.unread_count) == ("Two", 2)
    await anna.send_read_acknowledge("the_square")
    peer_dialogs = await anna(
        functions.messages.GetPeerDialogsRequest([types.InputDialogPeer(await anna.get_input_entity("the_square"))])
    )
    assert peer_dialogs.dialogs[0].unread_count == 0
