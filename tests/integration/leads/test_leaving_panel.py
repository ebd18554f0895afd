"""Whoever stops something sees in the panel what was already leaving."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bots.deliveries.claiming import claim
from bots.models import Delivery
from campaigns.models import Suppression
from campaigns.services import campaign_pause
from leads.models import Conversation, Message
from leads.services.operators import conversation_take_over
from leads.services.opt_out import opt_out
from leads.services.outgoing_messages import message_send
from tests.integration import ledger
from tests.integration.leads_world import make_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation() -> Conversation:
    """With an answer of the AI that is leaving."""
    world = make_world()
    conversation = world.conversation()
    message_send(conversation=conversation, author=Message.Author.AI, text="5 euros", due_at=timezone.now())
    assert len(claim(ledger.owners(*world.managers)).outgoing) == 1
    return conversation


STOPS = {
    "pause": lambda conversation: campaign_pause(campaign_id=conversation.lead.campaign_id),
    "takeover": lambda conversation: conversation_take_over(conversation_id=conversation.id),
    "opt-out": lambda conversation: opt_out(lead_id=conversation.lead_id, source=Suppression.Source.OPERATOR),
}
PAGES = {
    "pause": lambda conversation: conversation.lead.campaign,
    "takeover": lambda conversation: conversation,
    "opt-out": lambda conversation: conversation.lead,
}
LINE = "1 message is still being sent; after that "


def page(client: Client, row: Any, kind: str) -> str:
    meta = row._meta
    answer = client.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_{kind}", args=[row.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("stop", STOPS)
def test_after_a_stop_the_page_says_what_is_still_leaving(admin_client: Client, conversation: Conversation, stop: str):
    row = PAGES[stop](conversation)
    assert LINE not in page(admin_client, row, "change")
    STOPS[stop](conversation)
    assert LINE in page(admin_client, row, "change")
    Delivery.objects.filter(state=Delivery.State.SENDING).update(state=Delivery.State.FAILED)
    assert LINE not in page(admin_client, row, "live")
