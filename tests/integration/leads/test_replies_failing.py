"""A reply that cannot be sent ends the conversation, or an operator becomes the owner."""

import re

import pytest

from bots.deliveries.claiming import claim
from bots.deliveries.queueing import delivery_cancel, delivery_finish
from bots.models import Delivery
from campaigns.models import Suppression
from campaigns.services import campaign_finish
from leads.models import Lead, LlmJob
from leads.peer_refusals import refusal_text
from telegram.error_table import ENTRIES
from tests.integration import ledger

pytestmark = pytest.mark.django_db
State = Lead.State


@pytest.mark.parametrize(
    ("kind", "reason", "lead_state", "owner"),
    [("peer_refuses", "USER_PRIVACY_RESTRICTED", State.FAILED, "none"), ("permanent", "X", State.TALKING, "human")],
)
def test_a_reply_that_cannot_be_sent_ends_the_conversation_or_goes_to_an_operator(
    world, conversation, kind, reason, lead_state, owner
):
    world.incoming(conversation, "How much?")
    world.ai_sends(conversation)
    delivery_finish(
        delivery_id=world.claimed().id,
        was=Delivery.State.SENDING,
        state=Delivery.State.FAILED,
        reason=reason,
        error_kind=kind,
    )
    conversation.refresh_from_db()
    assert (conversation.lead.state, conversation.owner) == (lead_state, owner)
    assert reason in conversation.owner_reason


def refuse_reply(world, conversation):
    """The AI's answer meets a gate that says no."""
    world.incoming(conversation, "How much?")
    world.ai_sends(conversation)
    assert claim(ledger.owners(*world.managers)).refused == 1
    conversation.refresh_from_db()


def test_a_reply_of_a_finished_campaign_ends_the_conversation(world, conversation):
    campaign_finish(campaign_id=world.campaign.id)
    refuse_reply(world, conversation)
    assert (conversation.owner, conversation.owner_reason) == ("none", "The campaign has finished.")
    assert conversation.lead.state == State.CLOSED
    assert not LlmJob.objects.filter(state="due").exists()


def test_a_reply_to_a_suppressed_person_ends_the_conversation(world, conversation):
    # A row that no service wrote.
    Suppression.objects.create(telegram_user_id=501, source="operator")
    refuse_reply(world, conversation)
    assert (conversation.owner, conversation.lead.state) == ("none", State.OPTED_OUT)


def test_a_reply_that_the_gate_refuses_for_another_reason_goes_to_an_operator(world, conversation):
    world.incoming(conversation, "How much?")
    reply = world.ai_sends(conversation)
    refused = Delivery.State.REFUSED
    delivery_finish(delivery_id=reply.delivery_id, was=Delivery.State.QUEUED, state=refused, reason="Not this one.")
    conversation.refresh_from_db()
    assert conversation.owner == "human" and "Not this one." in conversation.owner_reason


@pytest.mark.parametrize(
    ("reason", "explanation"),
    [
        ("PERSON_UNKNOWN", r"Add the account to the chat .* take the conversation over .*\(PERSON_UNKNOWN\)$"),
        ("USER_PRIVACY_RESTRICTED", r"privacy settings .* \(USER_PRIVACY_RESTRICTED\)$"),
        ("SOMETHING_NEW", "^SOMETHING_NEW$"),
    ],
)
def test_a_person_who_cannot_be_reached_is_a_failed_lead_whose_reason_explains_what_to_do(world, reason, explanation):
    lead = world.receive()
    delivery_finish(
        delivery_id=world.claimed().id,
        was=Delivery.State.SENDING,
        state=Delivery.State.FAILED,
        reason=reason,
        error_kind="peer_refuses",
    )
    lead.refresh_from_db()
    assert (lead.state, lead.conversation.owner) == (State.FAILED, "none")
    assert re.search(explanation, lead.state_reason) and re.search(explanation, lead.conversation.owner_reason)


def test_every_refusal_of_a_person_that_telegram_knows_has_its_sentence_or_is_a_matter_of_money():
    persons = {entry.error for entry in ENTRIES if entry.scope == "person"}
    untold = {error for error in persons if refusal_text(error) == error}
    assert untold == {
        "ALLOW_PAYMENT_REQUIRED", "ALLOW_PAYMENT_REQUIRED_X", "BUSINESS_PEER_USAGE_MISSING", "PAYMENT_UNSUPPORTED",
    }  # fmt: skip
    assert all(len(refusal_text(error)) <= 300 for error in persons | {"PERSON_UNKNOWN", "USERNAME_CHANGED_HANDS"})


def test_a_first_contact_that_an_operator_cancels_closes_the_lead_and_says_so(world):
    lead = world.receive()
    delivery = lead.conversation.messages.get().delivery
    for _ in range(2):
        delivery_cancel(delivery_id=delivery.id, reason="cancelled by olga")
    lead.refresh_from_db()
    called_off = "An operator cancelled the first contact: cancelled by olga"
    assert (lead.state, lead.state_reason) == (State.CLOSED, called_off)
    assert (lead.conversation.owner, lead.conversation.owner_reason) == ("none", called_off)
