"""A conversation's page shows its messages in the order of the chat, which begins with the hit."""

import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from bots.models import Delivery
from leads.models import Message
from leads.services.operators import operator_send

pytestmark = pytest.mark.django_db

HIT = "Where do you buy tea?"


@pytest.fixture
def panel() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


def shown(panel: Client, conversation) -> list[str]:
    page = panel.get(reverse("admin:leads_conversation_change", args=(conversation.pk,))).content.decode()
    return [text.strip() for text in re.findall(r'<div class="panel-message-text">(.*?)</div>', page, re.DOTALL)]


def in_one_second() -> None:
    """Telegram tells whole seconds, and the answers' own times may be before them."""
    first = Message.objects.order_by("at")[0]
    Message.objects.update(at=first.at)


def test_an_answer_of_the_same_second_stands_below_what_it_answers(world, conversation, panel):
    opening = Message.objects.get().text
    expected = []
    for number in range(4):
        world.incoming(conversation, f"question {number}")
        world.ai_sends(conversation, f"answer {number}")
        assert world.send_all() == 1
        expected += [f"question {number}", f"answer {number}"]
        in_one_second()
    assert shown(panel, conversation) == [HIT, opening, *expected]
    rows = panel.get(reverse("admin:leads_conversation_changelist")).context["cl"].queryset
    assert [row.newest for row in rows] == ["answer 3"]


def test_what_was_not_sent_stands_after_what_it_answers(world, conversation, panel):
    opening = Message.objects.get().text
    world.incoming(conversation, "one")
    unsent = world.ai_sends(conversation, "never sent")
    world.incoming(conversation, "two")
    assert world.send_all() == 0
    in_one_second()
    assert unsent.delivery is not None
    unsent.delivery.refresh_from_db()
    assert unsent.delivery.state == Delivery.State.REFUSED
    assert shown(panel, conversation) == [HIT, opening, "one", "never sent", "two"]


def test_a_conversation_of_which_nothing_was_sent_is_shown(world, panel):
    world.receive()
    message = Message.objects.get()
    assert shown(panel, message.conversation) == [HIT, message.text]


def test_a_message_says_that_it_waits_and_when_it_was_sent(world, conversation, panel):
    world.incoming(conversation, "one")
    operator_send(conversation_id=conversation.pk, text="two", message_id=uuid4(), take_over_by="olga")
    ours = Message.objects.get(text="two")

    def head() -> str:
        page = panel.get(reverse("admin:leads_conversation_change", args=(conversation.pk,))).content.decode()
        found = re.search(rf'id="message-{ours.pk}"(.*?)panel-message-text', page, re.DOTALL)
        assert found is not None
        return found[1]

    assert "Queued" in head() and "data-settled" not in head()
    assert world.send_all() == 1
    sent_at = Delivery.objects.get(message=ours).sent_at
    assert sent_at is not None
    assert f"· sent {sent_at:%H:%M}" in head() and "data-settled" in head()


def test_the_button_of_an_opt_out_is_a_verb(conversation, panel):
    page = panel.get(reverse("admin:leads_lead_change", args=(conversation.lead_id,))).content.decode()
    assert "Mark as opted out" in page
