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
    answer = world.ai_says(talk)
    world.incoming(talk, "Never mind that, when?")
    assert world.send_all() == 0
    answer.delivery.refresh_from_db()
    assert (answer.delivery.state, answer.delivery.error) == (
        "refused",
        "The conversation has changed since this message was written.",
    )
    talk.refresh_from_db()
    assert talk.owner == "ai"


def test_the_parts_of_an_answer_leave_in_their_order(world, talk):
    for text in ("one", "two", "three"):
        world.ai_says(talk, text)
    assert world.send_all() == 3
    said = Message.objects.filter(conversation=talk, author="ai").order_by("telegram_message_id")
    assert [message.text for message in said][1:] == ["one", "two", "three"]


def test_who_writes_first_is_still_told_who_answers(world):
    lead = world.receive()
    talk = Conversation.objects.get(lead=lead)
    world.incoming(talk, "Hello?")
    world.ai_says(talk)
    first = world.claimed()
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


def test_managers_are_wanted_for_their_campaigns_and_whenever_they_have_written_first(world, talk):
    handler = role_handler("manager")
    assert handler.reads_private and not handler.reads_chats
    assert handler.wanted(timezone.now()) == {bot.id for bot in world.managers}
    assert handler.chats(talk.bot_id) == [world.chat]
    world.campaign.state = "finished"
    world.campaign.save()
    assert handler.wanted(timezone.now()) == {talk.bot_id}
    Conversation.objects.update(owner="none")
    CampaignManager.objects.all().delete()
    assert handler.wanted(timezone.now()) == {talk.bot_id}
    Bot.objects.filter(id=talk.bot_id).update(enabled=False)
    assert handler.wanted(timezone.now()) == set()


@pytest.mark.parametrize("author", ["bot", "service", "ours"])
def test_what_is_no_person_s_ends_no_conversation_and_begins_none(world, talk, author):
    own = next(manager for manager in world.managers if manager.id != talk.bot_id)
    facts = {"author": Author(author)} if author != "ours" else {"peer_id": own.telegram_user_id}
    Lead.objects.filter(id=talk.lead_id).update(telegram_user_id=facts.get("peer_id", 501))
    Conversation.objects.filter(id=talk.id).update(peer_id=facts.get("peer_id", 501))
    world.incoming(talk, "Stop", **facts)
    assert (talk.owner, texts(talk, "lead"), Suppression.objects.count()) == ("ai", [], 0)
