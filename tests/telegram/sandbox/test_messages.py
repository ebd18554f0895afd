"""Saying, replying, reading back: the three kinds of chat, and what is refused."""

import random

import pytest
from telethon import errors, functions, types

from sandbox.world.actions import membership, sending
from tests.telegram.sandbox_support import Inbox, Town, input_chat, send, until


async def test_a_private_message_is_numbered_for_each_side(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    inbox = Inbox(boris)
    message_id = await send(anna, await anna.get_input_entity("boris"), "Hello", random_id=11)
    await inbox.wait_for(1)
    (entry,) = town.world.ledger
    assert (entry.from_user, entry.peer, entry.text) == (town.anna.id, town.boris.id, "Hello")
    assert (entry.random_id, entry.by) == (11, "account")
    assert entry.message_ids == {town.anna.id: message_id, town.boris.id: inbox.events[0].id}
    assert message_id != inbox.events[0].id
    assert inbox.events[0].chat_id == inbox.events[0].sender_id == town.anna.id


async def test_a_private_reply_names_the_message_by_each_ones_own_number(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    at_anna, at_boris = Inbox(anna), Inbox(boris)
    asked = await send(anna, await anna.get_input_entity("boris"), "When?", random_id=1)
    await at_boris.wait_for(1)
    await at_boris.events[0].reply("At six")
    await at_anna.wait_for(1)
    assert at_anna.events[0].message.reply_to_msg_id == asked
    assert town.world.ledger[1].reply_to == town.world.ledger[0].seq
    assert (await at_anna.events[0].get_reply_message()).raw_text == "When?"


async def test_a_basic_group_numbers_for_each_account(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    inbox = Inbox(boris)
    message_id = await send(anna, types.InputPeerChat(town.group.bare_id), "Hello all", random_id=1)
    await inbox.wait_for(1)
    await send(boris, types.InputPeerChat(town.group.bare_id), "Hi", random_id=2, reply_to=inbox.events[0].id)
    first, second = town.world.ledger
    assert set(first.message_ids) == {town.anna.id, town.boris.id, town.vera.id}
    assert first.message_ids[town.anna.id] == message_id
    assert first.channel_message_id is None
    assert second.reply_to == first.seq
    assert inbox.events[0].chat_id == town.group.id
    assert inbox.events[0].sender_id == town.anna.id


async def test_a_supergroup_numbers_once_for_everybody(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    inbox = Inbox(boris)
    message_id = await send(anna, await input_chat(anna, town.square), "Hello all", random_id=1)
    await inbox.wait_for(1)
    assert inbox.events[0].id == message_id == town.world.ledger[0].channel_message_id
    assert inbox.events[0].chat_id == town.square.id
    await send(boris, await input_chat(boris, town.square), "Hi", random_id=2, reply_to=message_id)
    assert town.world.ledger[1].reply_to == 1


@pytest.mark.parametrize("place", ["private", "group", "supergroup"])
async def test_a_repeated_random_id_is_answered_with_the_original(town: Town, place: str) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    inbox = Inbox(boris)
    peer = {
        "private": await anna.get_input_entity("boris"),
        "group": types.InputPeerChat(town.group.bare_id),
        "supergroup": await input_chat(anna, town.square),
    }[place]
    first = await send(anna, peer, "Once", random_id=4242)
    assert await send(anna, peer, "Once", random_id=4242) == first
    assert await send(anna, peer, "Twice", random_id=4243) != first
    assert await inbox.wait_for(2) == ["Once", "Twice"]
    assert [entry.repeats for entry in town.world.ledger] == [1, 0]


async def test_telethons_own_send_message_works_everywhere(town: Town) -> None:
    anna = await town.login(town.anna)
    await anna.get_dialogs()
    for peer in ("boris", town.group.id, town.square.id, "me"):
        message = await anna.send_message(peer, "Good day")
        assert message.out
    assert [e.peer for e in town.world.ledger] == [
        town.boris.id,
        town.group.id,
        town.square.id,
        town.anna.id,
    ]


async def test_a_foreign_user_hash_is_refused(town: Town) -> None:
    anna, vera = await town.login(town.anna), await town.login(town.vera)
    gleb = town.world.add_user(first_name="Gleb", username="gleb_g")
    known_to_anna = await anna.get_input_entity("gleb_g")
    with pytest.raises(errors.PeerIdInvalidError):
        await send(vera, known_to_anna, "Hello", random_id=1)
    with pytest.raises(errors.UserIdInvalidError):
        await vera(functions.users.GetFullUserRequest(types.InputUser(gleb.id, known_to_anna.access_hash)))
    assert await send(vera, await vera.get_input_entity("gleb_g"), "Hello", random_id=1)


async def test_a_foreign_channel_hash_is_refused(town: Town) -> None:
    anna, vera = await town.login(town.anna), await town.login(town.vera)
    known_to_anna = await input_chat(anna, town.square)
    with pytest.raises(errors.ChannelInvalidError):
        await send(vera, known_to_anna, "Hello", random_id=1)
    with pytest.raises(errors.ChannelInvalidError):
        await vera(functions.channels.GetFullChannelRequest(known_to_anna))
    assert not town.world.ledger


async def test_a_stranger_in_a_supergroup_is_addressed_through_their_message(town: Town) -> None:
    stranger = town.world.add_user(first_name="Sonya")
    membership.join(town.world, stranger.id, town.square.id)
    anna = await town.login(town.anna)
    inbox = Inbox(anna)
    sending.send(town.world, user_id=stranger.id, peer=town.square.id, text="Anyone?")
    await inbox.wait_for(1)
    shown = inbox.events[0].sender
    assert shown.min
    with pytest.raises(errors.PeerIdInvalidError):
        await send(anna, types.InputPeerUser(shown.id, shown.access_hash), "Hello", random_id=1)
    square = await input_chat(anna, town.square)
    through = types.InputPeerUserFromMessage(square, inbox.events[0].id, stranger.id)
    await send(anna, through, "Hello", random_id=2)
    assert town.world.ledger[-1].peer == stranger.id
    wrong_message = types.InputPeerUserFromMessage(square, inbox.events[0].id + 1, stranger.id)
    with pytest.raises(errors.PeerIdInvalidError):
        await send(anna, wrong_message, "Hello", random_id=3)


async def test_nobody_writes_where_they_are_not_a_member(town: Town) -> None:
    hidden = town.world.add_chat(kind="supergroup", title="Hidden", members=[town.anna.id])
    anna = await town.login(town.anna)
    group, square, secret = [await input_chat(anna, c) for c in (town.group, town.square, hidden)]
    for chat in (town.group, town.square, hidden):
        membership.leave(town.world, town.anna.id, chat.id)
    with pytest.raises(errors.ChatWriteForbiddenError):
        await send(anna, group, "Hello", random_id=1)
    with pytest.raises(errors.ChatWriteForbiddenError):
        await send(anna, square, "Hello", random_id=2)
    with pytest.raises(errors.ChannelPrivateError):
        await send(anna, secret, "Hello", random_id=3)
    assert not town.world.ledger


async def test_blocking_stops_both_directions_and_unblocking_reopens(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    anna_to_boris = await anna.get_input_entity("boris")
    boris_to_anna = await boris.get_input_entity("anna")
    await boris(functions.contacts.BlockRequest(boris_to_anna))
    with pytest.raises(errors.UserIsBlockedError):
        await send(anna, anna_to_boris, "Hello", random_id=1)
    with pytest.raises(errors.YouBlockedUserError):
        await send(boris, boris_to_anna, "Hello", random_id=1)
    await boris(functions.contacts.UnblockRequest(boris_to_anna))
    assert await send(anna, anna_to_boris, "Hello", random_id=1)


async def test_an_empty_or_overlong_text_is_refused(town: Town) -> None:
    anna = await town.login(town.anna)
    boris = await anna.get_input_entity("boris")
    with pytest.raises(errors.MessageEmptyError):
        await send(anna, boris, "  ", random_id=1)
    with pytest.raises(errors.MessageTooLongError):
        await send(anna, boris, "x" * 4097, random_id=1)
    assert await send(anna, boris, "x" * 4096, random_id=1)
    assert len(town.world.ledger) == 1


async def test_history_pages_in_both_directions(town: Town) -> None:
    anna = await town.login(town.anna)
    for number in range(1, 251):
        sending.send(town.world, user_id=town.boris.id, peer=town.square.id, text=str(number))
    square = await anna.get_entity("the_square")
    newest_first = [int(m.raw_text) async for m in anna.iter_messages(square, wait_time=0)]
    assert newest_first == list(range(250, 0, -1))
    oldest_first = [int(m.raw_text) async for m in anna.iter_messages(square, reverse=True, wait_time=0)]
    assert oldest_first == list(range(1, 251))
    after = [m.id async for m in anna.iter_messages(square, min_id=120, reverse=True, wait_time=0)]
    assert after == list(range(121, 251))
    between = [m.id async for m in anna.iter_messages(square, min_id=120, max_id=125, wait_time=0)]
    assert between == [124, 123, 122, 121]
    assert (await anna.get_messages(square, limit=0)).total == 250


async def test_private_history_belongs_to_its_owner(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    for text in ("One", "Two", "Three"):
        await anna.send_message("boris", text)
    mine = await anna.get_messages("boris", limit=10)
    theirs = await boris.get_messages("anna", limit=10)
    assert [m.raw_text for m in mine] == [m.raw_text for m in theirs] == ["Three", "Two", "One"]
    assert all(m.out for m in mine)
    assert not any(m.out for m in theirs)
    assert {m.id for m in mine} != {m.id for m in theirs}


async def test_search_finds_words_and_authors(town: Town) -> None:
    anna = await town.login(town.anna)
    for user, text in ((town.boris, "Нужен репетитор"), (town.vera, "Репетитор найден"), (town.boris, "Ok")):
        sending.send(town.world, user_id=user.id, peer=town.square.id, text=text)
    found = await anna.get_messages("the_square", search="репетитор", limit=10)
    assert [m.raw_text for m in found] == ["Репетитор найден", "Нужен репетитор"]
    by_boris = await anna.get_messages("the_square", search="репетитор", from_user="boris", limit=10)
    assert [m.raw_text for m in by_boris] == ["Нужен репетитор"]


async def test_single_messages_are_found_by_their_number(town: Town) -> None:
    anna = await town.login(town.anna)
    here = await anna.send_message("boris", "Here")
    sent = sending.send(town.world, user_id=town.boris.id, peer=town.square.id, text="There")
    assert (await anna.get_messages("boris", ids=here.id)).raw_text == "Here"
    assert (await anna.get_messages("the_square", ids=sent.channel_message_id)).raw_text == "There"
    assert await anna.get_messages("the_square", ids=999) is None


async def test_the_author_is_notified_of_reading_in_the_authors_numbers(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    updates: list[object] = []
    anna.add_event_handler(lambda update: _collect(updates, update))
    message_id = await send(anna, await anna.get_input_entity("boris"), "Hello", random_id=1)
    await boris.send_read_acknowledge("anna")
    read = await until(lambda: [u for u in updates if isinstance(u, types.UpdateReadHistoryOutbox)])
    assert (read[0].peer.user_id, read[0].max_id) == (town.boris.id, message_id)
    assert await boris.send_read_acknowledge("the_square")


async def test_typing_reaches_the_others(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    updates: list[object] = []
    boris.add_event_handler(lambda update: _collect(updates, update))
    await anna.get_dialogs()
    for peer in ("boris", town.group.id, town.square.id):
        await anna(functions.messages.SetTypingRequest(peer, types.SendMessageTypingAction()))
    kinds = (types.UpdateUserTyping, types.UpdateChatUserTyping, types.UpdateChannelUserTyping)
    await until(lambda: all(any(isinstance(u, kind) for u in updates) for kind in kinds))


async def test_a_second_session_of_the_author_sees_what_the_first_one_sent(town: Town) -> None:
    bot, phone = await town.login(town.anna), await town.login(town.anna)
    seen = Inbox(phone)
    await bot.send_message("boris", "From the bot")
    await bot.send_message("the_square", "To all")
    assert await seen.wait_for(2) == ["From the bot", "To all"]
    assert all(event.out for event in seen.events)


async def test_two_hundred_messages_from_many_clients_arrive_once_each(town: Town) -> None:
    writers = [await town.login(user) for user in (town.anna, town.boris)]
    vera = await town.login(town.vera)
    inbox = Inbox(vera)
    sent = []
    for number in range(200):
        writer = writers[number % 2]
        peer = types.InputPeerChat(town.group.bare_id) if number % 3 else await input_chat(writer, town.square)
        sent.append(f"{number}")
        await send(writer, peer, sent[-1], random_id=random.getrandbits(62) + 1)
    await inbox.wait_for(200)
    assert sorted(inbox.texts, key=int) == sent


async def _collect(updates: list[object], update: object) -> None:
    updates.append(update)
