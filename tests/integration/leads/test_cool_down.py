"""A person whom the team has written to lately gets no first contact of another campaign without an approval."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from bots.models import Delivery
from leads.models import Lead, Message
from leads.services.contact import lead_approve, leads_contact_due
from tests.integration.leads_world import World, handle_lead, make_world
from tests.integration.locks import at_once

pytestmark = pytest.mark.django_db
State = Lead.State


def contacted_by_another(world: World, **facts: object) -> Lead:
    """The lead of this world's campaign, after another campaign has written to the person."""
    make_world(name="Coffee House").conversation()
    return world.receive(**facts)


def test_the_lead_says_who_has_written_to_the_person_and_when():
    lead = contacted_by_another(make_world(cool_down_days=30))
    assert lead.state == State.AWAITING_APPROVAL
    assert "campaign “Coffee House”) is less than 30 days old" in lead.state_reason
    assert "an operator must approve" in lead.state_reason


@pytest.mark.parametrize("who", [{"telegram_user_id": None}, {"username": "another_name"}], ids=["name", "id"])
def test_a_person_is_recognised_by_either_of_id_and_username(who):
    make_world().conversation(telegram_user_id=who.get("telegram_user_id", 501))
    assert make_world(cool_down_days=1).receive(**who).state == State.AWAITING_APPROVAL


@pytest.mark.parametrize(("days", "state"), [(3, State.AWAITING_APPROVAL), (1, State.CONTACTING)])
def test_only_days_within_the_cool_down_count(days, state):
    make_world().conversation()
    Message.objects.update(at=timezone.now() - timedelta(days=2))
    assert make_world(cool_down_days=days).receive().state == state


def test_without_a_cool_down_and_for_other_people_nothing_changes():
    assert contacted_by_another(make_world()).state == State.CONTACTING
    other = make_world(cool_down_days=30).receive(telegram_user_id=502, username="another")
    assert other.state == State.CONTACTING


def test_a_message_that_was_not_sent_does_not_count():
    make_world().receive()
    Delivery.objects.update(state=Delivery.State.REFUSED)
    assert make_world(cool_down_days=30).receive().state == State.CONTACTING


def test_an_operator_decides():
    world = make_world(cool_down_days=30)
    lead = contacted_by_another(world)
    assert lead_approve(lead_id=lead.id, by="olga").state == State.CONTACTING
    assert world.send_all() == 1


def test_a_lead_that_waited_for_a_manager_is_checked_again():
    world = make_world(cool_down_days=30)
    type(world.managers[0]).objects.filter(id__in=[bot.id for bot in world.managers]).update(enabled=False)
    lead = world.receive()
    assert lead.state == State.NEW
    make_world().conversation()
    type(world.managers[0]).objects.update(enabled=True)
    leads_contact_due(now=timezone.now())
    lead.refresh_from_db()
    assert lead.state == State.AWAITING_APPROVAL


@pytest.mark.django_db(transaction=True)
def test_of_campaigns_that_find_a_person_at_the_same_moment_one_contacts():
    worlds = [make_world(cool_down_days=30) for _ in range(4)]
    at_once(*(partial(handle_lead, world.event()) for world in worlds))
    states = sorted(Lead.objects.values_list("state", flat=True))
    assert states == [State.AWAITING_APPROVAL] * 3 + [State.CONTACTING]
