"""Faults on demand."""

import asyncio
from functools import partial

import pytest
from telethon import errors, functions

from sandbox.world.actions import sending
from sandbox.world.faults import Fault, FaultKind
from tests.telegram.sandbox_support import Inbox, Town, input_chat, send, until


async def test_a_flood_wait_hits_as_often_as_planned_and_contains_its_seconds(town: Town) -> None:
    anna = await town.login(town.anna)
    boris = await anna.get_input_entity("boris")
    town.sandbox.faults.plan(Fault(kind="FLOOD_WAIT", seconds=2, times=2))
    for _ in range(2):
        with pytest.raises(errors.FloodWaitError) as caught:
            await send(anna, boris, "Hello", random_id=1)
        assert caught.value.seconds == 2
    assert await send(anna, boris, "Hello", random_id=1)
    assert len(town.world.ledger) == 1


async def test_a_flood_wait_can_be_for_one_user_one_chat_or_one_method(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    plan = town.sandbox.faults.plan
    plan(Fault(kind="FLOOD_WAIT", seconds=1, user=town.boris.id, times=None))
    plan(Fault(kind="FLOOD_WAIT", seconds=1, chat=town.square.id, times=None))
    plan(Fault(kind="FLOOD_WAIT", seconds=1, method="contacts.resolveUsername", times=None))
    boris_to_group = await input_chat(boris, town.group)
    with pytest.raises(errors.FloodWaitError):
        await send(boris, boris_to_group, "Hello", random_id=1)
    with pytest.raises(errors.FloodWaitError):
        await send(anna, await input_chat(anna, town.square), "Hello", random_id=1)
    with pytest.raises(errors.FloodWaitError):
        await anna(functions.contacts.ResolveUsernameRequest("boris"))
    assert await send(anna, await input_chat(anna, town.group), "Hello", random_id=2)


@pytest.mark.parametrize("place", ["private", "supergroup"])
async def test_a_message_whose_answer_was_lost_arrives_once_when_it_is_sent_again(town: Town, place: str) -> None:
    anna, boris = await town.login(town.anna, auto_reconnect=False), await town.login(town.boris)
    inbox = Inbox(boris)
    peer = await input_chat(anna, town.square) if place == "supergroup" else await anna.get_input_entity("boris")
    town.sandbox.faults.plan(Fault(kind="DROP_ANSWER"))
    with pytest.raises((ConnectionError, EOFError)):
        await send(anna, peer, "Only once", random_id=99)
    assert [entry.text for entry in town.world.ledger] == ["Only once"]
    await until(lambda: not anna.is_connected())

    again = town.client(anna.session.save())
    await again.connect()
    entry = town.world.ledger[0]
    assert await send(again, peer, "Only once", random_id=99) == entry.id_for(town.anna.id)
    assert (len(town.world.ledger), entry.repeats) == (1, 1)
    await send(again, peer, "Next", random_id=100)
    assert await inbox.wait_for(2) == ["Only once", "Next"]


async def test_telethons_own_resend_after_a_lost_answer_delivers_once(town: Town) -> None:
    anna = await town.login(town.anna)
    town.sandbox.faults.plan(Fault(kind="DROP_ANSWER"))
    message = await anna.send_message("boris", "Only once")
    (entry,) = town.world.ledger
    assert (entry.text, entry.repeats) == ("Only once", 1)
    assert message.id == entry.id_for(town.anna.id)


async def test_auth_key_duplicated_on_demand_destroys_the_session(town: Town) -> None:
    anna = await town.login(town.anna, auto_reconnect=False)
    town.sandbox.faults.plan(Fault(kind="AUTH_KEY_DUPLICATED", user=town.anna.id))
    with pytest.raises(errors.AuthKeyDuplicatedError):
        await anna(functions.updates.GetStateRequest())
    with pytest.raises(errors.AuthKeyDuplicatedError):
        await anna(functions.updates.GetStateRequest())


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("SLOWMODE_WAIT", errors.SlowModeWaitError),
        ("PEER_FLOOD", errors.PeerFloodError),
        ("USER_DEACTIVATED_BAN", errors.UserDeactivatedBanError),
        ("CHAT_WRITE_FORBIDDEN", errors.ChatWriteForbiddenError),
        ("USER_PRIVACY_RESTRICTED", errors.UserPrivacyRestrictedError),
    ],
)
async def test_a_planned_error_is_the_one_telethon_knows(
    town: Town, kind: FaultKind, error: type[errors.RPCError]
) -> None:
    anna = await town.login(town.anna)
    boris = await anna.get_input_entity("boris")
    town.sandbox.faults.plan(Fault(kind=kind, seconds=5))
    with pytest.raises(error):
        await send(anna, boris, "Hello", random_id=1)
    assert await send(anna, boris, "Hello", random_id=1)
    assert len(town.world.ledger) == 1


async def test_an_internal_fault_is_a_server_error(town: Town) -> None:
    anna = await town.login(town.anna)
    town.sandbox.faults.plan(Fault(kind="INTERNAL", method="updates.getState"))
    with pytest.raises(errors.ServerError):
        # Past the client, which would try again for seconds.
        await anna._sender.send(functions.updates.GetStateRequest())
    assert await anna(functions.updates.GetStateRequest())


async def test_an_account_may_be_restricted_in_all_supergroups_and_nowhere_else(town: Town) -> None:
    anna = await town.login(town.anna)
    market = town.world.add_chat(kind="supergroup", title="Market", username="the_market", members=[town.anna.id])
    town.sandbox.faults.plan(Fault(kind="USER_BANNED_IN_CHANNEL", user=town.anna.id, times=None))
    for chat in (town.square, market):
        with pytest.raises(errors.UserBannedInChannelError):
            await send(anna, await input_chat(anna, chat), "Hello", random_id=chat.bare_id)
    assert await send(anna, await input_chat(anna, town.group), "Hello", random_id=1)
    assert await send(anna, await anna.get_input_entity("boris"), "Hello", random_id=2)
    boris = await town.login(town.boris)
    assert await send(boris, await input_chat(boris, town.square), "Hello", random_id=3)


async def test_joining_may_meet_peer_flood_and_the_limit_of_chats(town: Town) -> None:
    anna = await town.login(town.anna)
    hall = town.world.add_chat(kind="supergroup", title="Hall", username="the_hall", members=[town.boris.id])
    closed = town.world.add_chat(kind="group", title="Closed", invite_hash="LetMeIn", members=[town.boris.id])
    join = functions.channels.JoinChannelRequest(await anna.get_input_entity("the_hall"))
    town.sandbox.faults.plan(Fault(kind="PEER_FLOOD", method="channels.joinChannel"))
    with pytest.raises(errors.PeerFloodError):
        await anna(join)
    town.sandbox.faults.plan(Fault(kind="CHANNELS_TOO_MUCH"))
    with pytest.raises(errors.ChannelsTooMuchError):
        await anna(join)
    town.sandbox.faults.plan(Fault(kind="PEER_FLOOD", method="messages.importChatInvite"))
    with pytest.raises(errors.PeerFloodError):
        await anna(functions.messages.ImportChatInviteRequest("LetMeIn"))
    assert town.anna.id not in {*hall.members, *closed.members}
    await anna(join)
    assert town.anna.id in hall.members


async def test_an_account_that_telegram_keeps_elsewhere_takes_its_login_along(town: Town) -> None:
    anna = await town.login(town.anna)
    town.sandbox.faults.plan(Fault(kind="USER_MIGRATE", user=town.anna.id))
    with pytest.raises(errors.UserMigrateError) as caught:
        # Past the client, which would begin anew there, logged out.
        await anna._sender.send(functions.updates.GetStateRequest())
    assert caught.value.new_dc == 4
    login = await anna(functions.auth.ExportAuthorizationRequest(4))
    there = town.client()
    await there.connect()
    there.session.set_dc(4, town.sandbox.host, town.sandbox.mtproto_port)
    await there(functions.auth.ImportAuthorizationRequest(login.id, login.bytes))
    me = await there.get_me()
    assert me.id == town.anna.id
    with pytest.raises(errors.AuthBytesInvalidError):
        await there(functions.auth.ImportAuthorizationRequest(login.id, login.bytes))


async def test_a_delayed_answer_comes_when_the_faults_are_cleared_and_delays_no_other(town: Town) -> None:
    anna = await town.login(town.anna)
    inbox = Inbox(anna)
    town.sandbox.faults.plan(Fault(kind="DELAY_ANSWER", method="messages.getDialogs", user=town.anna.id))
    listing = asyncio.ensure_future(anna.get_dialogs())
    await until(lambda: town.sandbox.faults.delayed, "the delayed answer")
    assert (await anna.get_me()).id == town.anna.id
    sending.send(town.world, user_id=town.boris.id, peer=town.anna.id, text="Meanwhile")
    assert await inbox.wait_for(1) == ["Meanwhile"]
    assert not listing.done()
    town.sandbox.faults.clear()
    # As it was when it was asked.
    assert {dialog.entity.id for dialog in await listing} == {town.group.bare_id, town.square.bare_id}


async def test_events_that_were_too_many_for_a_difference_are_in_the_history_only(town: Town) -> None:
    anna = await town.login(town.anna)
    await anna.get_dialogs()
    inbox = Inbox(anna)
    post = partial(sending.send, town.world)
    for fault in (Fault(kind="UPDATE_LOST", user=town.anna.id), Fault(kind="DIFFERENCE_TOO_LONG", user=town.anna.id)):
        town.sandbox.faults.plan(fault)
    post(user_id=town.boris.id, peer=town.anna.id, text="Lost on its way")
    post(user_id=town.boris.id, peer=town.anna.id, text="Shows the gap")
    await until(lambda: not town.sandbox.faults.as_json(), "the difference asked for")
    post(user_id=town.boris.id, peer=town.anna.id, text="Afterwards")
    assert await inbox.wait_for(1) == ["Afterwards"]
    history = await anna.get_messages("boris", limit=5)
    assert [message.text for message in reversed(history)] == ["Lost on its way", "Shows the gap", "Afterwards"]
