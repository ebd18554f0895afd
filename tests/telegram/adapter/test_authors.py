"""What the adapter knows of authors, and an account that writes in another name still knows its own messages."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from sandbox.world.actions import membership, sending
from sandbox.world.actions.authors import delete_account, describe, send_album, write_as
from sandbox.world.marks import Forward, Marks
from telegram.errors import PeerRefuses
from telegram.types import Author, ChatTarget, PersonTarget
from tests.telegram.accounts import Accounts, logged_in
from tests.telegram.sandbox_support import Town, until


async def test_what_an_author_is_comes_with_every_message(town: Town, accounts: Accounts):
    account = await accounts.open(await logged_in(town.anna))
    await account.dialogs()
    square, now = town.square.id, town.world.clock()
    post = partial(sending.send, town.world)
    helper = describe(town.world, town.world.add_user(first_name="Helper", username="helper_bot").id, bot=True)
    notices = town.world.add_user(first_name="Telegram", user_id=777000)
    news = town.world.add_chat(kind="channel", title="News", username="the_news", owner=town.boris.id)
    for member in (helper, notices):
        membership.join(town.world, member.id, square)
    post(user_id=helper.id, peer=square, text="bot")
    post(user_id=notices.id, peer=square, text="service")
    post(user_id=town.boris.id, peer=square, text="channel", marks=Marks(send_as=news.id))
    post(user_id=town.boris.id, peer=square, text="anonymous_admin", marks=Marks(send_as=square))
    post(user_id=town.boris.id, peer=square, text="person", marks=Marks(via_bot=helper.id))
    post(user_id=town.boris.id, peer=square, text="person", marks=Marks(forward=Forward(now, town.vera.id)))
    send_album(town.world, user_id=town.boris.id, peer=square, texts=["person", ""])
    describe(town.world, town.boris.id, scam=True)
    post(user_id=town.boris.id, peer=square, text="person")
    delete_account(town.world, town.vera.id)
    await until(lambda: len(accounts.heard[account]) == 9, "all messages")
    heard = accounts.heard[account]
    in_the_history = [message for message in await account.history(square, after_id=0) if not message.service]
    for messages in (heard, in_the_history):
        assert [message.author.kind for message in messages if message.text] == [m.text for m in messages if m.text]
        assert [bool(message.via_bot_id) for message in messages] == [False] * 4 + [True] + [False] * 4
        assert [message.forwarded for message in messages] == [False] * 5 + [True] + [False] * 3
        assert messages[6].grouped_id and messages[6].grouped_id == messages[7].grouped_id
        assert [message.from_user_id for message in messages[2:5]] == [None, None, town.boris.id]
        assert messages[-1].author == Author("person", scam=True)


async def test_a_message_without_a_description_of_its_author_gets_the_last_known_author(town: Town, accounts: Accounts):
    sending.send(town.world, user_id=town.boris.id, peer=town.anna.id, text="before")
    describe(town.world, town.boris.id, bot=True)
    account = await accounts.open(await logged_in(town.anna))
    sending.send(town.world, user_id=town.boris.id, peer=town.anna.id, text="nothing is known yet")
    sending.send(town.world, user_id=town.vera.id, peer=town.group.id, text="described")
    sending.send(town.world, user_id=town.vera.id, peer=town.group.id, text="known")
    await until(lambda: len(accounts.heard[account]) == 3, "all messages")
    await account.dialogs()
    sending.send(town.world, user_id=town.boris.id, peer=town.anna.id, text="known by now")
    await until(lambda: len(accounts.heard[account]) == 4, "the last one")
    kinds = {message.text: message.author.kind for message in accounts.heard[account]}
    assert kinds == {
        "nothing is known yet": "unknown",
        "described": "person",
        "known": "person",
        "known by now": "bot",
    }
    private, group = accounts.heard[account][-1], accounts.heard[account][2]
    assert (private.peer_id, private.private, private.from_user_id) == (town.boris.id, True, town.boris.id)
    assert (group.peer_id, group.private, group.outgoing) == (town.group.id, False, False)


@pytest.mark.parametrize("name", ["a channel", "the group itself"])
async def test_a_message_that_the_account_sent_as_a_channel_is_its_own(town: Town, accounts: Accounts, name: str):
    news = town.world.add_chat(kind="channel", title="News", username="the_news", owner=town.anna.id)
    town.square.owner = town.anna.id
    account = await accounts.open(await logged_in(town.anna))
    await account.dialogs()
    write_as(
        town.world,
        user_id=town.anna.id,
        chat_id=town.square.id,
        peer=news.id if name == "a channel" else town.square.id,
    )
    chat, since = ChatTarget(telegram_id=town.square.id), datetime.now(UTC) - timedelta(minutes=1)
    sent = await account.send(chat, "The rules", random_id=5)
    sending.send(town.world, user_id=town.boris.id, peer=town.square.id, text="The rules")
    assert await account.find_own_message(chat, "The rules", since) == sent.message_id
    assert await account.find_own_message(chat, "The rules", since, exclude=[sent.message_id]) is None
    [mine, theirs] = [message for message in await account.history(town.square.id, after_id=0) if message.text]
    assert (mine.outgoing, mine.from_user_id, theirs.outgoing) == (True, None, False)


async def test_bots_and_accounts_that_are_gone_are_not_written_to(town: Town, accounts: Accounts):
    describe(town.world, town.world.add_user(first_name="Helper", username="helper_bot").id, bot=True)
    account = await accounts.open(await logged_in(town.anna))
    with pytest.raises(PeerRefuses, match="NOT_A_PERSON"):
        await account.send(PersonTarget(username="helper_bot"), "Hello", random_id=1)
    sending.send(town.world, user_id=town.boris.id, peer=town.anna.id, text="hi")
    delete_account(town.world, town.boris.id)
    await account.dialogs()
    with pytest.raises(PeerRefuses, match="NOT_A_PERSON"):
        await account.send(PersonTarget(user_id=town.boris.id), "Hello", random_id=2)
    assert [entry.text for entry in town.world.ledger] == ["hi"]


async def test_a_text_is_found_as_telegram_keeps_it(town: Town, accounts: Accounts):
    account = await accounts.open(await logged_in(town.anna), receive_updates=False)
    await account.dialogs()
    chat, typed = ChatTarget(telegram_id=town.square.id), "  Two\r\nlines\tand a \x00 \r\n"
    sent = await account.send(chat, typed, random_id=5)
    assert town.world.ledger[0].text == "Two\nlines and a"
    assert await account.find_own_message(chat, typed, sent.at) == sent.message_id
    assert await account.find_own_message(chat, "Two lines", sent.at) is None
