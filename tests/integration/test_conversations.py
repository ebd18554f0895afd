"""Who answers a lead: the AI until a person takes over, nobody after a stop."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from bots.claiming import claim
from bots.deliveries import deliveries_leaving, delivery_cancel, delivery_finish
from bots.models import Bot, Delivery
from campaigns.models import Suppression
from campaigns.selectors import is_suppressed
from campaigns.services import NotPossible, campaign_finish, suppression_add
from leads.locks import conversation_lock
from leads.models import CampaignManager, Conversation, Lead, LlmJob, Message, UnclaimedMessage
from leads.services import (
    conversation_hand_back,
    conversation_take_over,
    message_record,
    operator_say,
    opt_out,
)
from leads.services.takeover import unclaimed_judge_due
from tests.integration import ledger
from tests.integration.leads_world import make_world, private_message, queued, role_handler, texts
from tests.integration.locks import in_thread, somebody_waits_for_a_lock
from tests.support import wait_until

pytestmark = pytest.mark.django_db
State = Lead.State


@pytest.fixture
def world():
    return make_world()


@pytest.fixture
def talk(world):
    return world.talk()


def ai_says(talk, text="An answer", **facts):
    """As if the LLM had answered the present epoch."""
    from leads.services.saying import message_say

    talk.refresh_from_db()
    return message_say(conversation=talk, author=Message.Author.AI, text=text, due_at=timezone.now(), **facts)


def claimed(world):
    """One message on its way to Telegram."""
    [outgoing] = claim(ledger.owners(*world.managers)).outgoing
    return Delivery.objects.get(id=outgoing.id)


# --- what a lead writes


def test_a_message_is_recorded_once_and_asks_the_llm_after_the_quiet_period(world, talk):
    message = world.incoming(talk, "How much?")
    message_record(bot_id=talk.bot_id, message=message)
    assert texts(talk, "lead") == ["How much?"]
    job = LlmJob.objects.get()
    assert (job.epoch, job.state) == (talk.epoch, "due") == (1, "due")
    assert job.due_at > timezone.now() + timedelta(seconds=50)


def test_a_later_message_makes_the_earlier_question_stale(world, talk):
    world.incoming(talk, "How much?")
    world.incoming(talk, "And when?")
    assert list(LlmJob.objects.order_by("epoch").values_list("epoch", "state")) == [(1, "stale"), (2, "due")]


def test_a_stranger_is_left_alone(world, talk):
    message_record(bot_id=talk.bot_id, message=private_message(peer_id=999, from_user_id=999, message_id=1, text="hi"))
    assert Message.objects.filter(author="lead").count() == 0


def test_an_answer_is_not_sent_when_the_lead_has_written_again(world, talk):
    world.incoming(talk, "How much?")
    answer = ai_says(talk)
    world.incoming(talk, "Never mind that, when?")
    assert world.send_all() == 0
    answer.delivery.refresh_from_db()
    assert (answer.delivery.state, answer.delivery.error) == ("refused", "The conversation moved on.")
    talk.refresh_from_db()
    assert talk.owner == "ai"


def test_the_parts_of_an_answer_leave_in_their_order(world, talk):
    for text in ("one", "two", "three"):
        ai_says(talk, text)
    assert world.send_all() == 3
    said = Message.objects.filter(conversation=talk, author="ai").order_by("telegram_message_id")
    assert [message.text for message in said][1:] == ["one", "two", "three"]


def test_who_writes_first_is_still_told_who_answers(world):
    lead = world.receive()
    talk = Conversation.objects.get(lead=lead)
    world.incoming(talk, "Hello?")
    ai_says(talk)
    first = claimed(world)
    assert first.purpose == "first_contact"
    world.sent(first)
    assert world.send_all() == 1


def test_a_lead_known_by_name_alone_is_recognised_by_its_answer(world):
    talk = Conversation.objects.get(lead=world.receive(telegram_user_id=None))
    world.incoming(talk, "hi", from_username="TEA_lover")
    assert (talk.peer_id, Lead.objects.get().telegram_user_id) == (501, 501)


def test_a_message_belongs_to_the_conversation_that_is_open(world, talk):
    other = make_world(managers=0)
    CampaignManager.objects.create(campaign=other.campaign, bot=talk.bot)
    second = Conversation.objects.get(lead=other.receive())
    assert second.bot == talk.bot
    Conversation.objects.filter(id=second.id).update(owner="none")
    world.incoming(talk, "to the open one")
    assert texts(talk, "lead") == ["to the open one"] and texts(second, "lead") == []


# --- stop


@pytest.mark.parametrize("word", ["stop", "Стоп!", "please, STOP"])
def test_stop_ends_everything_at_once(world, talk, word):
    world.incoming(talk, "How much?")
    answer = ai_says(talk)
    world.incoming(talk, word)
    answer.delivery.refresh_from_db()
    lead = Lead.objects.get()
    assert (lead.state, talk.owner, answer.delivery.state) == (State.OPTED_OUT, "none", "cancelled")
    assert not LlmJob.objects.filter(state="due").exists()
    assert is_suppressed(telegram_user_id=501) and not is_suppressed(username="tea_lover")
    assert Suppression.objects.get().source == "words"
    assert texts(talk, "lead")[-1] == word
    assert world.send_all() == 0


def test_stop_holds_in_every_campaign(world, talk):
    other = make_world()
    second = Conversation.objects.get(lead=other.receive())
    world.incoming(talk, "stop")
    second.refresh_from_db()
    assert (second.owner, second.lead.state) == ("none", State.OPTED_OUT)
    assert Delivery.objects.get(message__conversation=second).state == "cancelled"
    third = make_world()
    assert third.receive().state == State.OPTED_OUT


def test_what_was_already_leaving_at_the_stop_is_the_last(world, talk):
    world.incoming(talk, "How much?")
    ai_says(talk, "one")
    ai_says(talk, "two")
    leaving = claimed(world)
    world.incoming(talk, "stop")
    assert deliveries_leaving(telegram_user_id=501) == 1
    world.sent(leaving)
    assert world.send_all() == 0
    assert deliveries_leaving(telegram_user_id=501) == 0
    talk.refresh_from_db()
    assert (talk.owner, Lead.objects.get().state) == ("none", State.OPTED_OUT)


def test_after_a_stop_words_are_recorded_and_not_answered(world, talk):
    world.incoming(talk, "stop")
    world.incoming(talk, "How much is it, by the way?")
    assert texts(talk, "lead")[-1].startswith("How much")
    assert not LlmJob.objects.filter(state="due").exists()
    for refused in (conversation_take_over, conversation_hand_back):
        with pytest.raises(NotPossible):
            refused(conversation_id=talk.id)


def test_stop_outweighs_a_person_who_had_taken_over(world, talk):
    conversation_take_over(conversation_id=talk.id, by="olga")
    said = operator_say(conversation_id=talk.id, text="A minute, please.")
    world.incoming(talk, "stop")
    assert (Delivery.objects.get(message=said).state, talk.owner) == ("cancelled", "none")


def test_an_operator_can_enter_an_opt_out(world, talk):
    opt_out(lead_id=talk.lead_id, source=Suppression.Source.OPERATOR, reason="Called us.")
    opt_out(lead_id=talk.lead_id, source=Suppression.Source.OPERATOR, reason="Called us.")
    assert Suppression.objects.count() == 1 and Lead.objects.get().state == State.OPTED_OUT


@pytest.mark.parametrize("named", [{"telegram_user_id": 501}, {"telegram_user_id": None, "username": "@TEA_lover"}])
def test_whoever_suppresses_a_person_ends_everything_for_them(world, talk, named):
    world.incoming(talk, "How much?")
    said = ai_says(talk)
    for _ in range(2):
        suppression_add(**named, source=Suppression.Source.OPERATOR, reason="Called us.")
    talk.refresh_from_db()
    assert (talk.owner, talk.lead.state, talk.lead.state_reason) == ("none", State.OPTED_OUT, "Called us.")
    assert Delivery.objects.get(message=said).state == "cancelled"
    assert not LlmJob.objects.filter(state="due").exists()


def test_a_block_is_a_stop(world, talk):
    world.incoming(talk, "How much?")
    ai_says(talk, "one")
    ai_says(talk, "two")
    failing = claimed(world)
    delivery_finish(
        delivery_id=failing.id,
        was=Delivery.State.SENDING,
        state=Delivery.State.FAILED,
        reason="USER_IS_BLOCKED",
        error_kind="peer_refuses",
    )
    talk.refresh_from_db()
    assert (talk.owner, talk.lead.state) == ("none", State.OPTED_OUT)
    assert Suppression.objects.get().source == "block"
    assert queued(talk) == []


@pytest.mark.django_db(transaction=True)
def test_whose_first_words_tell_the_id_waits_for_a_stop_before_it_touches_the_lead(world):
    """As every stop: first the conversations, then the leads. The other way round the two would deadlock."""
    talk = world.receive(telegram_user_id=None).conversation
    with transaction.atomic():
        conversation_lock(talk.id)
        speaking = in_thread(lambda: world.incoming(talk, "Hello?"))
        wait_until(somebody_waits_for_a_lock, what="the message waiting for the stop")
        assert Lead.objects.update(state=State.OPTED_OUT) == 1
    speaking.join(20)
    assert texts(talk, "lead") == ["Hello?"] and Lead.objects.get().telegram_user_id == 501


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(3))
def test_stop_said_to_two_bots_at_the_same_moment(round_):
    worlds = [make_world(managers=1), make_world(managers=1)]
    talks = [world.talk() for world in worlds]
    for talk in talks:
        ai_says(talk)
    barrier = threading.Barrier(4)

    def beside(work):
        try:
            connection.ensure_connection()
            barrier.wait(10)
            work()
        finally:
            connections.close_all()

    stops = [partial(world.incoming, talk, "stop") for world, talk in zip(worlds, talks, strict=True)]
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(beside, work) for work in (*stops, *(world.send_all for world in worlds))]:
            future.result()
    assert {lead.state for lead in Lead.objects.all()} == {State.OPTED_OUT}
    assert Suppression.objects.count() == 1
    assert [world.send_all() for world in worlds] == [0, 0]


# --- failures


@pytest.mark.parametrize(
    ("kind", "reason", "lead_state", "owner"),
    [("peer_refuses", "USER_PRIVACY_RESTRICTED", State.FAILED, "none"), ("permanent", "X", State.TALKING, "human")],
)
def test_a_reply_that_cannot_be_said_ends_or_goes_to_a_person(world, talk, kind, reason, lead_state, owner):
    world.incoming(talk, "How much?")
    ai_says(talk)
    delivery_finish(
        delivery_id=claimed(world).id,
        was=Delivery.State.SENDING,
        state=Delivery.State.FAILED,
        reason=reason,
        error_kind=kind,
    )
    talk.refresh_from_db()
    assert (talk.lead.state, talk.owner) == (lead_state, owner)
    assert reason in talk.owner_reason


def refuse_reply(world, talk):
    """The AI's answer meets a gate that says no."""
    world.incoming(talk, "How much?")
    ai_says(talk)
    assert claim(ledger.owners(*world.managers)).refused == 1
    talk.refresh_from_db()


def test_a_reply_of_a_finished_campaign_ends_the_conversation(world, talk):
    campaign_finish(campaign_id=world.campaign.id)
    refuse_reply(world, talk)
    assert (talk.owner, talk.owner_reason) == ("none", "The campaign has finished.")
    assert talk.lead.state == State.CLOSED
    assert not LlmJob.objects.filter(state="due").exists()


def test_a_reply_to_a_suppressed_person_ends_the_conversation(world, talk):
    # A row that no service wrote.
    Suppression.objects.create(telegram_user_id=501, source="operator")
    refuse_reply(world, talk)
    assert (talk.owner, talk.lead.state) == ("none", State.OPTED_OUT)


def test_a_reply_that_the_gate_refuses_for_another_reason_goes_to_a_person(world, talk):
    world.incoming(talk, "How much?")
    said = ai_says(talk)
    refused = Delivery.State.REFUSED
    delivery_finish(delivery_id=said.delivery_id, was=Delivery.State.QUEUED, state=refused, reason="Not this one.")
    talk.refresh_from_db()
    assert talk.owner == "human" and "Not this one." in talk.owner_reason


def test_a_person_who_cannot_be_reached_is_a_failed_lead(world):
    lead = world.receive()
    delivery_finish(
        delivery_id=claimed(world).id,
        was=Delivery.State.SENDING,
        state=Delivery.State.FAILED,
        reason="USER_PRIVACY_RESTRICTED",
        error_kind="peer_refuses",
    )
    lead.refresh_from_db()
    assert (lead.state, lead.state_reason, lead.conversation.owner) == (
        State.FAILED,
        "USER_PRIVACY_RESTRICTED",
        "none",
    )


def test_a_first_contact_that_an_operator_cancels_closes_the_lead_and_says_so(world):
    lead = world.receive()
    said = lead.conversation.messages.get().delivery
    for _ in range(2):
        delivery_cancel(delivery_id=said.id, reason="cancelled by olga")
    lead.refresh_from_db()
    called_off = "An operator called off the first contact: cancelled by olga"
    assert (lead.state, lead.state_reason) == (State.CLOSED, called_off)
    assert (lead.conversation.owner, lead.conversation.owner_reason) == ("none", called_off)


# --- an operator


def test_taken_over_the_ai_says_nothing_more(world, talk):
    world.incoming(talk, "How much?")
    answer = ai_says(talk)
    conversation_take_over(conversation_id=talk.id, by="olga")
    answer.delivery.refresh_from_db()
    talk.refresh_from_db()
    assert (talk.owner, answer.delivery.state) == ("human", "cancelled")
    assert not LlmJob.objects.filter(state="due").exists()
    world.incoming(talk, "Hello?")
    assert not LlmJob.objects.filter(state="due").exists()


def test_taken_over_before_the_first_message_the_lead_is_not_lost(world):
    lead = world.receive()
    conversation_take_over(conversation_id=lead.conversation.id, by="olga")
    lead.refresh_from_db()
    assert (lead.state, lead.conversation.owner) == (State.TALKING, "human")
    assert world.send_all() == 0


def test_an_operator_speaks_only_in_a_conversation_of_their_own(world, talk):
    with pytest.raises(NotPossible):
        operator_say(conversation_id=talk.id, text="Hello")
    conversation_take_over(conversation_id=talk.id)
    with pytest.raises(NotPossible):
        operator_say(conversation_id=talk.id, text="  ")
    operator_say(conversation_id=talk.id, text="Hello, I am Olga.")
    assert world.send_all() == 1
    assert texts(talk, "operator") == ["Hello, I am Olga."]


def test_handed_back_the_ai_does_not_speak_for_an_operator(world, talk):
    conversation_take_over(conversation_id=talk.id)
    said = operator_say(conversation_id=talk.id, text="Too late")
    conversation_hand_back(conversation_id=talk.id, by="olga")
    assert world.send_all() == 0
    assert Delivery.objects.get(message=said).state == "refused"


@pytest.mark.parametrize(("last_word", "asked"), [("lead", True), ("ours", False)])
def test_handed_back_the_ai_answers_if_the_lead_waits(world, talk, last_word, asked):
    world.incoming(talk, "How much?")
    conversation_take_over(conversation_id=talk.id)
    if last_word == "ours":
        operator_say(conversation_id=talk.id, text="5 euros")
        world.send_all()
    conversation_hand_back(conversation_id=talk.id)
    talk.refresh_from_db()
    assert LlmJob.objects.filter(state="due", epoch=talk.epoch).exists() is asked


# --- a person with the phone


def test_our_own_message_is_no_takeover(world, talk):
    first = Message.objects.get(conversation=talk)
    world.outgoing(talk, first.text, message_id=first.telegram_message_id)
    assert (talk.owner, Message.objects.count(), UnclaimedMessage.objects.count()) == ("ai", 1, 0)


def test_a_message_from_the_phone_takes_over(world, talk):
    world.incoming(talk, "How much?")
    answer = ai_says(talk)
    world.outgoing(talk, "I will answer this myself")
    answer.delivery.refresh_from_db()
    assert (talk.owner, answer.delivery.state) == ("human", "cancelled")
    assert texts(talk, "phone") == ["I will answer this myself"]
    assert world.send_all() == 0


def test_while_ours_is_being_sent_nothing_is_judged(world, talk):
    world.incoming(talk, "How much?")
    answer = ai_says(talk)
    leaving = claimed(world)
    ours = next(world.ids)
    world.outgoing(talk, answer.text, message_id=ours)
    assert (talk.owner, UnclaimedMessage.objects.count()) == ("ai", 1)
    unclaimed_judge_due(now=timezone.now())
    assert UnclaimedMessage.objects.count() == 1
    delivery_finish(
        delivery_id=leaving.id,
        was=Delivery.State.SENDING,
        state=Delivery.State.SENT,
        telegram_message_id=ours,
        sent_at=timezone.now(),
    )
    talk.refresh_from_db()
    assert (talk.owner, UnclaimedMessage.objects.count()) == ("ai", 0)
    assert texts(talk, "phone") == []


def test_a_phone_message_beside_ours_is_found_when_ours_is_settled(world, talk):
    world.incoming(talk, "How much?")
    ai_says(talk)
    leaving = claimed(world)
    world.outgoing(talk, "Let me")
    assert talk.owner == "ai"
    world.sent(leaving)
    talk.refresh_from_db()
    assert (talk.owner, texts(talk, "phone")) == ("human", ["Let me"])
    assert talk.owner_reason == "A person wrote from the phone."


def test_conversations_that_cannot_be_judged_yet_starve_no_other(world, talk):
    other = world.talk(telegram_user_id=502, username="coffee_lover")
    for stuck in (talk, other):
        UnclaimedMessage.objects.create(
            conversation=stuck, telegram_message_id=9, text="hm", said_at=timezone.now() + timedelta(seconds=1)
        )
        ai_says(stuck)
    # Messages to both are being sent, so that neither can be judged.
    Delivery.objects.filter(state="queued").update(state="sending")
    for number in range(2):
        assert unclaimed_judge_due(now=timezone.now() + timedelta(seconds=number), limit=1) == 1
    assert UnclaimedMessage.objects.filter(tried_at=None).count() == 0


def test_our_message_whose_fate_is_unknown_is_no_takeover(world, talk):
    world.incoming(talk, "How much?")
    answer = ai_says(talk)
    leaving = claimed(world)
    delivery_finish(delivery_id=leaving.id, was=Delivery.State.SENDING, state=Delivery.State.UNKNOWN, reason="lost")
    world.outgoing(talk, answer.text)
    assert texts(talk, "phone") == []


def test_what_the_account_said_before_the_conversation_concerns_nobody(world, talk):
    world.outgoing(talk, "An old chat", said_at=timezone.now() - timedelta(days=1))
    assert talk.owner == "ai" and UnclaimedMessage.objects.count() == 0


def test_a_phone_message_after_a_stop_wakes_nobody(world, talk):
    world.incoming(talk, "stop")
    world.outgoing(talk, "Sorry!")
    assert (talk.owner, Lead.objects.get().state) == ("none", State.OPTED_OUT)


# --- which bots are wanted


def test_managers_are_wanted_for_their_campaigns_and_their_open_conversations(world, talk):
    handler = role_handler("manager")
    assert handler.reads_private and not handler.reads_chats
    assert handler.wanted(timezone.now()) == {bot.id for bot in world.managers}
    assert handler.chats(talk.bot_id) == [world.chat]
    world.campaign.state = "finished"
    world.campaign.save()
    assert handler.wanted(timezone.now()) == {talk.bot_id}
    Bot.objects.filter(id=talk.bot_id).update(enabled=False)
    assert handler.wanted(timezone.now()) == set()
