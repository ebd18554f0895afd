"""Usernames that are changed, taken over and bought, as an unmodified client sees them."""

import pytest
from telethon import errors, functions, types

from sandbox.world.actions import sending, usernames
from sandbox.world.errors import WorldError
from tests.telegram.sandbox_support import Town, until


async def resolved(client, username: str) -> int:
    """The bare id behind a name."""
    answer = await client(functions.contacts.ResolveUsernameRequest(username))
    return getattr(answer.peer, "channel_id", None) or answer.peer.user_id


async def test_a_chats_name_that_was_taken_over_leads_to_the_other_chat(town: Town) -> None:
    anna = await town.login(town.anna)
    other = town.world.add_chat(kind="supergroup", title="Other", username="other_place", members=[town.vera.id])
    assert await resolved(anna, "the_square") == town.square.bare_id
    usernames.hand_over(town.world, "@the_square", other.id)
    assert await resolved(anna, "the_square") == other.bare_id
    await anna.get_dialogs()
    square = await anna.get_entity(town.square.id)
    assert (square.title, square.username) == ("Square", None)
    with pytest.raises(errors.UsernameNotOccupiedError):
        await resolved(anna, "other_place")


async def test_a_chat_that_lost_its_name_is_private(town: Town) -> None:
    gleb = await town.login(town.world.add_user(first_name="Gleb", phone="9996644444"))
    square = await gleb.get_input_entity("the_square")
    usernames.rename(town.world, town.square.id, None)
    with pytest.raises(errors.ChannelPrivateError):
        await gleb.get_messages(square, limit=1)


async def test_those_who_know_a_person_are_notified_of_the_new_name(town: Town) -> None:
    anna = await town.login(town.anna)
    updates: list[types.UpdateUserName] = []

    async def collect(update: object) -> None:
        if isinstance(update, types.UpdateUserName):
            updates.append(update)

    anna.add_event_handler(collect)
    usernames.hand_over(town.world, "boris", town.vera.id)
    await until(lambda: len(updates) == 2)
    assert [(update.user_id, [name.username for name in update.usernames]) for update in updates] == [
        (town.boris.id, []),
        (town.vera.id, ["boris"]),
    ]
    assert await resolved(anna, "boris") == town.vera.id


async def test_collectible_names_stand_in_a_list_and_the_plain_name_is_empty(town: Town) -> None:
    anna = await town.login(town.anna)
    usernames.collect(town.world, town.vera.id, [("asleep_vera", False), ("diva", True)])
    usernames.collect(town.world, town.square.id, [("plaza", True)])
    sending.send(town.world, user_id=town.vera.id, peer=town.square.id, text="Hello")
    (message,) = await anna.get_messages("the_square", limit=1)
    vera, square = await message.get_sender(), await message.get_chat()
    assert (vera.username, square.username) == (None, None)
    assert [(name.username, bool(name.active)) for name in vera.usernames] == [("asleep_vera", False), ("diva", True)]
    assert [(name.username, bool(name.editable)) for name in square.usernames] == [
        ("the_square", True),
        ("plaza", False),
    ]
    assert await resolved(anna, "diva") == town.vera.id
    assert await resolved(anna, "plaza") == town.square.bare_id
    with pytest.raises(errors.UsernameNotOccupiedError):
        await resolved(anna, "asleep_vera")


async def test_a_name_that_is_taken_stays_with_its_bearer(town: Town) -> None:
    with pytest.raises(WorldError, match="USERNAME_OCCUPIED"):
        usernames.rename(town.world, town.vera.id, "Boris")
    with pytest.raises(WorldError, match="USERNAME_OCCUPIED"):
        usernames.collect(town.world, town.vera.id, [("the_square", True)])
    assert town.world.find_username("boris") is town.boris
    assert town.world.find_username("the_square") is town.square
