"""A person takes over, in the panel or on the phone, and hands back."""

from datetime import timedelta

import pytest
from django.utils import timezone

from bots.deliveries.queueing import delivery_finish
from bots.models import Delivery
from leads.models import Lead, LlmJob, Message, UnclaimedMessage
from leads.services.operators import conversation_hand_back, conversation_take_over, operator_send
from leads.services.unclaimed_messages import unclaimed_judge_due
from panelkit.errors import NotPossible
from tests.integration.leads_world import texts

pytestmark = pytest.mark.django_db
State = Lead.State


def test_after_a_takeover_the_ai_sends_nothing_more(world, conversation):
    world.incoming(conversation, "How much?")
    answer = world.ai_sends(conversation)
    conversation_take_over(conversation_id=conversation.id, by="olga")
    answer.delivery.refresh_from_db()
    conversation.refresh_from_db()
    assert (conversation.owner, answer.delivery.state) == ("human", "cancelled")
    assert not LlmJob.objects.filter(state="due").exists()
    world.incoming(conversation, "Hello?")
    assert not LlmJob.objects.filter(state="due").exists()


def test_a_takeover_before_the_first_message_does_not_lose_the_lead(world):
    lead = world.receive()
    conversation_take_over(conversation_id=lead.conversation.id, by="olga")
    lead.refresh_from_db()
    assert (lead.state, lead.conversation.owner) == (State.TALKING, "human")
    assert world.send_all() == 0


def test_an_operator_sends_only_in_a_conversation_that_operators_own(world, conversation):
    with pytest.raises(NotPossible):
        operator_send(conversation_id=conversation.id, text="Hello")
    conversation_take_over(conversation_id=conversation.id)
    with pytest.raises(NotPossible):
        operator_send(conversation_id=conversation.id, text="  ")
    operator_send(conversation_id=conversation.id, text="Hello, I am Olga.")
    assert world.send_all() == 1
    assert texts(conversation, "operator") == ["Hello, I am Olga."]


def test_after_a_handback_an_operators_queued_message_is_refused(world, conversation):
    conversation_take_over(conversation_id=conversation.id)
    message = operator_send(conversation_id=conversation.id, text="Too late")
    conversation_hand_back(conversation_id=conversation.id, by="olga")
    assert world.send_all() == 0
    assert Delivery.objects.get(message=message).state == "refused"


@pytest.mark.parametrize(("last_word", "asked"), [("lead", True), ("ours", False)])
def test_after_a_handback_the_ai_answers_if_the_lead_waits(world, conversation, last_word, asked):
    world.incoming(conversation, "How much?")
    conversation_take_over(conversation_id=conversation.id)
    if last_word == "ours":
        operator_send(conversation_id=conversation.id, text="5 euros")
        world.send_all()
    conversation_hand_back(conversation_id=conversation.id)
    conversation.refresh_from_db()
    assert LlmJob.objects.filter(state="due", epoch=conversation.epoch).exists() is asked


def test_our_own_message_is_no_takeover(world, conversation):
    first = Message.objects.get(conversation=conversation)
    world.outgoing(conversation, first.text, message_id=first.telegram_message_id)
    assert (conversation.owner, Message.objects.count(), UnclaimedMessage.objects.count()) == ("ai", 1, 0)


def test_a_message_from_the_phone_takes_over(world, conversation):
    world.incoming(conversation, "How much?")
    answer = world.ai_sends(conversation)
    world.outgoing(conversation, "I will answer this myself")
    answer.delivery.refresh_from_db()
    assert (conversation.owner, answer.delivery.state) == ("human", "cancelled")
    assert texts(conversation, "phone") == ["I will answer this myself"]
    assert world.send_all() == 0


def test_while_ours_is_being_sent_nothing_is_judged(world, conversation):
    world.incoming(conversation, "How much?")
    answer = world.ai_sends(conversation)
    leaving = world.claimed()
    ours = next(world.ids)
    world.outgoing(conversation, answer.text, message_id=ours)
    assert (conversation.owner, UnclaimedMessage.objects.count()) == ("ai", 1)
    unclaimed_judge_due(now=timezone.now())
    assert UnclaimedMessage.objects.count() == 1
    delivery_finish(
        delivery_id=leaving.id,
        was=Delivery.State.SENDING,
        state=Delivery.State.SENT,
        telegram_message_id=ours,
        sent_at=timezone.now(),
    )
    conversation.refresh_from_db()
    assert (conversation.owner, UnclaimedMessage.objects.count()) == ("ai", 0)
    assert texts(conversation, "phone") == []


def test_a_phone_message_beside_ours_is_found_when_ours_is_settled(world, conversation):
    world.incoming(conversation, "How much?")
    world.ai_sends(conversation)
    leaving = world.claimed()
    world.outgoing(conversation, "Let me")
    assert conversation.owner == "ai"
    world.sent(leaving)
    conversation.refresh_from_db()
    assert (conversation.owner, texts(conversation, "phone")) == ("human", ["Let me"])
    assert conversation.owner_reason == "A team member wrote from the phone."


def test_conversations_that_cannot_be_judged_yet_do_not_keep_others_waiting(world, conversation):
    other = world.conversation(telegram_user_id=502, username="coffee_lover")
    for stuck in (conversation, other):
        UnclaimedMessage.objects.create(
            conversation=stuck, telegram_message_id=9, text="hm", said_at=timezone.now() + timedelta(seconds=1)
        )
        world.ai_sends(stuck)
    # Messages to both are being sent, so that neither can be judged.
    Delivery.objects.filter(state="queued").update(state="sending")
    for number in range(2):
        assert unclaimed_judge_due(now=timezone.now() + timedelta(seconds=number), limit=1) == 1
    assert UnclaimedMessage.objects.filter(tried_at=None).count() == 0


def test_our_message_whose_outcome_is_unknown_is_no_takeover(world, conversation):
    world.incoming(conversation, "How much?")
    answer = world.ai_sends(conversation)
    leaving = world.claimed()
    delivery_finish(delivery_id=leaving.id, was=Delivery.State.SENDING, state=Delivery.State.UNKNOWN, reason="lost")
    world.outgoing(conversation, answer.text)
    assert texts(conversation, "phone") == []


def test_an_operators_message_of_two_lines_is_recognised_when_its_outcome_is_unknown(world, conversation):
    conversation_take_over(conversation_id=conversation.id)
    typed = operator_send(conversation_id=conversation.id, text="Two\r\nlines ")
    assert (typed.text, Delivery.objects.get(message=typed).text) == ("Two\nlines", "Two\nlines")
    leaving = world.claimed()
    delivery_finish(delivery_id=leaving.id, was=Delivery.State.SENDING, state=Delivery.State.UNKNOWN, reason="lost")
    # As it was queued by an earlier version.
    Delivery.objects.filter(id=leaving.id).update(text="Two\r\nlines ")
    world.outgoing(conversation, "Two\nlines")
    assert texts(conversation, "phone") == []
    world.outgoing(conversation, "Two lines")
    assert texts(conversation, "phone") == ["Two lines"]


def test_messages_of_the_account_from_before_the_conversation_are_ignored(world, conversation):
    world.outgoing(conversation, "An old chat", sent_at=timezone.now() - timedelta(days=1))
    assert conversation.owner == "ai" and UnclaimedMessage.objects.count() == 0


def test_a_phone_message_after_a_stop_reopens_nothing(world, conversation):
    world.incoming(conversation, "stop")
    world.outgoing(conversation, "Sorry!")
    assert (conversation.owner, Lead.objects.get().state) == ("none", State.OPTED_OUT)
