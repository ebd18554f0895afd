"""A first contact that was queued before an outage and would be sent long after it: an operator decides."""

from datetime import timedelta

import pytest
from django.utils import timezone

from bots.models import Delivery
from leads.models import Lead
from leads.services.contact import lead_approve, lead_reject
from leads.services.operators import conversation_take_over, operator_send
from tests.integration.leads_world import World, make_world, texts

pytestmark = pytest.mark.django_db
State = Lead.State


def queued_for(hours: float, world: World) -> Lead:
    """A lead whose first message has been waiting for so long."""
    lead = world.receive()
    assert lead.state == State.CONTACTING
    hit_at = timezone.now() - timedelta(hours=hours)
    Lead.objects.update(hit_at=hit_at)
    interval = timedelta(seconds=world.campaign.first_contact_interval_seconds)
    Delivery.objects.update(due_at=hit_at + interval)
    return Lead.objects.get()


def late(world: World) -> Lead:
    queued_for(25, world)
    assert world.send_all() == 0
    return Lead.objects.get()


def test_a_first_contact_that_waited_for_more_than_a_day_awaits_an_approval(world: World):
    lead = late(world)
    assert lead.state == State.AWAITING_APPROVAL
    assert "more than 24 hours old" in lead.state_reason and "an operator must approve" in lead.state_reason
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.error) == ("refused", lead.state_reason)
    assert lead.conversation.owner == "none"


def test_a_first_contact_that_waited_for_less_is_sent(world: World):
    queued_for(23, world)
    assert world.send_all() == 1


def test_a_campaign_has_its_own_horizon():
    world = make_world(first_contact_horizon_hours=2)
    late = world.receive(said_at=(timezone.now() - timedelta(hours=3)).isoformat())
    assert late.state == State.AWAITING_APPROVAL and "more than 2 hours old" in late.state_reason
    queued = world.receive(telegram_user_id=502, username="b")
    Lead.objects.filter(id=queued.id).update(hit_at=timezone.now() - timedelta(hours=3))
    assert world.send_all() == 0


def test_an_approved_first_contact_is_sent_however_old_the_hit_is(world: World):
    lead = late(world)
    assert lead_approve(lead_id=lead.id, by="olga").state == State.CONTACTING
    assert world.send_all() == 1
    lead.refresh_from_db()
    assert (lead.state, lead.conversation.owner) == (State.TALKING, "ai")
    assert list(Delivery.objects.order_by("created_at").values_list("state", flat=True)) == ["refused", "sent"]


def test_a_first_contact_approved_before_an_outage_is_sent_after_it():
    world = make_world(direct=False)
    lead = world.receive()
    lead_approve(lead_id=lead.id, by="olga")
    Lead.objects.update(hit_at=timezone.now() - timedelta(hours=48))
    assert world.send_all() == 1


def test_to_a_rejected_lead_nothing_is_sent(world: World):
    assert lead_reject(lead_id=late(world).id, by="olga").state == State.CLOSED
    assert world.send_all() == 0


def test_an_operator_may_write_instead(world: World):
    lead = late(world)
    conversation_take_over(conversation_id=lead.conversation.id, by="olga")
    operator_send(conversation_id=lead.conversation.id, text="Sorry for the delay")
    assert world.send_all() == 1
    lead.refresh_from_db()
    assert lead.state == State.TALKING and texts(lead.conversation, "operator") == ["Sorry for the delay"]


def test_a_lead_who_has_written_meanwhile_still_gets_the_first_contact(world: World):
    lead = queued_for(25, world)
    world.incoming(lead.conversation, "Hello?")
    assert world.send_all() == 1


def test_a_campaign_that_waits_for_days_on_purpose_is_not_late():
    world = make_world(first_contact_interval_seconds=2 * 24 * 3600)
    queued_for(49, world)
    assert world.send_all() == 1
