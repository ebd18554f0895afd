"""Changes of sent messages: edits, deletions and reactions, of which those who see the message are notified."""

from typing import Any

import aiohttp
import pytest
from telethon import TelegramClient, errors, functions, types

from sandbox.world.actions import message_changes, sending
from tests.telegram.sandbox_support import Inbox, Town, input_chat, send, until

HEART, THUMB = types.ReactionEmoji("❤"), types.ReactionEmoji("👍")


class Received:
    """The updates of some kinds that a client is given."""

    def __init__(self, client: TelegramClient, *kinds: type[Any]) -> None:
        self._kinds = kinds
        self.updates: list[Any] = []
        client.add_event_handler(self._collect)

    async def _collect(self, update: Any) -> None:
        if isinstance(update, self._kinds):
            self.updates.append(update)

    async def first(self) -> Any:
        return (await until(lambda: self.updates, f"one of {self._kinds}"))[0]


async def test_an_edit_reaches_the_others_and_the_history(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    received = Received(boris, types.UpdateEditMessage, types.UpdateEditChannelMessage)
    inbox = Inbox(boris)
    square = await input_chat(anna, town.square)
    message_id = await send(anna, square, "Helo", random_id=1)
    await anna(functions.messages.EditMessageRequest(square, message_id, message="Hello"))
    seen = (await received.first()).message
    assert (seen.id, seen.message) == (message_id, "Hello")
    assert seen.edit_date is not None
    there = await boris.get_messages(await input_chat(boris, town.square), ids=message_id)
    assert there.raw_text == "Hello"
    # Nothing is missing for the client afterwards, and the ledger keeps what was sent.
    await send(anna, square, "Next", random_id=2)
    assert await inbox.wait_for(2) == ["Helo", "Next"]
    assert [(entry.text, entry.edits) for entry in town.world.ledger] == [("Helo", ["Hello"]), ("Next", [])]


async def test_an_edit_in_a_private_chat_names_the_message_as_each_side_does(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    received = Received(boris, types.UpdateEditMessage)
    peer = await anna.get_input_entity("boris")
    message_id = await send(anna, peer, "At six", random_id=1)
    await anna(functions.messages.EditMessageRequest(peer, message_id, message="At seven"))
    seen = (await received.first()).message
    assert (seen.id, seen.message) == (town.world.ledger[0].message_ids[town.boris.id], "At seven")
    assert seen.id != message_id


async def test_one_edits_only_what_is_ones_own_and_only_to_something_else(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    message_id = await send(anna, await input_chat(anna, town.square), "Hello", random_id=1)
    at_boris, at_anna = await input_chat(boris, town.square), await input_chat(anna, town.square)
    with pytest.raises(errors.MessageAuthorRequiredError):
        await boris(functions.messages.EditMessageRequest(at_boris, message_id, message="Mine"))
    with pytest.raises(errors.MessageNotModifiedError):
        await anna(functions.messages.EditMessageRequest(at_anna, message_id, message="Hello"))
    with pytest.raises(errors.MessageIdInvalidError):
        await anna(functions.messages.EditMessageRequest(at_anna, 4711, message="Hello"))


async def test_a_message_deleted_for_everybody_is_gone_on_both_sides(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    received = Received(boris, types.UpdateDeleteMessages)
    peer = await anna.get_input_entity("boris")
    kept, gone = await send(anna, peer, "Stays", random_id=1), await send(anna, peer, "Goes", random_id=2)
    await anna(functions.messages.DeleteMessagesRequest([gone], revoke=True))
    entries = town.world.ledger
    assert (await received.first()).messages == [entries[1].message_ids[town.boris.id]]
    assert [message.raw_text for message in await boris.get_messages("anna")] == ["Stays"]
    assert [entry.deleted for entry in entries] == [False, True]
    assert kept in town.world.boxes[town.anna.id].messages


async def test_reactions_are_counted_and_can_be_taken_back(town: Town) -> None:
    anna, boris, vera = await town.login(town.anna), await town.login(town.boris), await town.login(town.vera)
    received = Received(anna, types.UpdateMessageReactions)
    message_id = await send(anna, await input_chat(anna, town.square), "Cake!", random_id=1)
    at_boris, at_vera = await input_chat(boris, town.square), await input_chat(vera, town.square)
    await boris(functions.messages.SendReactionRequest(at_boris, message_id, reaction=[HEART]))
    await vera(functions.messages.SendReactionRequest(at_vera, message_id, reaction=[HEART]))
    await vera(functions.messages.SendReactionRequest(at_vera, message_id, reaction=[THUMB]))
    await vera(functions.messages.SendReactionRequest(at_vera, message_id, reaction=[]))
    await until(lambda: len(received.updates) == 4, "four updates")
    counts = [{r.reaction.emoticon: r.count for r in update.reactions.results} for update in received.updates]
    assert counts == [{"❤": 1}, {"❤": 2}, {"❤": 1, "👍": 1}, {"❤": 1}]
    assert {update.msg_id for update in received.updates} == {message_id}
    seen = await anna.get_messages(await input_chat(anna, town.square), ids=message_id)
    assert [(r.reaction.emoticon, r.count) for r in seen.reactions.results] == [("❤", 1)]


async def test_what_was_edited_and_deleted_meanwhile_is_in_the_difference(town: Town) -> None:
    anna = await town.login(town.anna)
    state = await anna(functions.updates.GetStateRequest())
    world = town.world
    sent = [sending.send(world, user_id=town.boris.id, peer=town.anna.id, text=text) for text in ("one", "two")]
    message_changes.edit(world, user_id=town.boris.id, seq=sent[0].seq, text="first")
    message_changes.delete_for_all(world, seq=sent[1].seq)
    found = await anna(functions.updates.GetDifferenceRequest(state.pts, state.date, state.qts))
    assert [message.message for message in found.new_messages] == ["first"]
    edits = [update for update in found.other_updates if isinstance(update, types.UpdateEditMessage)]
    deletions = [update for update in found.other_updates if isinstance(update, types.UpdateDeleteMessages)]
    assert [update.message.message for update in edits] == ["first"]
    assert [update.messages for update in deletions] == [[sent[1].message_ids[town.anna.id]]]


async def test_the_control_api_edits_deletes_and_reacts(town: Town) -> None:
    entry = sending.send(town.world, user_id=town.boris.id, peer=town.square.id, text="Anyone?")

    async def post(path: str, body: Any) -> tuple[int, Any]:
        async with http.post(path, json=body) as answer:
            return answer.status, await answer.json()

    async with aiohttp.ClientSession(town.sandbox.http_url) as http:
        assert (await post("/edit", {"seq": entry.seq, "text": "Somebody?"}))[1]["edits"] == ["Somebody?"]
        reacted = await post("/react", {"user": "@anna", "seq": entry.seq, "emoji": "👍"})
        assert reacted[1]["reactions"] == {str(town.anna.id): "👍"}
        assert (await post("/react", {"user": "@anna", "seq": entry.seq}))[1]["reactions"] == {}
        assert (await post("/delete", {"seq": entry.seq}))[1]["deleted"] is True
        assert await post("/delete", {"seq": 99}) == (400, {"error": "seq: there is no entry 99"})
        status, _ = await post("/edit", {"seq": entry.seq, "text": "Too late"})
        assert status == 400
