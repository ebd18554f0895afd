"""What becomes of a delivery in its chat, as the bots that see it report it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bots.models import Bot, BotBlock, Delivery
from bots.worker.change_records import changes_record, recent_messages
from bots.worker.cursors import Reader
from campaigns.models import Chat
from messaging.database.clock import database_clock
from telegram.types import MessageNow
from tests.integration import ledger
from tests.integration.leads_world import role_handler

pytestmark = pytest.mark.django_db
State = Delivery.State
EDITED_AT = ledger.START + timedelta(minutes=5)


@pytest.fixture(autouse=True)
def origin() -> ledger.NotingOrigin:
    return ledger.noting_origin()


def sent(bot: Bot, chat: Chat | None, number: int, text: str = "Hello") -> Delivery:
    campaign = ledger.make_campaign()
    delivery = (
        ledger.queue_line(bot, campaign, chat, text)
        if chat is not None
        else ledger.queue_message(bot, campaign, 77, text)
    )
    facts: dict[str, Any] = {"sent_at": ledger.START, "counted_at": database_clock()}
    Delivery.objects.filter(pk=delivery.pk).update(state=State.SENT, telegram_message_id=number, **facts)
    return delivery


def record(bot: Bot, *changes: MessageNow) -> list[MessageNow]:
    return changes_record(bot_id=bot.pk, changes=changes)


def story(delivery: Delivery) -> list[tuple[str, str, int]]:
    return list(delivery.events.order_by("id").values_list("kind", "detail", "times"))


def test_in_a_supergroup_any_bot_may_notice_it_and_it_counts_once():
    author, other, chat = ledger.make_bot(), ledger.make_bot(), ledger.make_chat()
    delivery = sent(author, chat, 5)
    edit = MessageNow(chat.telegram_id, 5, text="Hullo", edited_at=EDITED_AT, reactions="❤ 2")
    assert record(other, edit) == record(author, edit) == []
    assert record(other, MessageNow(chat.telegram_id, 5, deleted=True)) == []
    assert record(author, MessageNow(chat.telegram_id, 5, deleted=True)) == []
    delivery.refresh_from_db()
    assert (delivery.text, delivery.edited_text, delivery.edited_at) == ("Hello", "Hullo", EDITED_AT)
    assert delivery.reactions == "❤ 2"
    assert delivery.deleted_at is not None
    assert delivery.state == State.SENT
    assert story(delivery) == [("edited", "Hullo", 1), ("reacted", "❤ 2", 1), ("deleted", "", 1)]


@pytest.mark.parametrize("kind", [None, Chat.Kind.GROUP])
def test_outside_supergroups_a_message_id_is_valid_only_for_the_bot_that_sent_it(kind: str | None):
    author, other = ledger.make_bot(), ledger.make_bot()
    chat = ledger.make_chat(kind=kind) if kind else None
    delivery = sent(author, chat, 5)
    deletion = MessageNow(None, 5, deleted=True)
    assert record(other, deletion) == [deletion]
    assert record(author, replace(deletion, message_id=6)) == [replace(deletion, message_id=6)]
    delivery.refresh_from_db()
    assert delivery.deleted_at is None
    assert record(author, deletion) == []
    delivery.refresh_from_db()
    assert delivery.deleted_at is not None


def test_numbers_of_supergroups_and_of_the_account_are_not_mixed_up():
    bot, square, market = ledger.make_bot(), ledger.make_chat(), ledger.make_chat()
    in_square, in_market, private = sent(bot, square, 5), sent(bot, market, 5), sent(bot, None, 5)
    record(bot, MessageNow(square.telegram_id, 5, deleted=True))
    record(bot, MessageNow(None, 5, reactions="👍 1"))
    rows = {row.pk: row for row in Delivery.objects.all()}
    assert [bool(rows[delivery.pk].deleted_at) for delivery in (in_square, in_market, private)] == [True, False, False]
    assert [rows[delivery.pk].reactions for delivery in (in_square, in_market, private)] == ["", "", "👍 1"]


def test_reactions_that_come_and_go_stay_a_short_story():
    bot, chat = ledger.make_bot(), ledger.make_chat()
    delivery = sent(bot, chat, 5)
    for _ in range(3):
        for reactions in ("❤ 1", "❤ 1", ""):
            record(bot, MessageNow(chat.telegram_id, 5, reactions=reactions))
    delivery.refresh_from_db()
    assert delivery.reactions == ""
    assert story(delivery) == [("reacted", "❤ 1", 3), ("reacted", "none left", 3)]


def test_reactions_as_another_account_saw_them_before_undo_nothing_while_the_author_is_connected():
    author, other, chat = ledger.make_bot(), ledger.make_bot(), ledger.make_chat()
    delivery = sent(author, chat, 5)
    record(author, MessageNow(chat.telegram_id, 5, reactions="❤ 1"))
    record(other, MessageNow(chat.telegram_id, 5, text="Hullo", edited_at=EDITED_AT, reactions=""))
    assert story(delivery) == [("reacted", "❤ 1", 1), ("edited", "Hullo", 1)]
    Bot.objects.filter(pk=author.pk).update(lease_expires_at=None)
    record(other, MessageNow(chat.telegram_id, 5, reactions="❤ 2"))
    delivery.refresh_from_db()
    assert delivery.reactions == "❤ 2"


def test_an_older_view_of_another_account_undoes_no_edit_of_the_same_second():
    author, other, chat = ledger.make_bot(), ledger.make_bot(), ledger.make_chat()
    delivery = sent(author, chat, 5)
    for bot in (author, other):
        for text in ("one", "two"):
            record(bot, MessageNow(chat.telegram_id, 5, text=text, edited_at=EDITED_AT, reactions=""))
    delivery.refresh_from_db()
    assert delivery.edited_text == "two"
    assert story(delivery) == [("edited", "one", 1), ("edited", "two", 1)]


def test_what_telegram_calls_an_edit_without_another_text_is_none():
    bot, chat = ledger.make_bot(), ledger.make_chat()
    delivery = sent(bot, chat, 5)
    Delivery.objects.filter(pk=delivery.pk).update(text="Hello\r\nagain ")
    record(bot, MessageNow(chat.telegram_id, 5, text="Hello\nagain", edited_at=EDITED_AT, reactions="❤ 1"))
    delivery.refresh_from_db()
    assert delivery.edited_at is None
    assert story(delivery) == [("reacted", "❤ 1", 1)]


def test_an_older_check_does_not_undo_a_later_edit_and_an_edit_back_is_an_edit():
    bot, chat = ledger.make_bot(), ledger.make_chat()
    delivery = sent(bot, chat, 5)
    later = EDITED_AT + timedelta(minutes=1)
    for text, at in (("two", later), ("one", EDITED_AT), ("Hello", later + timedelta(minutes=1))):
        record(bot, MessageNow(chat.telegram_id, 5, text=text, edited_at=at, reactions=""))
    delivery.refresh_from_db()
    assert delivery.edited_text == "Hello"
    assert [detail for _, detail, _ in story(delivery)] == ["two", "Hello"]


def test_changes_of_messages_that_we_did_not_send_are_returned():
    bot, chat = ledger.make_bot(), ledger.make_chat()
    queued = ledger.queue_line(bot, ledger.make_campaign(), chat)
    change = MessageNow(chat.telegram_id, 5, deleted=True)
    assert record(bot, change) == [change]
    queued.refresh_from_db()
    assert queued.deleted_at is None


def test_the_look_back_checks_the_last_days_by_chat_unless_a_flood_wait_forbids_it():
    bot, chat, group = ledger.make_bot(), ledger.make_chat(), ledger.make_chat(kind=Chat.Kind.GROUP)
    sent(bot, chat, 5)
    sent(bot, group, 6)
    sent(bot, None, 7)
    gone, old = sent(bot, chat, 8), sent(bot, chat, 9)
    Delivery.objects.filter(pk=gone.pk).update(deleted_at=ledger.START)
    Delivery.objects.filter(pk=old.pk).update(counted_at=database_clock() - timedelta(days=8))
    sent(ledger.make_bot(), chat, 10)
    reader = Reader(bot.pk, 0, role_handler("actor"))
    assert recent_messages(reader=reader) == {chat.telegram_id: [5], None: [7, 6]}
    until = database_clock() + timedelta(minutes=1)
    BotBlock.objects.create(bot=bot, method="GetMessages", until=until, reason="FLOOD_WAIT_60")
    assert recent_messages(reader=reader) == {}
