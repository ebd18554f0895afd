"""Budgets: what counts, when a place frees, and that two claimers never spend the same place."""

import threading
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connections

from bots.deliveries.claiming import claim
from bots.deliveries.outcomes import put_back
from bots.deliveries.queueing import delivery_finish
from bots.models import Bot, Delivery
from campaigns.budgets import budget_set
from campaigns.models import Budget, Campaign, Purpose
from tests.integration import ledger

pytestmark = pytest.mark.django_db
State, Scope = Delivery.State, Budget.Scope


@pytest.fixture
def clock() -> ledger.Clock:
    return ledger.Clock()


@pytest.fixture(autouse=True)
def origin() -> ledger.NotingOrigin:
    return ledger.noting_origin()


def say_all(*bots: Bot, clock: ledger.Clock, chats=()) -> int:
    """Claim and settle until nothing more is allowed at this moment; how many were said."""
    said = 0
    while batch := claim(ledger.owners(*bots, chats=chats), clock=clock).outgoing:
        for out in batch:
            said += 1
            assert delivery_finish(
                delivery_id=out.id,
                was=State.SENDING,
                state=State.SENT,
                telegram_message_id=said,
                sent_at=clock.now,
            )
    return said


def reasons() -> set[str]:
    return set(Delivery.objects.filter(state=State.QUEUED).values_list("waiting_reason", flat=True))


def test_a_place_frees_when_the_oldest_counted_message_leaves_the_window(clock):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    budget_set(scope=Scope.BOT, limit=2, window_seconds=60)
    for peer in range(1, 6):
        ledger.queue_message(bot, campaign, peer)
    first = clock.now
    assert say_all(bot, clock=clock) == 2
    clock.forward(seconds=59)
    assert say_all(bot, clock=clock) == 0
    waiting = Delivery.objects.filter(state=State.QUEUED)
    assert {row.waiting_until for row in waiting} == {first + timedelta(seconds=60)}
    assert reasons() == {f"The budget of {bot.key} is used up: at most 2 in 1 minute."}
    clock.forward(seconds=1)
    assert say_all(bot, clock=clock) == 2
    clock.forward(seconds=60)
    assert say_all(bot, clock=clock) == 1


@pytest.mark.parametrize(
    ("scope", "said"), [(Scope.TEAM, 2), (Scope.CAMPAIGN, 4), (Scope.BOT, 4), (Scope.CHAT, 4), (Scope.PEER, 8)]
)
def test_each_object_of_a_scope_has_the_budget_for_itself(clock, scope, said):
    """Two campaigns, each with one bot, write three lines into one chat each."""
    budget_set(scope=scope, limit=2, window_seconds=60)
    if scope == Scope.PEER:
        bot, campaign = ledger.make_bot(), ledger.make_campaign()
        for peer in (1, 2, 3, 4) * 3:
            ledger.queue_message(bot, campaign, peer)
        assert say_all(bot, clock=clock) == said
        return
    bots, chats = [ledger.make_bot() for _ in range(2)], [ledger.make_chat() for _ in range(2)]
    for bot, chat in zip(bots, chats, strict=True):
        campaign = ledger.make_campaign()
        for number in range(3):
            ledger.queue_line(bot, campaign, chat, str(number))
    assert say_all(*bots, chats=chats, clock=clock) == said


def test_a_budget_can_name_one_object_and_one_purpose(clock):
    strict, free = ledger.make_campaign(), ledger.make_campaign()
    bot = ledger.make_bot()
    budget_set(scope=Scope.CAMPAIGN, key=str(strict.id), purpose=Purpose.FIRST_CONTACT, limit=1, window_seconds=3600)
    for peer in (1, 2, 3):
        for campaign in (strict, free):
            ledger.queue_message(bot, campaign, peer * 10, ledger.DISCLOSED, purpose=Purpose.FIRST_CONTACT)
            ledger.queue_message(bot, campaign, peer)
    assert say_all(bot, clock=clock) == 3 + 3 + 3 + 1
    assert reasons() == {
        f"The budget of campaign “{strict.name}” for first contact messages is used up: at most 1 in 1 hour."
    }


def test_the_narrowest_of_several_budgets_decides(clock):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    budget_set(scope=Scope.TEAM, limit=5, window_seconds=60)
    budget_set(scope=Scope.BOT, limit=3, window_seconds=3600)
    for peer in range(9):
        ledger.queue_message(bot, campaign, peer + 1)
    assert say_all(bot, clock=clock) == 3
    assert {row.waiting_until for row in Delivery.objects.filter(state=State.QUEUED)} == {
        clock.now + timedelta(hours=1)
    }


def test_a_person_known_by_name_counts_by_name(clock):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    budget_set(scope=Scope.PEER, limit=1, window_seconds=60)
    for name in ("maria", "MARIA", "pavel"):
        ledger.queue_message(bot, campaign, None, peer_username=name, purpose=Purpose.REPLY)
    assert say_all(bot, clock=clock) == 2
    assert reasons() == {"The budget of this person is used up: at most 1 in 1 minute."}


def test_a_budget_of_nothing_allows_nothing_and_gives_no_time(clock):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    budget_set(scope=Scope.BOT, key=str(bot.id), limit=0, window_seconds=60)
    delivery = ledger.queue_message(bot, campaign, 1)
    assert say_all(bot, clock=clock) == 0
    delivery.refresh_from_db()
    assert (delivery.waiting_reason, delivery.waiting_until) == (f"The budget of {bot.key} is 0.", None)
    budget_set(scope=Scope.BOT, key=str(bot.id), limit=1, window_seconds=60)
    assert say_all(bot, clock=clock) == 1


def test_a_message_that_was_certainly_not_sent_frees_its_place(clock):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    budget_set(scope=Scope.BOT, limit=1, window_seconds=60)
    ledger.queue_message(bot, campaign, 1)
    [out] = claim(ledger.owners(bot), clock=clock).outgoing
    assert put_back(out, "Not said.")
    assert say_all(bot, clock=clock) == 1


@pytest.mark.django_db(transaction=True)
def test_claimers_at_once_never_exceed_a_limit_nor_take_one_twice(clock):
    bots, campaign = [ledger.make_bot() for _ in range(6)], ledger.make_campaign()
    budget_set(scope=Scope.CAMPAIGN, limit=9, window_seconds=3600)
    for bot in bots:
        for peer in range(1, 6):
            ledger.queue_message(bot, campaign, peer)
    taken = together(bots, campaign, clock)
    assert len(taken) == len(set(taken)) == 9
    assert Delivery.objects.filter(counted_at__isnull=False).count() == 9


@pytest.mark.django_db(transaction=True)
def test_claimers_of_the_same_bot_take_each_delivery_once(clock):
    """Two processes that both believe they own the bots with one epoch: worse than ever happens."""
    bots, campaign = [ledger.make_bot() for _ in range(3)], ledger.make_campaign()
    for bot in bots:
        for peer in range(1, 5):
            ledger.queue_message(bot, campaign, peer)
    taken = together(bots, campaign, clock)
    assert len(taken) == len(set(taken)) == 12


def together(bots: list[Bot], campaign: Campaign, clock: ledger.Clock, claimers: int = 4) -> list[UUID]:
    """Claimers in threads, each for all bots, until nothing is left to them; what they took."""
    taken: list[UUID] = []
    start, errors = threading.Barrier(claimers), list[BaseException]()

    def claimer() -> None:
        try:
            start.wait(60)
            idle = 0
            while idle < 3:
                batch = claim(ledger.owners(*bots), clock=clock).outgoing
                idle = 0 if batch else idle + 1
                for out in batch:
                    taken.append(out.id)
                    delivery_finish(
                        delivery_id=out.id,
                        was=State.SENDING,
                        state=State.SENT,
                        telegram_message_id=1,
                        sent_at=clock.now,
                    )
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=claimer) for _ in range(claimers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    return taken
