"""TelegramAccount over unmodified Telethon against the sandbox."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.world.actions import discussions, membership, sending, topics
from sandbox.world.faults import Fault
from telegram.errors import AlreadySent, BotDead, ChatRefuses, PeerRefuses, RetryAfter, TransientError
from telegram.logins.client import request_code
from telegram.types import ChatTarget, PersonTarget, ResolvedChat
from tests.telegram.accounts import CREDENTIALS, Accounts, logged_in
from tests.telegram.sandbox_support import Town, until

ANNAS_PHONE = "9996611111"


async def anna_of(town: Town, accounts: Accounts):
    """Anna, who has looked at her chats."""
    account = await accounts.open(await logged_in(town.anna))
    await account.dialogs()
    return account


async def test_a_session_that_was_never_logged_in_needs_a_login(town: Town, accounts: Accounts):
    sent = await request_code(CREDENTIALS, ANNAS_PHONE)
    with pytest.raises(BotDead) as dead:
        await accounts.open(sent.session)
    assert dead.value.needs_login


async def test_a_repeat_with_the_same_random_id_sends_nothing_twice(town: Town, accounts: Accounts):
    account = await anna_of(town, accounts)
    chat = ChatTarget(telegram_id=town.square.id)
    first = await account.send(chat, "hello", random_id=77)
    try:
        assert (await account.send(chat, "hello", random_id=77)).message_id == first.message_id
    except AlreadySent:
        pass
    assert [entry.text for entry in town.world.ledger if entry.text] == ["hello"]
    assert await account.find_own_message(chat, "hello", first.at) == first.message_id


async def test_an_answer_that_is_lost_is_transient_and_the_repeat_finds_the_message(town: Town, accounts: Accounts):
    session = await logged_in(town.anna)
    account = await accounts.open(session)
    await account.dialogs()
    await account.flush()
    town.sandbox.faults.plan(Fault(kind="DROP_ANSWER"))
    with pytest.raises(TransientError):
        await account.send(ChatTarget(telegram_id=town.group.id), "once", random_id=5)
    assert isinstance(await asyncio.wait_for(account.closed, 60), TransientError)
    again = await accounts.open(accounts.saved[account])
    try:
        await again.send(ChatTarget(telegram_id=town.group.id), "once", random_id=5)
    except AlreadySent:
        pass
    assert [entry.text for entry in town.world.ledger if entry.text] == ["once"]


async def test_waits_are_raised_at_once_and_do_not_reach_other_chats(town: Town, accounts: Accounts):
    account = await anna_of(town, accounts)
    town.sandbox.faults.plan(Fault(kind="FLOOD_WAIT", seconds=40, chat=town.square.id))
    with pytest.raises(RetryAfter) as wait:
        await account.send(ChatTarget(telegram_id=town.square.id), "a", random_id=1)
    assert (wait.value.seconds, wait.value.reason) == (40, "FLOOD_WAIT_40")
    await account.send(ChatTarget(telegram_id=town.group.id), "b", random_id=2)


async def test_messages_are_received_in_order_with_their_authors(town: Town, accounts: Accounts):
    account = await anna_of(town, accounts)
    for number in range(10):
        sending.send(town.world, user_id=town.boris.id, peer=town.square.id, text=f"m{number}")
    sending.send(town.world, user_id=town.boris.id, peer=town.anna.id, text="psst")
    await until(lambda: len(accounts.heard[account]) == 11, "all messages")
    assert accounts.texts(account) == [f"m{number}" for number in range(10)] + ["psst"]
    in_chat, private = accounts.heard[account][0], accounts.heard[account][-1]
    assert (in_chat.peer_id, in_chat.from_user_id, in_chat.from_username) == (town.square.id, town.boris.id, "boris")
    assert (private.peer_id, private.private, private.outgoing) == (town.boris.id, True, False)


async def test_own_messages_from_another_device_are_received_as_outgoing(town: Town, accounts: Accounts):
    session = await logged_in(town.anna)
    account = await accounts.open(session)
    phone = await town.login(town.anna)
    await phone.get_dialogs()
    await phone.send_message("boris", "from the phone")
    await until(lambda: accounts.heard[account], "the message")
    heard = accounts.heard[account][0]
    assert (heard.outgoing, heard.peer_id, heard.from_user_id) == (True, town.boris.id, town.anna.id)


@pytest.mark.parametrize("kind", ["square", "group", "private"])
async def test_history_is_read_upwards_in_pages(town: Town, accounts: Accounts, kind: str):
    account = await anna_of(town, accounts)
    peer = town.boris.id if kind == "private" else getattr(town, kind).id
    speak_to = town.anna.id if kind == "private" else peer
    for number in range(7):
        sending.send(town.world, user_id=town.boris.id, peer=speak_to, text=f"m{number}")
    await account.dialogs()
    seen: list[str] = []
    after = 0
    while page := await account.history(peer, after_id=after, limit=3):
        assert len(page) <= 3
        seen += [message.text for message in page if not message.service]
        after = page[-1].message_id
    assert seen == [f"m{number}" for number in range(7)]
    assert after == await account.top_message_id(peer)


async def test_joining_by_username_and_by_invite(town: Town, accounts: Accounts):
    town.world.add_chat(kind="supergroup", title="Market", username="market", owner=town.boris.id)
    town.world.add_chat(kind="group", title="Yard", invite_hash="YardInvite", owner=town.boris.id)
    account = await anna_of(town, accounts)
    for reference, kind in (("@market", "supergroup"), ("https://t.me/+YardInvite", "group")):
        joined = await account.join(reference)
        assert (joined.kind, joined.joined) == (kind, True)
        assert await account.join(reference) == replace(joined, joined=False)
        assert joined.telegram_id in {dialog.peer_id for dialog in await account.dialogs()}


@pytest.mark.parametrize("kind", ["public", "private", "group"])
@pytest.mark.parametrize("known", [True, False], ids=["by id", "by reference"])
async def test_telegram_is_asked_about_a_chat_itself(town: Town, accounts: Accounts, kind: str, known: bool):
    chat = town.world.add_chat(
        kind="group" if kind == "group" else "supergroup",
        title="Market",
        username="the_market" if kind == "public" else None,
        invite_hash="MarketInvite",
        members=[town.boris.id, town.anna.id],
    )
    sending.send(town.world, user_id=town.boris.id, peer=chat.id, text="Hello")
    reference = "@the_market" if kind == "public" else "https://t.me/+MarketInvite"
    account = await accounts.open(await logged_in(town.anna))
    if known:
        await account.dialogs()
    there = await account.membership(reference, chat.id)
    assert there is not None
    assert (there.telegram_id, there.title) == (chat.id, "Market")
    membership.leave(town.world, town.anna.id, chat.id)
    assert await account.membership(reference, chat.id) is None


async def test_a_membership_that_telegram_does_not_show_is_unknown(town: Town, accounts: Accounts):
    account = await anna_of(town, accounts)
    strange = -1009999999999
    for reference, telegram_id in [("", strange), ("@the_square", strange), ("@nobody_at_all", strange), ("", -77)]:
        with pytest.raises(ChatRefuses, match="MEMBERSHIP_UNKNOWN"):
            await account.membership(reference, telegram_id)


async def test_a_basic_group_that_the_account_is_not_in_is_not_entered_by_its_id(town: Town, accounts: Accounts):
    account = await anna_of(town, accounts)
    yard = town.world.add_chat(kind="group", title="Yard", members=[town.boris.id])
    for leaves in (False, True):
        if leaves:
            membership.join(town.world, town.anna.id, yard.id, announce="joined")
            assert (await account.join(str(yard.id))).telegram_id == yard.id
            membership.leave(town.world, town.anna.id, yard.id)
        with pytest.raises(ChatRefuses, match="MUST_BE_ADDED"):
            await account.join(str(yard.id))


async def test_what_cannot_be_joined_is_refused(town: Town, accounts: Accounts):
    account = await anna_of(town, accounts)
    for reference in ("https://t.me/+NoSuchInvite", "-1009999999999", "@boris"):
        with pytest.raises(ChatRefuses):
            await account.join(reference)


async def test_a_person_is_reached_by_username_or_through_a_shared_chat(town: Town, accounts: Accounts):
    said = sending.send(town.world, user_id=town.vera.id, peer=town.square.id, text="looking for a plumber")
    account = await anna_of(town, accounts)
    by_name = await account.send(PersonTarget(username="boris"), "hi", random_id=1)
    assert by_name.user_id == town.boris.id
    through = PersonTarget(user_id=town.vera.id, via_chat_id=town.square.id, via_message_id=said.channel_message_id)
    assert (await account.send(through, "hello Vera", random_id=2)).user_id == town.vera.id
    assert [entry.text for entry in town.world.ledger][-2:] == ["hi", "hello Vera"]


@pytest.mark.parametrize("left", [False, True], ids=["member", "left"])
async def test_a_person_without_a_username_is_reached_through_a_shared_basic_group(
    town: Town, accounts: Accounts, left: bool
):
    """The id of a message is of no use: another account, with other ids, has read it."""
    nobody = town.world.add_user(first_name="Nobody")
    yard = town.world.add_chat(kind="group", title="Yard", members=[town.anna.id, town.boris.id])
    # The account has not received the message, so it does not know the author.
    account = await accounts.open(await logged_in(town.anna), receive_updates=False)
    membership.join(town.world, nobody.id, yard.id)
    sending.send(town.world, user_id=nobody.id, peer=yard.id, text="looking for a plumber")
    sending.send(town.world, user_id=town.boris.id, peer=yard.id, text="me too")
    if left:
        membership.leave(town.world, nobody.id, yard.id)
    target = PersonTarget(user_id=nobody.id, via_chat_id=yard.id)
    assert (await account.send(target, "hello", random_id=1)).user_id == nobody.id
    assert town.world.ledger[-1].peer == nobody.id
    with pytest.raises(PeerRefuses, match="PERSON_UNKNOWN"):
        await account.send(PersonTarget(user_id=town.vera.id, via_chat_id=yard.id), "hello", random_id=2)


async def test_comments_on_a_channels_posts_are_in_the_threads_of_the_forwarded_posts(town: Town, accounts: Accounts):
    world, boris, anna = town.world, town.boris.id, town.anna.id
    channel = world.add_chat(kind="channel", title="News", owner=boris, members=[anna])
    group = world.add_chat(kind="supergroup", title="Talk about news", owner=boris)
    account = await anna_of(town, accounts)
    await account.dialogs()
    assert await account.discussion(channel.id) is None and await account.discussion(town.square.id) is None
    discussions.discussion_set(world, channel.id, group.id)
    found = await account.discussion(channel.id)
    assert found == ResolvedChat(group.id, "supergroup", "Talk about news", left=True)
    sending.send(world, user_id=boris, peer=channel.id, text="We have moved")
    root = world.ledger[-1].channel_message_id
    comment = sending.send(world, user_id=boris, peer=group.id, text="where to?", reply_to=root)
    sending.send(world, user_id=boris, peer=group.id, text="down the road", reply_to=comment.channel_message_id)
    sending.send(world, user_id=boris, peer=group.id, text="something else")
    joined = await account.join(str(group.id))
    assert (joined.telegram_id, joined.joined) == (group.id, True)
    read = [message for message in await account.history(group.id, after_id=0) if message.text]
    assert [(message.text, message.thread_id, message.is_post) for message in read] == [
        ("We have moved", None, True),
        ("where to?", root, False),
        ("down the road", root, False),
        ("something else", None, False),
    ]
    assert [dialog.peer_id for dialog in await account.dialogs() if dialog.channel] == [channel.id]


async def test_messages_of_a_forum_name_their_topic(town: Town, accounts: Accounts):
    topics.forum_set(town.world, town.square.id, forum=True)
    root = topics.topic_begin(town.world, user_id=town.boris.id, chat_id=town.square.id, title="Jobs")
    first = sending.send(town.world, user_id=town.boris.id, peer=town.square.id, text="in a topic", reply_to=root)
    number = first.channel_message_id
    sending.send(town.world, user_id=town.boris.id, peer=town.square.id, text="an answer there", reply_to=number)
    sending.send(town.world, user_id=town.boris.id, peer=town.square.id, text="in General")
    account = await anna_of(town, accounts)
    read = [message for message in await account.history(town.square.id, after_id=0) if message.text]
    assert [(message.text, message.topic_id) for message in read[-3:]] == [
        ("in a topic", root),
        ("an answer there", root),
        ("in General", None),
    ]
    assert await account.topics(town.square.id) == {root: "Jobs"}
    assert [dialog.peer_id for dialog in await account.dialogs() if dialog.forum] == [town.square.id]
    with pytest.raises(ChatRefuses, match="CHANNEL_FORUM_MISSING"):
        topics.forum_set(town.world, town.square.id, forum=False)
        await account.topics(town.square.id)


async def test_a_username_that_has_gone_to_somebody_else_is_not_written_to(town: Town, accounts: Accounts):
    account = await anna_of(town, accounts)
    with pytest.raises(PeerRefuses, match="CHANGED_HANDS"):
        await account.send(PersonTarget(user_id=12345, username="boris"), "hi", random_id=1)
    with pytest.raises(PeerRefuses):
        await account.send(PersonTarget(username="nobody_at_all"), "hi", random_id=2)


async def test_a_reply_in_a_basic_group_finds_its_own_id_of_the_message(town: Town, accounts: Accounts):
    sending.send(town.world, user_id=town.boris.id, peer=town.group.id, text="who is there?")
    account = await anna_of(town, accounts)
    since = datetime.now(UTC) - timedelta(minutes=1)
    own_id = await account.find_message(town.group.id, from_user_id=town.boris.id, text="who is there?", since=since)
    assert own_id == await account.top_message_id(town.group.id)


async def test_the_session_text_keeps_what_the_account_has_met(town: Town, accounts: Accounts):
    account = await anna_of(town, accounts)
    await account.flush()
    await account.disconnect()
    again = await accounts.open(accounts.saved[account])
    await again.send(ChatTarget(telegram_id=town.square.id), "no lookup was needed", random_id=3)
    assert ANNAS_PHONE not in accounts.saved[account]


async def test_a_connection_that_is_not_there_cannot_be_kept_alive(town: Town, accounts: Accounts):
    account = await anna_of(town, accounts)
    assert account.connected
    await account.disconnect()
    assert not account.connected
    with pytest.raises(TransientError):
        await account.keep_alive(1)


async def test_the_server_drops_a_connection_that_goes_silent(town: Town, accounts: Accounts):
    account = await anna_of(town, accounts)
    await account.keep_alive(1)
    assert isinstance(await asyncio.wait_for(account.closed, 60), TransientError)


async def test_disconnect_closes_for_good_and_is_reported(town: Town, accounts: Accounts):
    account = await anna_of(town, accounts)
    await account.disconnect()
    assert account.closed.done()
    with pytest.raises(TransientError):
        await account.me()


async def test_a_banned_account_is_dead(town: Town, accounts: Accounts):
    account = await anna_of(town, accounts)
    town.sandbox.faults.plan(Fault(kind="USER_DEACTIVATED_BAN", user=town.anna.id, times=None))
    with pytest.raises(BotDead) as dead:
        await account.me()
    assert (dead.value.reason, dead.value.needs_login) == ("USER_DEACTIVATED_BAN", False)
