"""Under which names the adapter shows people, and what it takes a reply for."""

from functools import partial

from sandbox.world.actions import sending, usernames
from sandbox.world.actions.topics import forum_set, topic_begin
from telegram.types import PersonTarget
from tests.telegram.accounts import Accounts, logged_in
from tests.telegram.sandbox_support import Town, until


async def test_who_has_only_a_collectible_name_is_known_by_it(town: Town, accounts: Accounts):
    usernames.collect(town.world, town.vera.id, [("asleep_vera", False), ("Diva", True)])
    usernames.collect(town.world, town.anna.id, [("anna_bought", True)])
    account = await accounts.open(await logged_in(town.anna))
    assert (await account.me()).username == "anna"
    sending.send(town.world, user_id=town.vera.id, peer=town.square.id, text="Hello")
    (heard,) = await until(lambda: accounts.heard[account])
    assert heard.from_username == "Diva"
    (read,) = await account.history(town.square.id, after_id=0)
    assert read.from_username == "Diva"
    assert await account.person_id(PersonTarget(username=heard.from_username)) == town.vera.id
    usernames.rename(town.world, town.anna.id, None)
    assert (await account.me()).username == "anna_bought"


async def test_a_collectible_name_is_remembered_for_messages_that_bring_no_author(town: Town, accounts: Accounts):
    usernames.collect(town.world, town.vera.id, [("Diva", True)])
    account = await accounts.open(await logged_in(town.anna))
    await account.dialogs()
    assert account._session.username_of(town.vera.id) == ""
    await account.history(town.group.id, after_id=0)
    sending.send(town.world, user_id=town.vera.id, peer=town.group.id, text="Hello")
    await until(lambda: accounts.heard[account])
    assert account._session.username_of(town.vera.id) == "diva"


async def test_a_name_that_was_given_up_is_nobodys(town: Town, accounts: Accounts):
    account = await accounts.open(await logged_in(town.anna))
    sending.send(town.world, user_id=town.boris.id, peer=town.group.id, text="As Boris")
    await until(lambda: len(accounts.heard[account]) == 1)
    usernames.hand_over(town.world, "boris", town.vera.id)
    sending.send(town.world, user_id=town.boris.id, peer=town.group.id, text="Without a name")
    sending.send(town.world, user_id=town.vera.id, peer=town.group.id, text="As Boris, too")
    await until(lambda: len(accounts.heard[account]) == 3)
    assert [(message.from_user_id, message.from_username) for message in accounts.heard[account]] == [
        (town.boris.id, "boris"),
        (town.boris.id, ""),
        (town.vera.id, "boris"),
    ]


async def test_a_message_in_a_topic_replies_only_to_the_message_that_it_quotes(town: Town, accounts: Accounts):
    forum_set(town.world, town.square.id, forum=True)
    root = topic_begin(town.world, user_id=town.boris.id, chat_id=town.square.id, title="Trips")
    account = await accounts.open(await logged_in(town.anna))
    post = partial(sending.send, town.world)
    first = post(user_id=town.vera.id, peer=town.square.id, text="Who comes?", reply_to=root)
    post(user_id=town.boris.id, peer=town.square.id, text="I do", reply_to=first.channel_message_id)
    await until(lambda: len(accounts.heard[account]) == 2)
    assert [message.reply_to_message_id for message in accounts.heard[account]] == [None, first.channel_message_id]
