"""“Stop” ends everything at once, in whatever words and in whatever way it comes."""

from functools import partial

import pytest
from django.db import transaction

from bots.deliveries.queueing import deliveries_leaving, delivery_finish
from bots.models import Delivery
from campaigns.models import Campaign, Suppression
from campaigns.suppressions.lookup import is_suppressed
from campaigns.suppressions.recording import suppression_add
from leads.locks import conversation_lock
from leads.models import Conversation, Lead, LlmJob
from leads.services.incoming import message_record
from leads.services.operators import conversation_hand_back, conversation_take_over, operator_send
from leads.services.opt_out import opt_out
from panelkit.errors import NotPossible
from tests.integration.leads_world import make_world, private_message, queued, texts
from tests.integration.locks import at_once, in_thread, somebody_waits_for_a_lock
from tests.support import wait_until

pytestmark = pytest.mark.django_db
State = Lead.State


@pytest.mark.parametrize("word", ["stop", "Стоп!", "please, STOP"])
def test_stop_ends_everything_at_once(world, conversation, word):
    world.incoming(conversation, "How much?")
    answer = world.ai_sends(conversation)
    world.incoming(conversation, word)
    answer.delivery.refresh_from_db()
    lead = Lead.objects.get()
    assert (lead.state, conversation.owner, answer.delivery.state) == (State.OPTED_OUT, "none", "cancelled")
    assert not LlmJob.objects.filter(state="due").exists()
    assert is_suppressed(telegram_user_id=501) and not is_suppressed(username="tea_lover")
    assert Suppression.objects.get().source == "words"
    assert texts(conversation, "lead")[-1] == word
    assert world.send_all() == 0


@pytest.mark.parametrize("campaign", ["running", "paused", "finished"])
@pytest.mark.parametrize("owner", ["ai", "human", "none"])
def test_stop_counts_in_every_state_of_the_campaign_and_with_every_owner(world, conversation, campaign, owner):
    Campaign.objects.update(state=campaign)
    Conversation.objects.update(owner=owner)
    world.incoming(conversation, "stop")
    assert is_suppressed(telegram_user_id=501)
    assert (Lead.objects.get().state, conversation.owner) == (State.OPTED_OUT, "none")


@pytest.mark.parametrize(("words", "silent"), [("STOP", True), ("Hello", False)])
def test_a_lead_may_send_stop_to_another_account_than_the_account_that_wrote(world, conversation, words, silent):
    other = next(bot for bot in world.managers if bot != conversation.bot)
    message_record(bot_id=other.id, message=private_message(message_id=9, text=words, from_username="tea_lover"))
    assert is_suppressed(telegram_user_id=501) is silent
    assert (Lead.objects.get().state == State.OPTED_OUT) is silent


def test_a_stop_of_a_stranger_is_left_alone(world, conversation):
    message_record(
        bot_id=conversation.bot_id, message=private_message(peer_id=9, from_user_id=9, message_id=9, text="stop")
    )
    assert not Suppression.objects.exists()


def test_stop_holds_in_every_campaign(world, conversation):
    other = make_world()
    second = Conversation.objects.get(lead=other.receive())
    world.incoming(conversation, "stop")
    second.refresh_from_db()
    assert (second.owner, second.lead.state) == ("none", State.OPTED_OUT)
    assert Delivery.objects.get(message__conversation=second).state == "cancelled"
    third = make_world()
    assert third.receive().state == State.OPTED_OUT


def test_what_was_already_leaving_at_the_stop_is_the_last(world, conversation):
    world.incoming(conversation, "How much?")
    world.ai_sends(conversation, "one")
    world.ai_sends(conversation, "two")
    leaving = world.claimed()
    world.incoming(conversation, "stop")
    assert deliveries_leaving(telegram_user_id=501) == 1
    world.sent(leaving)
    assert world.send_all() == 0
    assert deliveries_leaving(telegram_user_id=501) == 0
    conversation.refresh_from_db()
    assert (conversation.owner, Lead.objects.get().state) == ("none", State.OPTED_OUT)


def test_after_a_stop_messages_are_recorded_and_not_answered(world, conversation):
    world.incoming(conversation, "stop")
    world.incoming(conversation, "How much is it, by the way?")
    assert texts(conversation, "lead")[-1].startswith("How much")
    assert not LlmJob.objects.filter(state="due").exists()
    for refused in (conversation_take_over, conversation_hand_back):
        with pytest.raises(NotPossible):
            refused(conversation_id=conversation.id)


def test_stop_outweighs_an_operators_takeover(world, conversation):
    conversation_take_over(conversation_id=conversation.id, by="olga")
    message = operator_send(conversation_id=conversation.id, text="A minute, please.")
    world.incoming(conversation, "stop")
    assert (Delivery.objects.get(message=message).state, conversation.owner) == ("cancelled", "none")


def test_an_operator_can_enter_an_opt_out(world, conversation):
    opt_out(lead_id=conversation.lead_id, source=Suppression.Source.OPERATOR, reason="Called us.")
    opt_out(lead_id=conversation.lead_id, source=Suppression.Source.OPERATOR, reason="Called us.")
    assert Suppression.objects.count() == 1 and Lead.objects.get().state == State.OPTED_OUT


@pytest.mark.parametrize("named", [{"telegram_user_id": 501}, {"telegram_user_id": None, "username": "@TEA_lover"}])
def test_every_kind_of_suppression_ends_everything_for_the_person(world, conversation, named):
    world.incoming(conversation, "How much?")
    message = world.ai_sends(conversation)
    for _ in range(2):
        suppression_add(**named, source=Suppression.Source.OPERATOR, reason="Called us.")
    conversation.refresh_from_db()
    assert (conversation.owner, conversation.lead.state, conversation.lead.state_reason) == (
        "none",
        State.OPTED_OUT,
        "Called us.",
    )
    assert Delivery.objects.get(message=message).state == "cancelled"
    assert not LlmJob.objects.filter(state="due").exists()


def test_a_block_is_a_stop(world, conversation):
    world.incoming(conversation, "How much?")
    world.ai_sends(conversation, "one")
    world.ai_sends(conversation, "two")
    failing = world.claimed()
    delivery_finish(
        delivery_id=failing.id,
        was=Delivery.State.SENDING,
        state=Delivery.State.FAILED,
        reason="USER_IS_BLOCKED",
        error_kind="peer_refuses",
    )
    conversation.refresh_from_db()
    assert (conversation.owner, conversation.lead.state) == ("none", State.OPTED_OUT)
    assert Suppression.objects.get().source == "block"
    assert queued(conversation) == []


@pytest.mark.django_db(transaction=True)
def test_a_first_message_that_shows_the_id_waits_for_a_stop_before_it_changes_the_lead(world):
    """As every stop: first the conversations, then the leads. The other way round the two would deadlock."""
    conversation = world.receive(telegram_user_id=None).conversation
    with transaction.atomic():
        conversation_lock(conversation.id)
        speaking = in_thread(lambda: world.incoming(conversation, "Hello?"))
        wait_until(somebody_waits_for_a_lock, what="the message waiting for the stop")
        assert Lead.objects.update(state=State.OPTED_OUT) == 1
    speaking.join(60)
    assert texts(conversation, "lead") == ["Hello?"] and Lead.objects.get().telegram_user_id == 501


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(3))
def test_stop_sent_to_two_bots_at_the_same_moment(round_):
    worlds = [make_world(managers=1), make_world(managers=1)]
    conversations = [world.conversation() for world in worlds]
    for world, conversation in zip(worlds, conversations, strict=True):
        world.ai_sends(conversation)
    stops = [
        partial(world.incoming, conversation, "stop") for world, conversation in zip(worlds, conversations, strict=True)
    ]
    at_once(*stops, *(world.send_all for world in worlds))
    assert {lead.state for lead in Lead.objects.all()} == {State.OPTED_OUT}
    assert Suppression.objects.count() == 1
    assert [world.send_all() for world in worlds] == [0, 0]
