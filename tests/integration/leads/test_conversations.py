"""What a lead writes is recorded and answered; which bots are wanted for it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from bots.models import Bot
from campaigns.models import Suppression
from leads.models import CampaignManager, Conversation, Lead, LlmJob, Message
from leads.services.incoming import message_record
from telegram.types import Author
from tests.integration.leads_world import make_world, private_message, role_handler, texts

pytestmark = pytest.mark.django_db
State = Lead.State


def test_a_message_is_recorded_once_and_asks_the_llm_after_the_quiet_period(world, conversation):
    message = world.incoming(conversation, "How much?")
    message_record(bot_id=conversation.bot_id, message=message)
    assert texts(conversation, "lead") == ["How much?"]
    job = LlmJob.objects.get()
    assert (job.epoch, job.state) == (conversation.epoch, "due") == (1, "due")
    assert job.due_at > timezone.now() + timedelta(seconds=50)


def test_a_later_message_makes_the_earlier_question_stale(world, conversation):
    world.incoming(conversation, "How much?")
    world.incoming(conversation, "And when?")
    assert list(LlmJob.objects.order_by("epoch").values_list("epoch", "state")) == [(1, "stale"), (2, "due")]


def test_a_stranger_is_left_alone(world, conversation):
    message_record(
        bot_id=conversation.bot_id, message=private_message(peer_id=999, from_user_id=999, message_id=1, text="hi")
    )
    assert Message.objects.filter(author="lead").count() == 0


def test_an_answer_is_not_sent_when_the_lead_has_written_again(world, conversation):
    world.incoming(conversation, "How much?")
    answer = world.ai_sends(conversation)
    world.incoming(conversation, "Never mind that, when?")
    assert world.send_all() == 0
    answer.delivery.refresh_from_db()
    assert (answer.delivery.state, answer.delivery.error) == (
        "refused",
        "The conversation has changed since this message was written.",
    )
    conversation.refresh_from_db()
    assert conversation.owner == "ai"


def test_the_parts_of_an_answer_leave_in_their_order(world, conversation):
    for text in ("one", "two", "three"):
        world.ai_sends(conversation, text)
    assert world.send_all() == 3
    sent = Message.objects.filter(conversation=conversation, author="ai").order_by("telegram_message_id")
    assert [message.text for message in sent][1:] == ["one", "two", "three"]


def test_a_lead_who_writes_first_still_gets_the_first_contact(world):
    lead = world.receive()
    conversation = Conversation.objects.get(lead=lead)
    world.incoming(conversation, "Hello?")
    world.ai_sends(conversation)
    first = world.claimed()
    assert first.purpose == "first_contact"
    world.sent(first)
    assert world.send_all() == 1


def test_a_lead_known_by_name_alone_is_recognised_by_its_answer(world):
    conversation = Conversation.objects.get(lead=world.receive(telegram_user_id=None))
    world.incoming(conversation, "hi", from_username="TEA_lover")
    assert (conversation.peer_id, Lead.objects.get().telegram_user_id) == (501, 501)


def test_a_message_belongs_to_the_conversation_that_is_open(world, conversation):
    other = make_world(managers=0)
    CampaignManager.objects.create(campaign=other.campaign, bot=conversation.bot)
    second = Conversation.objects.get(lead=other.receive())
    assert second.bot == conversation.bot
    Conversation.objects.filter(id=second.id).update(owner="none")
    world.incoming(conversation, "to the open one")
    assert texts(conversation, "lead") == ["to the open one"] and texts(second, "lead") == []


def test_managers_are_wanted_for_their_campaigns_and_whenever_they_have_written_first(world, conversation):
    handler = role_handler("manager")
    assert handler.reads_private and not handler.reads_chats
    assert handler.wanted(timezone.now()) == {bot.id for bot in world.managers}
    assert handler.chats(conversation.bot_id) == [world.chat]
    world.campaign.state = "finished"
    world.campaign.save()
    assert handler.wanted(timezone.now()) == {conversation.bot_id}
    Conversation.objects.update(owner="none")
    CampaignManager.objects.all().delete()
    assert handler.wanted(timezone.now()) == {conversation.bot_id}
    Bot.objects.filter(id=conversation.bot_id).update(enabled=False)
    assert handler.wanted(timezone.now()) == set()


@pytest.mark.parametrize("author", ["bot", "service", "ours"])
def test_a_message_that_is_not_from_a_person_neither_ends_nor_begins_a_conversation(world, conversation, author):
    own = next(manager for manager in world.managers if manager.id != conversation.bot_id)
    facts = {"author": Author(author)} if author != "ours" else {"peer_id": own.telegram_user_id}
    Lead.objects.filter(id=conversation.lead_id).update(telegram_user_id=facts.get("peer_id", 501))
    Conversation.objects.filter(id=conversation.id).update(peer_id=facts.get("peer_id", 501))
    world.incoming(conversation, "Stop", **facts)
    assert (conversation.owner, texts(conversation, "lead"), Suppression.objects.count()) == ("ai", [], 0)
