"""What a bot's session reads: each message once and in order, from the cursor on, and nothing that it may not."""

from functools import partial
from typing import Any

from django.utils import timezone

from bots.models import Cursor, ForumTopic
from bots.worker.supervision import unread_chats_forget
from campaigns.erasing import person_erase
from campaigns.models import Chat
from messaging.models import HandlingFailure
from panelkit.rights import Shell
from parser.hit_changes import hits_changed
from parser.models import Hit, Keyword, WatchedChat
from parser.roles import ParserHandler
from privacy.person import Person
from sandbox.world.actions import discussions, membership, message_changes, sending, topics
from sandbox.world.actions.authors import describe
from sandbox.world.faults import Fault
from telegram.types import is_supergroup
from tests.integration import ledger
from tests.integration.leads_world import permit
from tests.support import wait_until
from tests.telegram.bots_support import Company, events


def test_messages_are_recorded_once_and_in_order_across_lost_connections(company: Company):
    square, row = company.make_chat("square")
    yard, yard_row = company.make_chat("yard", kind="group")
    bot = company.make_bot("ears", row, yard_row)
    company.run(company.start(), bot)
    company.online(bot)
    for number in range(30):
        company.say(square, f"s{number}")
        company.say(yard, f"y{number}")
        if number in (7, 19):
            company.sandbox.call(company.sandbox.mtproto.drop_everyone)
    company.until_heard(bot, 60)
    texts = company.role.texts(bot)
    assert [text for text in texts if text[0] == "s"] == [f"s{number}" for number in range(30)]
    assert [text for text in texts if text[0] == "y"] == [f"y{number}" for number in range(30)]


def test_messages_from_before_a_connect_are_read_from_the_cursor(company: Company):
    square, row = company.make_chat("square")
    bot = company.make_bot("ears", row)
    company.say(square, "before the bot knew the chat")
    first = company.start("first")
    company.run(first, bot)
    company.online(bot)
    company.say(square, "one")
    company.until_heard(bot, 1)
    first.close()
    assert company.state(bot)[0] == "offline"
    assert company.connections(bot) == 0
    company.say(square, *(f"missed {number}" for number in range(130)))
    company.run(company.start("second"), bot)
    company.online(bot)
    company.say(square, "live again")
    company.until_heard(bot, 132)
    assert company.role.texts(bot) == ["one", *(f"missed {number}" for number in range(130)), "live again"]


def test_messages_from_while_the_chat_was_not_read_are_never_read(company: Company, monkeypatch):
    monkeypatch.setattr("bots.worker.serving.CHATS_SECONDS", 0.2)
    square, row = company.make_chat("square")
    yard, yard_row = company.make_chat("yard")
    bot = company.make_bot("ears", row, yard_row)
    company.run(company.start(), bot)
    company.online(bot)
    company.role.places[bot.pk] = [yard_row]
    wait_until(lambda: Cursor.objects.filter(bot=bot, peer_id__lt=0).count() == 1, what="the square forgotten")
    company.say(square, "private talk")
    company.say(yard, "still read")
    company.until_heard(bot, 1)
    company.role.places[bot.pk] = [row, yard_row]
    wait_until(lambda: Cursor.objects.filter(bot=bot, peer_id__lt=0).count() == 2, what="the square read again")
    company.say(square, "allowed again")
    assert company.until_heard(bot, 2) == ["still read", "allowed again"]


def test_a_bot_that_was_not_wanted_for_a_while_begins_at_the_newest_message(company: Company):
    square, row = company.make_chat("square")
    bot = company.make_bot("ears", row)
    runtime = company.start()
    task = company.run(runtime, bot)[0]
    company.online(bot)
    company.role.bots.clear()
    task.join(60)
    unread_chats_forget("parser", timezone.now())
    company.say(square, *(f"private {number}" for number in range(3)))
    company.role.bots.add(bot.pk)
    unread_chats_forget("parser", timezone.now())
    company.run(runtime, bot)
    company.online(bot)
    company.say(square, "allowed again")
    assert company.until_heard(bot, 1) == ["allowed again"]


def test_direct_chats_that_begin_later_are_read_whole_and_older_ones_are_not(company: Company):
    company.role.reads_chats, company.role.reads_private = False, True
    bot = company.make_bot("manager")
    stranger = company.make_user("Stranger")
    post = partial(sending.send, company.world)
    company.sandbox.call(post, user_id=stranger.id, peer=bot.telegram_user_id, text="old times")
    first = company.start("first")
    company.run(first, bot)
    company.online(bot)
    first.close()
    company.say(bot.telegram_user_id, "new", "here")
    company.sandbox.call(post, user_id=stranger.id, peer=bot.telegram_user_id, text="me again")
    company.run(company.start("second"), bot)
    company.until_heard(bot, 3)
    assert sorted(company.role.texts(bot)) == ["here", "me again", "new"]


def test_a_message_whose_handler_fails_is_tried_again_then_skipped_and_reported(company: Company):
    square, row = company.make_chat("square")
    bot = company.make_bot("ears", row)
    company.role.fails_on = lambda message: message.text == "poison"
    company.run(company.start(), bot)
    company.online(bot)
    company.say(square, "before", "poison", "after")
    assert company.until_heard(bot, 2) == ["before", "after"]
    assert HandlingFailure.objects.filter(queue="bots.on_message").count() == 1
    assert "poison" not in events("bots.error")[0]


def test_a_handler_that_recovers_loses_nothing(company: Company):
    square, row = company.make_chat("square")
    bot = company.make_bot("ears", row)
    company.role.fails_on = lambda message: company.role.calls < 3
    company.run(company.start(), bot)
    company.online(bot)
    company.say(square, "one", "two")
    assert company.until_heard(bot, 2) == ["one", "two"]
    assert not HandlingFailure.objects.exists()


def test_who_wrote_is_read_from_the_history_when_an_update_does_not_describe_them(company: Company):
    olga = company.make_user("Olga")
    yard, row = company.make_chat("yard", kind="group", members=[olga])
    bot = company.make_bot("ears", row)
    company.sandbox.call(membership.join, company.world, bot.telegram_user_id, yard.id)
    post = partial(company.sandbox.call, sending.send, company.world, user_id=olga.id, peer=yard.id)
    post(text="before anybody listened")
    company.say(yard, "the newest, which is what a list of chats shows")
    company.run(company.start(), bot)
    company.online(bot)
    post(text="and now")
    company.until_heard(bot, 1)
    [(_, message)] = company.role.heard
    assert (message.text, message.author.kind, message.from_username) == ("and now", "person", "olga_here")


def test_of_a_direct_chat_nothing_old_is_read_to_learn_who_writes(company: Company):
    company.role.reads_private, company.role.reads_chats = True, False
    helper = company.make_user("Helper")
    company.sandbox.call(describe, company.world, helper.id, bot=True)
    bot = company.make_bot("ears")
    post = partial(company.sandbox.call, sending.send, company.world, user_id=helper.id, peer=bot.telegram_user_id)
    post(text="old")
    runtime = company.start()
    company.run(runtime, bot)
    company.online(bot)
    account = runtime.sessions[bot.pk].account
    assert account is not None
    # Nothing of the bot is remembered, as after a list of chats that is not read yet.
    account._session._authors.clear()
    post(text="new")
    company.until_heard(bot, 1)
    assert [(message.text, message.author.kind) for _, message in company.role.heard] == [("new", "bot")]


def test_changes_of_a_hit_are_noticed_in_a_supergroup_and_in_a_basic_group(company: Company, monkeypatch):
    monkeypatch.setattr(company.role, "on_changes", hits_changed)
    square, row = company.make_chat("square")
    yard, yard_row = company.make_chat("yard", kind="group")
    bot = company.make_bot("ears", row, yard_row)
    company.run(company.start(), bot)
    company.online(bot)
    company.say(square, "tea?")
    company.say(yard, "tea?")
    company.until_heard(bot, 2)
    campaign = ledger.make_campaign()
    for _, message in company.role.heard:
        Hit.objects.create(
            campaign=campaign,
            bot=bot,
            chat=row if is_supergroup(message.peer_id) else yard_row,
            peer_id=message.peer_id,
            message_id=message.message_id,
            telegram_user_id=company.pavel.id,
            text=message.text,
            said_at=message.sent_at,
        )
    for seq in (1, 2):
        company.sandbox.call(message_changes.edit, company.world, user_id=company.pavel.id, seq=seq, text="coffee?")
    wait_until(lambda: Hit.objects.filter(edited_text="coffee?").count() == 2, what="the edits")
    for seq in (1, 2):
        company.sandbox.call(message_changes.delete_for_all, company.world, seq=seq)
    wait_until(lambda: Hit.objects.exclude(deleted_at=None).count() == 2, what="the deletions")


def test_an_edit_makes_a_hit_live_and_after_a_time_without_a_connection(company: Company, monkeypatch):
    parser, heard = ParserHandler(), company.role.on_messages

    def hear(**said: Any) -> None:
        parser.on_messages(**said)
        heard(**said)

    monkeypatch.setattr(company.role, "on_messages", hear)
    monkeypatch.setattr(company.role, "on_changes", parser.on_changes)
    square, row = company.make_chat("square")
    yard, yard_row = company.make_chat("yard", kind="group")
    bot = company.make_bot("ears", row, yard_row)
    campaign = ledger.make_campaign()
    Keyword.objects.create(campaign=campaign, text="tea")
    for chat in (row, yard_row):
        permit(chat, "parse")
        WatchedChat.objects.create(campaign=campaign, chat=chat, bot=bot)
    runtime = company.start()
    [task] = company.run(runtime, bot)
    company.online(bot)
    for where in (square, yard):
        company.say(where, "coffee?", "juice?")
    company.until_heard(bot, 4)
    edit = partial(company.sandbox.call, message_changes.edit, company.world, user_id=company.pavel.id)
    for seq in (1, 3):
        edit(seq=seq, text=f"tea {seq}?")
    wait_until(
        lambda: Hit.objects.filter(text__startswith="tea", from_edit=True).count() == 2, what="hits of live edits"
    )
    runtime.sessions[bot.pk].stop()
    task.join(60)
    for seq in (2, 4):
        edit(seq=seq, text=f"green tea {seq}?")
    edit(seq=1, text="black tea?")
    company.run(runtime, bot)
    wait_until(lambda: Hit.objects.filter(text__startswith="green").count() == 2, what="hits of missed edits")
    wait_until(Hit.objects.filter(edited_text="black tea?").exists, what="the missed edit of a hit")
    assert Hit.objects.count() == 4


def test_the_topics_of_a_forum_that_is_read_are_known_and_new_ones_too(company: Company):
    square, row = company.make_chat("square")
    company.sandbox.call(topics.forum_set, company.world, square.id, forum=True)
    begin = partial(company.sandbox.call, topics.topic_begin, company.world, user_id=company.pavel.id)
    begin(chat_id=square.id, title="Jobs")
    bot = company.make_bot("ears", row)
    company.run(company.start(), bot)
    company.online(bot)
    for title in ("Sale", "News"):
        root = begin(chat_id=square.id, title=title)
        company.sandbox.call(
            sending.send, company.world, user_id=company.pavel.id, peer=square.id, text="Hello", reply_to=root
        )
        wait_until(ForumTopic.objects.filter(chat=row, topic_id=root, title=title).exists, what=title)
    assert ForumTopic.objects.filter(chat=row, title="Jobs").exists()


def test_the_comments_on_a_watched_channels_posts_are_read(company: Company):
    world, pavel, call = company.world, company.pavel.id, company.sandbox.call
    channel = call(lambda: world.add_chat(kind="channel", title="News", username="the_news", owner=pavel))
    group = call(lambda: world.add_chat(kind="supergroup", title="Talk", owner=pavel))
    row = Chat.objects.create(key="news", reference="@the_news", label="")
    call(discussions.discussion_set, world, channel.id, group.id)
    bot = company.make_bot("ears", row)
    runtime = company.start()
    [task] = company.run(runtime, bot)
    company.online(bot)
    inside = Cursor.objects.filter(bot=bot, peer_id=group.id)
    wait_until(inside.exists, what="the account reads the group")
    row.refresh_from_db()
    assert row.discussion_id == group.id
    call(lambda: sending.send(world, user_id=pavel, peer=channel.id, text="A post"))
    post = world.ledger[-1].channel_message_id
    call(lambda: sending.send(world, user_id=pavel, peer=group.id, text="A comment", reply_to=post))
    company.until_heard(bot, 3)
    runtime.sessions[bot.pk].stop()
    task.join(60)
    call(lambda: sending.send(world, user_id=pavel, peer=group.id, text="Another", reply_to=post))
    company.run(runtime, bot)
    company.until_heard(bot, 4)
    heard = {message.text: message.thread_id for _, message in company.role.heard if message.peer_id == group.id}
    assert heard == {"A post": None, "A comment": post, "Another": post}


def test_an_account_that_may_join_no_discussion_group_is_restricted(company: Company):
    world, pavel, call = company.world, company.pavel.id, company.sandbox.call
    channel = call(lambda: world.add_chat(kind="channel", title="News", username="the_news", owner=pavel))
    group = call(lambda: world.add_chat(kind="supergroup", title="Talk", owner=pavel))
    bot = company.make_bot("ears", Chat.objects.create(key="news", reference="@the_news", label=""))
    runtime = company.start()
    [task] = company.run(runtime, bot)
    company.online(bot)
    wait_until(Cursor.objects.filter(bot=bot, peer_id=channel.id).exists, what="the account reads the channel")
    runtime.sessions[bot.pk].stop()
    task.join(60)
    call(discussions.discussion_set, world, channel.id, group.id)
    company.sandbox.faults.plan(Fault(kind="PEER_FLOOD", method="channels.joinChannel"))
    company.run(runtime, bot)
    wait_until(lambda: company.state(bot) == ("restricted", "PEER_FLOOD"), what="the restriction")
    assert not Cursor.objects.filter(bot=bot, peer_id=group.id).exists()


def test_who_was_erased_and_writes_again_keeps_nobody_else_waiting(company: Company):
    company.role.reads_private, company.role.reads_chats = True, False
    bot = company.make_bot("ears")
    olga = company.make_user("Olga")
    post = partial(company.sandbox.call, sending.send, company.world, user_id=olga.id, peer=bot.telegram_user_id)
    runtime = company.start()
    company.run(runtime, bot)
    company.online(bot)
    post(text="forget me")
    company.until_heard(bot, 1)
    person_erase(Person(olga.id), by=Shell())
    account = runtime.sessions[bot.pk].account
    assert account is not None
    # As after a connection anew: the short update of a text names nobody.
    account._session._authors.clear()
    post(text="me again")
    company.say(bot.telegram_user_id, "and I")
    assert company.until_heard(bot, 2) == ["forget me", "and I"]
    assert not Cursor.objects.filter(bot=bot, peer_id=olga.id).exists()
