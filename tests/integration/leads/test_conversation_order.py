"""A conversation's page shows the messages in the order of the chat, beginning with the hit."""

from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from bots.models import Delivery
from leads.models import Conversation, Lead, Message
from leads.person_data import LeadsPersonalData
from leads.services.operators import conversation_take_over, operator_send
from messaging.database import migrating
from privacy.person import Person
from tests.integration.leads_world import World, texts

pytestmark = pytest.mark.django_db

SECOND = datetime(2026, 11, 27, 12, tzinfo=UTC)


def within_one_second(world: World, conversation: Conversation) -> list[str]:
    """Write six questions and their answers; return all texts in order."""
    expected = texts(conversation)
    for number in range(6):
        world.incoming(conversation, f"question {number}")
        world.ai_sends(conversation, f"answer {number}")
        assert world.send_all() == 1
        expected += [f"question {number}", f"answer {number}"]
    Message.objects.update(at=SECOND)
    return expected


def page(client: Client, conversation: Conversation) -> str:
    return client.get(reverse("admin:leads_conversation_change", args=[conversation.pk])).content.decode()


def in_order(content: str, wanted: list[str]) -> bool:
    places = [content.find(text) for text in wanted]
    return -1 not in places and places == sorted(places)


def test_within_one_second_an_answer_is_shown_below_its_question(world: World, conversation: Conversation):
    expected = within_one_second(world, conversation)
    assert texts(conversation) == expected
    person = Person(501)
    assert [row["text"] for row in LeadsPersonalData().export(person)["messages"]] == expected


def test_what_is_still_to_be_sent_comes_last_and_what_was_not_sent_stays_where_it_was(
    world: World, conversation: Conversation
):
    world.incoming(conversation, "How much?")
    world.ai_sends(conversation, "not sent")
    conversation_take_over(conversation_id=conversation.id)
    operator_send(conversation_id=conversation.id, text="to be sent")
    world.incoming(conversation, "Hello?")
    assert texts(conversation)[1:] == ["How much?", "not sent", "Hello?", "to be sent"]
    assert world.send_all() == 1
    assert texts(conversation)[1:] == ["How much?", "not sent", "Hello?", "to be sent"]


def test_the_page_begins_with_the_message_that_was_the_hit(
    world: World, conversation: Conversation, admin_client: Client
):
    Lead.objects.update(message="Who sells tea here?", chat_id=-1001234567890, message_id=77)
    world.chat.title = "Tea drinkers"
    world.chat.telegram_id = -1001234567890
    world.chat.save()
    content = page(admin_client, conversation)
    assert in_order(
        content, ["Tea drinkers", "https://t.me/c/1234567890/77", "Who sells tea here?", texts(conversation)[0]]
    )


def test_of_a_long_conversation_the_page_shows_the_end(
    world: World, conversation: Conversation, admin_client: Client, monkeypatch: Any
):
    within_one_second(world, conversation)
    assert 'id="conversation-earlier" hidden' in page(admin_client, conversation)
    monkeypatch.setattr("leads.admin.conversation_page.SHOWN", 4)
    content = page(admin_client, conversation)
    assert 'id="conversation-earlier">' in content
    assert in_order(content, ["All messages", "question 4", "answer 4", "question 5", "answer 5"])
    assert "answer 3" not in content
    everything = reverse("admin:leads_message_changelist")
    listed = admin_client.get(everything, {"conversation__id__exact": str(conversation.pk)}).content.decode()
    assert "question 0" in listed


def test_messages_from_before_stand_below_what_they_answer(
    world: World, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
):
    """As the migration finds them."""
    world.incoming(conversation, "How much?", sent_at=SECOND)
    world.ai_sends(conversation, "not sent")
    conversation_take_over(conversation_id=conversation.id)
    Message.objects.filter(text="not sent").update(follows_message_id=None, at=SECOND)
    world.incoming(conversation, "Hello?")
    assert texts(conversation)[-1] == "not sent"
    statement = import_module("leads.migrations.0012_where_unsent_messages_stand").WHERE_UNSENT_ONES_STAND
    monkeypatch.setattr(migrating, "BATCH", 1)
    with connection.schema_editor() as editor:
        migrating.in_batches("leads_message", statement)(None, editor)
    assert texts(conversation)[-3:] == ["How much?", "not sent", "Hello?"]
    assert Delivery.objects.get(message__text="not sent").state == "cancelled"
