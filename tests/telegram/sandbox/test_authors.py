"""Who authors are and what stands on their messages, as an unmodified client sees it."""

from functools import partial

import pytest
from telethon import errors, events, functions, types, utils

from sandbox.world.actions import membership, sending
from sandbox.world.actions.authors import delete_account, describe, send_album, write_as
from sandbox.world.errors import WorldError
from sandbox.world.marks import Forward, Marks
from tests.telegram.sandbox_support import Inbox, Town, input_chat, send, until


async def newest(client, chat) -> types.Message:
    """The newest message of a chat and whom the answer describes, by marked id."""
    answer = await client(functions.messages.GetHistoryRequest(chat, 0, None, 0, 1, 0, 0, 0))
    message = answer.messages[0]
    message.described = {utils.get_peer_id(entity): entity for entity in [*answer.users, *answer.chats]}
    return message


async def test_bots_scams_fakes_and_deleted_accounts_are_shown_as_such(town: Town) -> None:
    helper = town.world.add_user(first_name="Helper", username="helper_bot")
    for member in (helper, town.boris, town.vera):
        membership.join(town.world, member.id, town.square.id)
    describe(town.world, helper.id, bot=True)
    describe(town.world, town.boris.id, scam=True)
    describe(town.world, town.vera.id, fake=True)
    anna = await town.login(town.anna)
    square = await input_chat(anna, town.square)
    shown = {}
    for member in (helper, town.boris, town.vera):
        sending.send(town.world, user_id=member.id, peer=town.square.id, text="hello")
        shown[member.id] = (await newest(anna, square)).described[member.id]
    # The account has not met the bot: what somebody is stands on "min" users, too.
    assert shown[helper.id].min and not shown[town.boris.id].min
    assert {number: (bool(user.bot), bool(user.scam), bool(user.fake)) for number, user in shown.items()} == {
        helper.id: (True, False, False),
        town.boris.id: (False, True, False),
        town.vera.id: (False, False, True),
    }
    delete_account(town.world, town.boris.id)
    sending.send(town.world, user_id=town.vera.id, peer=town.square.id, text="He is gone")
    answer = await anna(functions.messages.GetHistoryRequest(square, 0, None, 0, 10, 0, 0, 0))
    [gone] = [user for user in answer.users if user.id == town.boris.id]
    assert (gone.deleted, gone.first_name, gone.username, town.world.find_username("boris")) == (True, None, None, None)


async def test_via_bots_and_forwards_stand_on_the_message(town: Town) -> None:
    helper = describe(town.world, town.world.add_user(first_name="Helper").id, bot=True)
    anna = await town.login(town.anna)
    square = await input_chat(anna, town.square)
    inbox = Inbox(anna)
    post = partial(sending.send, town.world)
    post(user_id=town.boris.id, peer=town.square.id, text="by way of a bot", marks=Marks(via_bot=helper.id))
    sent = await newest(anna, square)
    assert (sent.via_bot_id, sent.from_id, sent.described[helper.id].bot) == (
        helper.id,
        types.PeerUser(town.boris.id),
        True,
    )
    now = town.world.clock()
    post(user_id=town.boris.id, peer=town.square.id, text="Vera's", marks=Marks(forward=Forward(now, town.vera.id)))
    forwarded = await newest(anna, square)
    assert forwarded.fwd_from.from_id == types.PeerUser(town.vera.id)
    assert {town.boris.id, town.vera.id} <= forwarded.described.keys()
    post(user_id=town.boris.id, peer=town.square.id, text="hidden", marks=Marks(forward=Forward(now, name="Somebody")))
    hidden = (await newest(anna, square)).fwd_from
    assert (hidden.from_id, hidden.from_name) == (None, "Somebody")
    await inbox.wait_for(3)
    assert [bool(event.message.via_bot_id or event.message.fwd_from) for event in inbox.events] == [True] * 3


async def test_an_album_is_a_message_for_each_picture(town: Town) -> None:
    anna = await town.login(town.anna)
    albums: list[list[tuple[int, str]]] = []

    async def collect(event: events.Album.Event) -> None:
        albums.append([(message.id, message.message) for message in event.messages])

    anna.add_event_handler(collect, events.Album())
    sent = send_album(town.world, user_id=town.boris.id, peer=town.anna.id, texts=["Our teas", "", ""])
    await until(lambda: albums, "the album")
    assert albums == [[(entry.id_for(town.anna.id), entry.text) for entry in sent]]
    [message] = await anna.get_messages("boris", ids=[sent[1].id_for(town.anna.id)])
    assert message.grouped_id == sent[0].marks.album and isinstance(message.media, types.MessageMediaPhoto)
    with pytest.raises(WorldError):
        sending.send(town.world, user_id=town.boris.id, peer=town.anna.id, text="")


async def test_who_writes_as_a_channel_is_seen_as_the_channel(town: Town) -> None:
    news = town.world.add_chat(kind="channel", title="News", username="the_news", owner=town.anna.id)
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    square, seen_by_boris = await input_chat(anna, town.square), await input_chat(boris, town.square)
    as_news = await input_chat(anna, news)
    inbox = Inbox(boris)
    assert await anna(functions.messages.SaveDefaultSendAsRequest(square, as_news))
    number = await send(anna, square, "From the channel", random_id=7)
    assert await send(anna, square, "From the channel", random_id=7) == number
    mine, theirs = await newest(anna, square), await newest(boris, seen_by_boris)
    for sent, out in ((mine, True), (theirs, False)):
        assert (sent.id, sent.out, sent.from_id) == (number, out, types.PeerChannel(news.bare_id))
    assert theirs.described[news.id].broadcast and town.anna.id not in theirs.described
    await inbox.wait_for(1)
    assert inbox.events[0].sender_id == news.id
    # Nobody learns by a message who is behind it.
    met = types.InputUserFromMessage(seen_by_boris, number, town.anna.id)
    assert isinstance((await boris(functions.users.GetUsersRequest([met])))[0], types.UserEmpty)
    # It is still the account's own.
    await anna.edit_message(square, number, "Changed")
    assert (await newest(boris, seen_by_boris)).message == "Changed"
    own = types.InputPeerSelf()
    request = functions.messages.SendMessageRequest(square, "As myself", random_id=8, send_as=own)
    await anna(request)
    assert (await newest(boris, seen_by_boris)).from_id == types.PeerUser(town.anna.id)
    with pytest.raises(errors.SendAsPeerInvalidError):
        await boris(
            functions.messages.SaveDefaultSendAsRequest(seen_by_boris, await boris.get_input_entity("the_news"))
        )


async def test_an_anonymous_admin_is_seen_as_the_group(town: Town) -> None:
    town.square.owner = town.anna.id
    anna, boris = await town.login(town.anna), await town.login(town.boris)
    square, seen_by_boris = await input_chat(anna, town.square), await input_chat(boris, town.square)
    possible = await anna(functions.channels.GetSendAsRequest(square))
    assert [utils.get_peer_id(sender.peer) for sender in possible.peers] == [town.anna.id, town.square.id]
    write_as(town.world, user_id=town.anna.id, chat_id=town.square.id, peer=town.square.id)
    await send(anna, square, "The rules", random_id=1)
    sent = await newest(boris, seen_by_boris)
    assert (sent.from_id, sent.out, sent.post_author) == (types.PeerChannel(town.square.bare_id), False, None)
    marks = Marks(send_as=town.square.id, post_author="Anna")
    sending.send(town.world, user_id=town.anna.id, peer=town.square.id, text="Signed", marks=marks)
    assert (await newest(boris, seen_by_boris)).post_author == "Anna"
    with pytest.raises(WorldError):
        write_as(town.world, user_id=town.boris.id, chat_id=town.square.id, peer=town.square.id)


async def test_in_a_channel_only_its_owner_writes_in_its_own_name(town: Town) -> None:
    everyone = [town.boris.id]
    news = town.world.add_chat(kind="channel", title="News", username="the_news", owner=town.anna.id, members=everyone)
    boris = await town.login(town.boris)
    seen = await input_chat(boris, news)
    sending.send(town.world, user_id=town.anna.id, peer=news.id, text="Today")
    post = await newest(boris, seen)
    assert (post.post, post.from_id, town.anna.id in post.described) == (True, None, False)
    with pytest.raises(errors.ChatAdminRequiredError):
        await send(boris, seen, "May I?", random_id=1)


@pytest.mark.parametrize("kind", ["private", "group"])
async def test_a_plain_text_of_a_known_person_comes_without_its_author(town: Town, kind: str) -> None:
    anna = await town.login(town.anna)
    raw: list[object] = []

    async def collect(update: object) -> None:
        raw.append(update)

    anna.add_event_handler(collect, events.Raw())
    inbox = Inbox(anna)
    peer = town.anna.id if kind == "private" else town.group.id
    for text in ("first", "second"):
        sending.send(town.world, user_id=town.boris.id, peer=peer, text=text)
    assert await inbox.wait_for(2) == ["first", "second"]
    short = types.UpdateShortMessage if kind == "private" else types.UpdateShortChatMessage
    first, second = (update for update in raw if isinstance(update, types.UpdateNewMessage | short))
    assert town.boris.id in first._entities
    assert isinstance(second, short) and second._entities == {}
    assert inbox.events[1].sender_id == town.boris.id


async def test_texts_are_kept_as_telegram_keeps_them(town: Town) -> None:
    anna = await town.login(town.anna)
    square = await input_chat(anna, town.square)
    await send(anna, square, "  Two\r\nlines\twith\x00what\u202eis not kept \n", random_id=1)
    assert (await newest(anna, square)).message == "Two\nlines with whatis not kept"
    with pytest.raises(errors.MessageEmptyError):
        await send(anna, square, "\r\n \t", random_id=2)
