"""Backtests: which chats are read how far back, what is counted, and that nothing else is stored."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from bots.models import Bot
from campaigns.erasing import person_erase
from campaigns.models import ChatPermission
from campaigns.permissions.services import permissions_suspend
from panelkit.errors import NotPossible
from panelkit.rights import Shell
from parser.lab.backtests import BacktestReader, backtest_cancel, backtest_start, progress_of
from parser.lab.keyword_lists import ListedKeyword
from parser.models import Backtest, BacktestMatch, Hit
from privacy.person import Person
from telegram.types import Author, OlderMessages
from tests.integration.leads_world import private_message

pytestmark = pytest.mark.django_db

TEA, COFFEE = ListedKeyword("plus", "tea"), ListedKeyword("plus", "coffee")


@pytest.fixture
def start(world):
    """Start a backtest that replaces `tea` with `coffee`."""
    ChatPermission.objects.filter(chat=world.chat).update(granted_at=timezone.now() - timedelta(days=5))

    def run(days=3):
        return backtest_start(campaign_id=world.campaign.pk, before=(TEA,), after=(COFFEE,), days=days, by="ann")

    return run


@pytest.fixture
def message(world):
    def make(text, *, number=10, hours=1, user=501, **facts):
        return private_message(
            text=text,
            message_id=number,
            peer_id=world.chat.telegram_id,
            private=False,
            from_user_id=user,
            sent_at=timezone.now() - timedelta(hours=hours),
            **facts,
        )

    return make


def page_of(*messages):
    times = [message.sent_at for message in messages]
    return OlderMessages(list(messages), min((m.message_id for m in messages), default=0), min(times, default=None))


def next_page(world):
    return BacktestReader().next_page(bot_id=world.parser.pk)


def read(world, page, *messages):
    BacktestReader().page_read(bot_id=world.parser.pk, page=page, found=page_of(*messages))


def test_what_only_one_list_matches_is_counted_and_kept_and_nothing_else(world, start, message):
    backtest = start()
    page = next_page(world)
    assert (page.peer_id, page.before_id) == (world.chat.telegram_id, 0)
    texts = ("green tea", "coffee please", "tea and coffee", "water", "")
    messages = [message(text, number=20 - place) for place, text in enumerate(texts)]
    messages.append(message("tea of a bot", number=15, author=Author("bot")))
    messages.append(message("tea of ours", number=14, user=world.managers[0].telegram_user_id))
    read(world, page, *messages)
    backtest.refresh_from_db()
    assert (backtest.matched, backtest.gained, backtest.lost) == (2, 1, 1)
    assert dict(BacktestMatch.objects.values_list("text", "gained")) == {"green tea": False, "coffee please": True}
    assert not Hit.objects.exists()
    [chat] = progress_of(backtest)
    assert (chat.read, chat.before_id, chat.done) == (7, 14, False)
    assert next_page(world).before_id == 14


def test_the_same_page_again_changes_nothing(world, start, message):
    backtest = start()
    page = next_page(world)
    for _ in range(2):
        read(world, page, message("coffee"))
    backtest.refresh_from_db()
    assert backtest.gained == 1 and progress_of(backtest)[0].read == 1


def test_a_chat_is_read_back_to_the_days_and_no_further(world, start, message):
    backtest = start(days=1)
    read(world, next_page(world), message("coffee", hours=23), message("old coffee", number=9, hours=25))
    backtest.refresh_from_db()
    assert (backtest.state, backtest.gained) == ("done", 1)
    assert next_page(world) is None


def test_messages_from_before_the_owners_permission_are_never_looked_at(world, start, message):
    backtest = start(days=14)
    read(world, next_page(world), message("coffee", hours=24 * 6))
    backtest.refresh_from_db()
    assert (backtest.state, backtest.gained, progress_of(backtest)[0].read) == ("done", 0, 0)


def test_the_beginning_of_a_chat_ends_it(world, start):
    backtest = start()
    read(world, next_page(world))
    backtest.refresh_from_db()
    assert backtest.state == "done"


def test_a_cancelled_backtest_asks_for_nothing_and_records_nothing(world, start, message):
    backtest = start()
    page = next_page(world)
    assert backtest_cancel(backtest_id=backtest.pk) and not backtest_cancel(backtest_id=backtest.pk)
    assert next_page(world) is None
    read(world, page, message("coffee"))
    backtest.refresh_from_db()
    assert (backtest.state, backtest.gained) == ("cancelled", 0) and not BacktestMatch.objects.exists()


def test_a_permission_that_ends_meanwhile_ends_the_chat_with_its_reason(world, start, message):
    backtest = start()
    page = next_page(world)
    permissions_suspend(chat_id=world.chat.pk, reason="asked again")
    read(world, page, message("coffee"))
    assert next_page(world) is None
    backtest.refresh_from_db()
    assert (backtest.state, backtest.gained) == ("done", 0)
    assert "may not read this chat" in progress_of(backtest)[0].problem


def test_a_second_backtest_waits_for_the_first_and_then_replaces_it(world, start):
    first = start()
    with pytest.raises(NotPossible, match="under way"):
        start()
    backtest_cancel(backtest_id=first.pk)
    assert Backtest.objects.get(pk=start().pk) and Backtest.objects.count() == 1
    for days in (0, 15):
        with pytest.raises(NotPossible, match="1 to 14 days"):
            start(days)


def test_nothing_is_looked_at_of_an_erased_person(world, start, message):
    backtest = start()
    read(world, next_page(world), message("coffee", user=777))
    person_erase(Person(777), by=Shell())
    assert not BacktestMatch.objects.exists()
    read(world, next_page(world), message("more coffee", number=8, user=777))
    backtest.refresh_from_db()
    assert backtest.gained == 1 and not BacktestMatch.objects.exists()


def test_only_the_watching_account_is_asked(world, start):
    start()
    assert BacktestReader().next_page(bot_id=world.managers[0].pk) is None


def test_a_backtest_is_started_followed_and_cancelled_on_its_page(world, start, admin_client, message):
    Bot.objects.filter(pk=world.parser.pk).update(state="offline")
    page = reverse("admin:parser_keyword_lab_backtest", args=[world.campaign.pk])
    assert "There was no backtest yet" in admin_client.get(page).content.decode()
    answer = admin_client.post(page, {"step": "start", "kind": "plus", "text": "coffee", "days": "2"}, follow=True)
    text = answer.content.decode()
    assert "every 3s" in text and "waits: the account is" in text
    read(world, next_page(world), replace(message("<b>coffee"), text="<b>coffee"))
    text = admin_client.get(page).content.decode()
    assert "&lt;b&gt;coffee" in text and "1 read" in text
    text = admin_client.post(page, {"step": "cancel"}, follow=True).content.decode()
    assert "Cancelled" in text and "every 3s" not in text
