"""What the page of a campaign says of its budgets."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from bots.deliveries.claiming import claim
from bots.deliveries.queueing import delivery_finish
from bots.gate.budget_usage import campaign_usage
from bots.models import Bot, Delivery
from campaigns.budgets import budget_set
from campaigns.models import Budget, Campaign, Chat, Purpose
from tests.integration import ledger

pytestmark = pytest.mark.django_db
Scope, State = Budget.Scope, Delivery.State
HOUR = 3600


@pytest.fixture(autouse=True)
def origin() -> ledger.NotingOrigin:
    return ledger.noting_origin()


@pytest.fixture
def clock() -> ledger.Clock:
    return ledger.Clock()


def say(bot: Bot, clock: ledger.Clock, *chats: Chat) -> None:
    [out] = claim(ledger.owners(bot, chats=chats), clock=clock).outgoing
    assert delivery_finish(
        delivery_id=out.id, was=State.SENDING, state=State.SENT, telegram_message_id=1, sent_at=clock.now
    )


def usage(campaign: Campaign, clock: ledger.Clock) -> list[tuple[object, ...]]:
    """(of, limit, used, left, seconds until the next place frees)."""
    found = campaign_usage(campaign=campaign, now=clock.now)
    return [
        (
            usage.of,
            usage.budget.limit,
            usage.used,
            usage.left,
            usage.more_at and (usage.more_at - clock.now).total_seconds(),
        )
        for usage in found
    ]


def test_each_budget_that_applies_with_what_is_used_and_when_a_place_frees(clock):
    bot, campaign, chat = ledger.make_bot(), ledger.make_campaign(), ledger.make_chat()
    budget_set(scope=Scope.TEAM, limit=10, window_seconds=HOUR)
    budget_set(scope=Scope.CAMPAIGN, key=str(campaign.id), limit=2, window_seconds=HOUR)
    budget_set(scope=Scope.BOT, counts=Budget.Counts.NEW_CONTACTS, limit=5, window_seconds=HOUR)
    budget_set(scope=Scope.CHAT, limit=0, window_seconds=HOUR, purpose=Purpose.OPERATOR)
    budget_set(scope=Scope.PEER, limit=3, window_seconds=HOUR)
    assert usage(campaign, clock)[:2] == [("the team", 10, 0, 10, None), ("this campaign", 2, 0, 2, None)]
    ledger.queue_line(bot, campaign, chat)
    say(bot, clock, chat)
    clock.forward(seconds=600)
    ledger.queue_message(bot, campaign, 7, peer_username="maria", purpose=Purpose.OPERATOR)
    say(bot, clock)
    clock.forward(seconds=60)
    assert usage(campaign, clock) == [
        ("the team", 10, 2, 8, HOUR - 660),
        ("this campaign", 2, 2, 0, HOUR - 660),
        (bot.key, 5, 1, 4, HOUR - 60),
        (chat.title, 0, 0, 0, None),
        ("@maria", 3, 1, 2, HOUR - 60),
    ]


def test_a_budget_that_was_cut_frees_when_enough_has_left(clock):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    for peer in (1, 2, 3):
        ledger.queue_message(bot, campaign, peer)
        say(bot, clock)
        clock.forward(seconds=10)
    budget_set(scope=Scope.TEAM, limit=2, window_seconds=HOUR)
    assert usage(campaign, clock) == [("the team", 2, 3, 0, HOUR - 20)]
    held = ledger.queue_message(bot, campaign, 4)
    assert claim(ledger.owners(bot), clock=clock).outgoing == []
    held.refresh_from_db()
    assert held.waiting_until == clock.now + timedelta(seconds=HOUR - 20)


def test_what_others_use_of_a_shared_budget_counts(clock):
    mine, other, shared = ledger.make_campaign(), ledger.make_campaign(), ledger.make_bot()
    budget_set(scope=Scope.BOT, limit=4, window_seconds=HOUR)
    budget_set(scope=Scope.CAMPAIGN, key=str(other.id), limit=4, window_seconds=HOUR)
    for campaign in (mine, other, other):
        ledger.queue_message(shared, campaign, 7)
        say(shared, clock)
    assert usage(mine, clock) == [(shared.key, 4, 3, 1, HOUR)]


def test_queued_messages_are_shown_and_each_person_once(clock):
    campaign = ledger.make_campaign()
    budget_set(scope=Scope.PEER, limit=4, window_seconds=HOUR)
    for name, peer_id in (("maria", 7), ("", 7), ("Maria", None), ("pavel", None)):
        ledger.queue_message(ledger.make_bot(), campaign, peer_id, peer_username=name)
    assert sorted(used for _, *used in usage(campaign, clock)) == [[4, 0, 4, None]] * 2


def test_the_page_of_a_campaign_shows_it(admin_client: Client, clock):
    campaign, empty = ledger.make_campaign(), ledger.make_campaign()
    page = reverse("admin:campaigns_campaign_change", args=[empty.pk])
    assert "Budget usage" in admin_client.get(page).content.decode()
    assert "No budget limits this campaign." in admin_client.get(page, {"section": "budgets"}).content.decode()
    budget_set(scope=Scope.CAMPAIGN, limit=321, window_seconds=HOUR)
    page = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
    assert ">this campaign</a>" not in admin_client.get(page).content.decode()
    shown = admin_client.get(page, {"section": "budgets"}).content.decode()
    assert ">this campaign</a>" in shown and shown.count(">321</td>") == 2
