"""Edits and deletions by the lead are recorded and have the same effects as messages."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from bots.models import Bot, Cursor, Delivery
from campaigns.models import Suppression
from campaigns.suppressions.lookup import is_suppressed
from leads.llm.prompt import conversation_prompt
from leads.models import Conversation, Lead, LlmJob, Message
from leads.selectors import leads_unrecorded, messages_in_chat, received_since
from leads.services.incoming import message_record, messages_changed
from leads.services.operators import conversation_hand_back, conversation_take_over
from telegram.types import IncomingMessage, MessageNow
from tests.integration.leads_world import World, private_message

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
NAMES = {501: "tea_lover", 9: "somebody"}


def edit(conversation: Conversation, message: IncomingMessage, text: str, **facts: Any) -> None:
    change(conversation, MessageNow(None, message.message_id, text, **{"edited_at": NOON, **facts}))


def delete(conversation: Conversation, message: IncomingMessage) -> None:
    change(conversation, MessageNow(None, message.message_id, deleted=True))


def change(conversation: Conversation, now: MessageNow) -> None:
    assert messages_changed(bot_id=conversation.bot_id, changes=[now]) == []
    conversation.refresh_from_db()


def due(conversation: Conversation) -> list[int]:
    return list(LlmJob.objects.filter(conversation=conversation, state="due").values_list("epoch", flat=True))


def in_prompt(conversation: Conversation) -> list[str]:
    prompt = conversation_prompt(
        campaign=conversation.lead.campaign,
        hit_text=conversation.lead.message,
        messages=messages_in_chat(conversation_id=conversation.id),
    )
    return [str(turn.get("content")) for turn in prompt][2:]


@pytest.mark.parametrize("owner", ["ai", "human", "none"])
def test_a_message_edited_to_stop_is_a_stop(world: World, conversation: Conversation, owner: str):
    message = world.incoming(conversation, "ok")
    answer = world.ai_sends(conversation)
    Conversation.objects.update(owner=owner)
    edit(conversation, message, "STOP")
    assert answer.delivery is not None
    answer.delivery.refresh_from_db()
    assert is_suppressed(telegram_user_id=501)
    assert (conversation.owner, Lead.objects.get().state, answer.delivery.state) == ("none", "opted_out", "cancelled")
    recorded = Message.objects.get(author="lead")
    assert (recorded.text, recorded.original_text, recorded.edited_at) == ("STOP", "ok", NOON)


def test_a_stop_that_is_edited_away_or_deleted_stays_a_stop(world: World, conversation: Conversation):
    message = world.incoming(conversation, "stop")
    edit(conversation, message, "go on")
    delete(conversation, message)
    assert is_suppressed(telegram_user_id=501) and conversation.owner == "none"


def test_a_stop_by_edit_counts_though_the_message_is_gone_already(world: World, conversation: Conversation):
    message = world.incoming(conversation, "ok")
    delete(conversation, message)
    edit(conversation, message, "STOP")
    assert is_suppressed(telegram_user_id=501)


def test_before_the_answer_an_edit_is_what_is_answered(world: World, conversation: Conversation):
    message = world.incoming(conversation, "How much?")
    answer = world.ai_sends(conversation)
    edit(conversation, message, "How much is green tea?")
    assert due(conversation) == [2] and in_prompt(conversation) == ["How much is green tea?"]
    assert world.send_all() == 0
    assert answer.delivery is not None
    answer.delivery.refresh_from_db()
    assert answer.delivery.state == "refused"
    world.ai_sends(conversation, "Five euros.")
    assert world.send_all() == 1


def test_after_the_answer_an_edit_is_recorded_and_not_answered_again(world: World, conversation: Conversation):
    message = world.incoming(conversation, "How much?")
    LlmJob.objects.update(state="done")
    world.ai_sends(conversation)
    assert world.send_all() == 1
    edit(conversation, message, "How much is it?")
    assert (
        due(conversation) == []
        and conversation.epoch == 1
        and in_prompt(conversation) == ["How much is it?", "An answer"]
    )
    edit(conversation, message, "Please stop writing to me", edited_at=NOON + timedelta(seconds=1))
    assert is_suppressed(telegram_user_id=501)


def test_while_an_answer_is_leaving_an_edit_is_late(world: World, conversation: Conversation):
    message = world.incoming(conversation, "How much?")
    LlmJob.objects.update(state="done")
    world.ai_sends(conversation)
    leaving = world.claimed()
    edit(conversation, message, "How much is it?")
    assert due(conversation) == []
    world.sent(leaving)


def test_an_edit_that_is_known_changes_nothing(world: World, conversation: Conversation):
    message = world.incoming(conversation, "How much?")
    for _ in range(2):
        edit(conversation, message, "How much is tea?")
    assert (conversation.epoch, due(conversation)) == (2, [2])


def test_an_older_edit_that_comes_late_changes_nothing_and_a_later_edit_of_the_same_second_does(
    world: World, conversation: Conversation
):
    message = world.incoming(conversation, "one")
    edit(conversation, message, "three")
    edit(conversation, message, "two", edited_at=NOON - timedelta(seconds=1))
    assert Message.objects.get(author="lead").text == "three"
    edit(conversation, message, "four")
    assert Message.objects.get(author="lead").text == "four"


def test_a_message_that_was_read_edited_is_not_taken_back_by_an_older_edit(world: World, conversation: Conversation):
    message = world.incoming(conversation, "three", edited_at=NOON)
    edit(conversation, message, "two", edited_at=NOON - timedelta(seconds=1))
    assert Message.objects.get(author="lead").text == "three"


def test_reactions_are_no_edits(world: World, conversation: Conversation):
    message = world.incoming(conversation, "How much?")
    change(conversation, MessageNow(None, message.message_id, reactions="👍 1"))
    edit(conversation, message, "How much?")
    assert conversation.epoch == 1 and Message.objects.get(author="lead").edited_at is None


def test_when_every_unanswered_message_is_deleted_the_llm_is_not_asked(world: World, conversation: Conversation):
    first, second = world.incoming(conversation, "How much?"), world.incoming(conversation, "And when?")
    delete(conversation, first)
    assert len(due(conversation)) == 1 and in_prompt(conversation) == ["And when?"]
    delete(conversation, second)
    assert due(conversation) == [] and in_prompt(conversation) == []
    assert Message.objects.filter(author="lead", deleted_at__isnull=False).count() == 2


def test_an_answer_to_a_deleted_question_is_not_sent(world: World, conversation: Conversation):
    message = world.incoming(conversation, "How much?")
    LlmJob.objects.update(state="done")
    world.ai_sends(conversation)
    delete(conversation, message)
    assert world.send_all() == 0 and due(conversation) == [] and conversation.owner == "ai"


def test_what_the_ai_need_not_answer_may_be_deleted(world: World, conversation: Conversation):
    message = world.incoming(conversation, "Thanks")
    LlmJob.objects.update(state="done", action="wait")
    delete(conversation, message)
    assert due(conversation) == [] and conversation.epoch == 1


def test_a_deleted_message_is_not_what_the_ai_answers_when_it_gets_the_conversation_back(
    world: World, conversation: Conversation
):
    conversation_take_over(conversation_id=conversation.id)
    message = world.incoming(conversation, "How much?")
    delete(conversation, message)
    conversation_hand_back(conversation_id=conversation.id)
    assert due(conversation) == []


def test_what_we_sent_is_in_the_prompt_as_it_stands_in_the_chat(world: World, conversation: Conversation):
    world.incoming(conversation, "How much?")
    for text in ("5 euros", "A slip"):
        world.ai_sends(conversation, text)
    world.send_all()
    Delivery.objects.filter(message__text="A slip").update(deleted_at=NOON)
    Delivery.objects.filter(message__text="5 euros").update(edited_text="6 euros")
    assert in_prompt(conversation) == ["How much?", "6 euros"]


def test_a_change_of_another_message_is_given_back(world: World, conversation: Conversation):
    message = world.incoming(conversation, "How much?")
    other = MessageNow(None, 999_999, "stop", NOON)
    same_number = MessageNow(None, message.message_id, "stop", NOON)
    assert messages_changed(bot_id=conversation.bot_id, changes=[other]) == [other]
    assert messages_changed(bot_id=world.parser.id, changes=[same_number]) == [same_number]
    assert not is_suppressed(telegram_user_id=501)


@pytest.mark.parametrize("known_by", ["id", "name"])
@pytest.mark.parametrize("owner", ["ai", "human", "none"])
def test_an_edit_to_stop_counts_for_an_account_that_has_no_record_of_the_message(
    world: World, conversation: Conversation, owner: str, known_by: str
):
    Conversation.objects.update(owner=owner)
    if known_by == "name":
        Lead.objects.update(telegram_user_id=None)
    now = MessageNow(None, 9, "STOP", NOON, from_user_id=501, from_username="tea_lover")
    # It may be recorded a moment later.
    assert messages_changed(bot_id=other_than(conversation, world).id, changes=[now]) == [now]
    assert is_suppressed(telegram_user_id=501) and Suppression.objects.get().source == "words"
    conversation.refresh_from_db()
    assert (conversation.owner, Lead.objects.get().state) == ("none", "opted_out")


def test_an_edit_to_stop_of_a_message_from_before_the_conversation_counts(world: World, conversation: Conversation):
    messages_changed(bot_id=conversation.bot_id, changes=[MessageNow(None, 9, "STOP", NOON, from_user_id=501)])
    assert is_suppressed(telegram_user_id=501)


def test_other_edits_and_strangers_are_left_alone(world: World, conversation: Conversation):
    for user_id, text in ((501, "go on"), (9, "STOP"), (None, "STOP")):
        now = MessageNow(None, 9, text, NOON, from_user_id=user_id)
        messages_changed(bot_id=other_than(conversation, world).id, changes=[now])
    assert not Suppression.objects.exists()


def test_the_chats_of_leads_with_another_account_are_looked_through(world: World, conversation: Conversation):
    other = other_than(conversation, world)
    Lead.objects.update(telegram_user_id=None)
    for bot, peer in ((other, 501), (other, 9), (conversation.bot, 501)):
        Cursor.objects.create(bot=bot, peer_id=peer, last_message_id=4)
        hello = private_message(peer_id=peer, from_user_id=peer, message_id=4, text="ok", from_username=NAMES[peer])
        message_record(bot_id=bot.id, message=hello)
    now = timezone.now()

    def found(bot: Bot, since: datetime) -> list[int]:
        return leads_unrecorded(bot_id=bot.id, since=since, most=9)

    assert found(other, now - timedelta(days=1)) == [501]
    assert found(other, now + timedelta(days=1)) == found(conversation.bot, now - timedelta(days=1)) == []


def other_than(conversation: Conversation, world: World) -> Bot:
    return next(bot for bot in world.managers if bot != conversation.bot)


def test_what_is_looked_at_again_is_what_others_wrote_lately(world: World, conversation: Conversation):
    old = world.incoming(conversation, "old", sent_at=NOON - timedelta(days=8))
    new, gone = world.incoming(conversation, "new"), world.incoming(conversation, "gone")
    delete(conversation, gone)
    world.ai_sends(conversation)
    world.send_all()
    assert received_since(bot_id=conversation.bot_id, since=NOON - timedelta(days=7), most=9) == [new.message_id]
    assert received_since(bot_id=conversation.bot_id, since=NOON - timedelta(days=9), most=9) == [
        new.message_id,
        old.message_id,
    ]
