"""Forums and their topics, as an unmodified client sees them."""

import pytest
from telethon import errors, functions, types

from sandbox.world.actions.topics import forum_set, topic_begin
from tests.telegram.sandbox_support import Inbox, Town, input_chat, send


@pytest.fixture
def forum(town: Town):
    """The square, as a forum with one topic. Gives the topic's root."""
    forum_set(town.world, town.square.id, forum=True)
    return topic_begin(town.world, user_id=town.boris.id, chat_id=town.square.id, title="Trips")


async def test_a_forum_and_its_topics_are_shown(town: Town, forum: int) -> None:
    town.square.owner = town.anna.id
    anna = await town.login(town.anna)
    square = await input_chat(anna, town.square)
    assert (await anna.get_entity(square)).forum
    made = await anna(functions.messages.CreateForumTopicRequest(square, "Food", random_id=7))
    (named, update) = made.updates
    assert (named.id, named.random_id) == (update.message.id, 7)
    assert update.message.action.title == "Food"
    listed = await anna(functions.messages.GetForumTopicsRequest(square, None, 0, 0, 100))
    assert [(topic.id, topic.title) for topic in listed.topics] == [(named.id, "Food"), (forum, "Trips")]
    await anna(functions.channels.ToggleForumRequest(square, False, False))
    with pytest.raises(errors.ChannelForumMissingError):
        await anna(functions.messages.GetForumTopicsRequest(square, None, 0, 0, 100))


async def test_what_is_sent_to_a_topic_is_a_reply_to_its_root(town: Town, forum: int) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    inbox = Inbox(boris)
    square, here = await input_chat(anna, town.square), await input_chat(boris, town.square)
    first = await send(anna, square, "Who comes?", random_id=1, reply_to=forum)
    await send(anna, square, "To the lake", random_id=2, reply_to=first)
    await send(anna, square, "In General", random_id=3)
    await inbox.wait_for(3)
    headers = [event.message.reply_to for event in inbox.events]
    assert [(h and (h.forum_topic, h.reply_to_msg_id, h.reply_to_top_id)) for h in headers] == [
        (True, forum, None),
        (True, first, forum),
        None,
    ]
    assert [message.raw_text for message in await boris.get_messages(here, reply_to=forum, limit=5)] == [
        "To the lake",
        "Who comes?",
    ]
    assert [(entry.topic, entry.reply_to) for entry in town.world.ledger] == [(forum, None), (forum, 1), (None, None)]


async def test_outside_of_forums_a_reply_names_no_topic(town: Town) -> None:
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    inbox = Inbox(boris)
    square, _ = await input_chat(anna, town.square), await input_chat(boris, town.square)
    first = await send(anna, square, "One", random_id=1)
    await send(anna, square, "Two", random_id=2, reply_to=first)
    await inbox.wait_for(2)
    header = inbox.events[1].message.reply_to
    assert (header.forum_topic, header.reply_to_msg_id, header.reply_to_top_id) == (False, first, None)
    assert isinstance(header, types.MessageReplyHeader)
    with pytest.raises(errors.ChannelForumMissingError):
        await anna(functions.messages.CreateForumTopicRequest(square, "Food", random_id=7))
