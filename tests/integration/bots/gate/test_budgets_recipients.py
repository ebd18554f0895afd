"""Budgets of persons and of new contacts: who counts as one and the same person, and who as a new one."""

from typing import Any

import pytest

from bots.deliveries.claiming import claim
from bots.deliveries.outcomes import put_back, record_sent
from bots.models import Bot, Delivery
from campaigns.budgets import budget_set
from campaigns.models import Budget, Purpose
from telegram.types import SentMessage
from tests.integration import ledger

pytestmark = pytest.mark.django_db
State, Scope = Delivery.State, Budget.Scope
MARIA, PAVEL = 7, 8
CAP = "The budget of this person is used up: at most 1 in 1 hour."


@pytest.fixture
def clock() -> ledger.Clock:
    return ledger.Clock()


@pytest.fixture(autouse=True)
def origin() -> ledger.NotingOrigin:
    return ledger.noting_origin()


@pytest.fixture
def capped() -> None:
    budget_set(scope=Scope.PEER, limit=1, window_seconds=3600)


def write(to: dict[str, Any], clock: ledger.Clock, *, learns: int | None = None, **facts: Any) -> Delivery:
    """Queue a message as a bot and for a campaign that nobody has heard of, and say it if the gate allows that.
    `learns`: whom the name turns out to belong to; None: Telegram's answer is lost."""
    bot = facts.pop("bot", None) or ledger.make_bot()
    delivery = ledger.queue_message(
        bot, ledger.make_campaign(), to.get("id"), peer_username=to.get("name", ""), **facts
    )
    for out in claim(ledger.owners(bot), clock=clock).outgoing:
        if learns is not None:
            assert record_sent(out, SentMessage(1, clock.now, learns))
    delivery.refresh_from_db()
    return delivery


@pytest.mark.parametrize(
    ("said", "next_one"),
    [
        ({"id": MARIA}, {"id": MARIA, "name": "maria"}),
        ({"id": MARIA, "name": "maria"}, {"name": "Maria"}),
        ({"id": MARIA, "name": "maria"}, {"id": MARIA}),
        ({"name": "maria"}, {"id": MARIA}),
        ({"name": "maria"}, {"name": "MARIA"}),
    ],
)
def test_one_person_is_capped_across_bots_and_campaigns_however_addressed(clock, capped, said, next_one):
    assert write(said, clock, learns=MARIA).state == State.SENT
    held = write(next_one, clock, learns=MARIA)
    assert (held.state, held.waiting_reason) == (State.QUEUED, CAP)
    assert write({"id": PAVEL, "name": "pavel"}, clock).state == State.SENDING
    clock.forward(hours=1)
    assert write({"id": MARIA}, clock, bot=held.bot).state == State.QUEUED
    held.refresh_from_db()
    assert held.state == State.SENDING


@pytest.mark.parametrize("next_one", [{"id": MARIA, "name": "maria"}, {"name": "maria"}])
def test_messages_to_a_username_count_before_its_id_is_known(clock, capped, next_one):
    assert write({"name": "Maria"}, clock).state == State.SENDING
    assert write(next_one, clock).waiting_reason == CAP


def test_a_former_name_of_a_person_counts_for_them(clock, capped):
    ledger.queue_message(ledger.make_bot(), ledger.make_campaign(), MARIA, peer_username="old_name")
    assert write({"name": "old_name"}, clock).state == State.SENDING
    assert write({"id": MARIA, "name": "new_name"}, clock).waiting_reason == CAP


def test_who_has_a_name_that_was_another_persons_is_not_that_person(clock, capped):
    assert write({"id": PAVEL, "name": "the_name"}, clock).state == State.SENDING
    assert write({"id": MARIA, "name": "the_name"}, clock).state == State.SENDING


def test_a_budget_of_one_person_applies_when_they_are_addressed_by_username(clock):
    budget_set(scope=Scope.PEER, key=str(MARIA), limit=0, window_seconds=60)
    assert write({"name": "maria"}, clock, learns=MARIA).state == State.SENT
    assert write({"name": "maria"}, clock).waiting_reason == "The budget of this person is 0."


def first_contact(to: int, clock: ledger.Clock, bot: Bot) -> Delivery:
    return write({"id": to}, clock, learns=to, bot=bot, text=ledger.DISCLOSED, purpose=Purpose.FIRST_CONTACT)


def test_new_contacts_are_people_whom_the_bot_had_not_written_to(clock):
    bot = ledger.make_bot()
    budget_set(scope=Scope.BOT, counts=Budget.Counts.NEW_CONTACTS, limit=1, window_seconds=86_400)
    assert first_contact(MARIA, clock, bot).opens_contact
    held = first_contact(PAVEL, clock, bot)
    assert held.waiting_reason == f"The budget of {bot.key} for new contacts is used up: at most 1 in 1 day."
    for purpose in (Purpose.REPLY, Purpose.OPERATOR, Purpose.FIRST_CONTACT):
        again = write({"id": MARIA}, clock, learns=MARIA, bot=bot, text=ledger.DISCLOSED, purpose=purpose)
        assert (again.state, again.opens_contact) == (State.SENT, False)
    assert write({"id": 9}, clock, learns=9, bot=bot, purpose=Purpose.REPLY).state == State.SENT
    by_hand = write({"id": 10}, clock, bot=bot, purpose=Purpose.OPERATOR)
    assert by_hand.state == State.QUEUED, "an operator's words to a stranger are a new contact, too"
    clock.forward(days=1)
    assert [out.id for out in claim(ledger.owners(bot), clock=clock).outgoing] == [held.id]


def test_each_bot_has_its_own_new_contacts_and_the_team_has_all(clock):
    bots = [ledger.make_bot() for _ in range(3)]
    budget_set(scope=Scope.BOT, counts=Budget.Counts.NEW_CONTACTS, limit=1, window_seconds=86_400)
    budget_set(scope=Scope.TEAM, counts=Budget.Counts.NEW_CONTACTS, limit=2, window_seconds=3600)
    said = [first_contact(MARIA, clock, bot) for bot in bots]
    assert [delivery.state for delivery in said] == [State.SENT, State.SENT, State.QUEUED]
    assert said[-1].waiting_reason == "The budget of the team for new contacts is used up: at most 2 in 1 hour."


def test_a_new_contact_that_was_not_made_gives_its_place_back(clock):
    bot = ledger.make_bot()
    budget_set(scope=Scope.BOT, counts=Budget.Counts.NEW_CONTACTS, limit=1, window_seconds=86_400)
    first = ledger.queue_message(bot, ledger.make_campaign(), MARIA, ledger.DISCLOSED, purpose=Purpose.FIRST_CONTACT)
    [out] = claim(ledger.owners(bot), clock=clock).outgoing
    assert put_back(out, "Not said.")
    [out] = claim(ledger.owners(bot), clock=clock).outgoing
    assert out.id == first.id
    first.refresh_from_db()
    assert first.opens_contact
