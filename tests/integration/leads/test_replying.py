"""An operator answers below the conversation, and an open page asks only for what changed."""

import html
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from bots.models import Delivery
from campaigns.models import Suppression
from leads.models import Conversation, Message
from leads.services.operators import conversation_take_over, operator_send
from leads.services.opt_out import opt_out
from panelkit.errors import NotPossible
from tests.integration.leads_world import World, texts

pytestmark = pytest.mark.django_db
IN_PLACE = {"Accept": "application/json"}


def url(conversation: Conversation, page: str) -> str:
    return reverse(f"admin:leads_conversation_{page}", args=[conversation.pk])


def send(client: Client, conversation: Conversation, text: str, *, key: Any = None, **fields: Any) -> Any:
    headers = fields.pop("headers", None)
    return client.post(url(conversation, "reply"), {"text": text, "key": key or uuid4(), **fields}, headers=headers)


def news(
    client: Client, conversation: Conversation, last: dict[str, Any] | None = None, **query: Any
) -> dict[str, Any]:
    return client.get(url(conversation, "live"), query).json()


def versions(answer: dict[str, Any]) -> str:
    return ",".join(part.split('data-version="')[1].split('"')[0] for part in answer["changed"].values())


def test_a_reply_is_sent_from_below_the_conversation(world: World, conversation: Conversation, admin_client: Client):
    conversation_take_over(conversation_id=conversation.id)
    answer = send(admin_client, conversation, "Hello, I am Olga.\r\nHow can I help?")
    assert answer.status_code == 302 and answer.url == url(conversation, "change") + "#reply"
    assert world.send_all() == 1
    assert texts(conversation, "operator") == ["Hello, I am Olga.\nHow can I help?"]
    shown = admin_client.get(url(conversation, "history")).content.decode()
    assert "Sent a message." in shown


def test_a_form_that_is_sent_twice_sends_one_message(conversation: Conversation, admin_client: Client):
    conversation_take_over(conversation_id=conversation.id)
    key = uuid4()
    for _ in range(2):
        assert send(admin_client, conversation, "Hello", key=key).status_code == 302
    assert Delivery.objects.filter(purpose="operator").count() == 1
    changed = send(admin_client, conversation, "Hello, again", key=key, headers=IN_PLACE).json()
    assert "this form has already sent “Hello”" in changed["refused"]
    assert "key" not in send(
        admin_client, conversation, "Hello, again", key=changed["key"], headers=IN_PLACE
    ).json().get("refused", "")
    assert texts(conversation, "operator") == ["Hello", "Hello, again"]


def test_where_the_ai_answers_sending_takes_over_and_the_page_says_so(
    world: World, conversation: Conversation, admin_client: Client
):
    queued = world.ai_sends(conversation)
    page = html.unescape(admin_client.get(url(conversation, "change")).content.decode())
    assert "Send and take over" in page and "If you send a message, you take the conversation over" in page
    assert (
        "Take the conversation over first" in send(admin_client, conversation, "Hi", headers=IN_PLACE).json()["refused"]
    )
    send(admin_client, conversation, "", take_over="1")
    conversation.refresh_from_db()
    assert conversation.owner == Conversation.Owner.AI, "a text that is refused takes nothing over"
    send(admin_client, conversation, "Hi", take_over="1")
    conversation.refresh_from_db()
    assert (conversation.owner, conversation.owner_reason) == ("human", "Taken over by admin.")
    assert Delivery.objects.get(message=queued).state == Delivery.State.CANCELLED
    assert world.send_all() == 1


def test_a_refused_text_comes_back_with_the_reason(conversation: Conversation, admin_client: Client):
    conversation_take_over(conversation_id=conversation.id)
    answer = send(admin_client, conversation, "🙂" * 2049)
    page = html.unescape(answer.content.decode())
    assert answer.status_code == 200
    assert "is 2 characters too long" in page and "🙂" * 2049 in page
    assert send(admin_client, conversation, "\r\n".join(["a" * 2047, "b" * 2048])).status_code == 302
    opt_out(lead_id=conversation.lead_id, source=Suppression.Source.OPERATOR)
    page = send(admin_client, conversation, "One more thing").content.decode()
    assert "This person asked not to be written to." in page and "One more thing" in page
    assert 'type="submit" class="panel-button' not in page


def test_a_key_of_another_conversation_sends_nothing_there(world: World, conversation: Conversation):
    other = world.conversation(telegram_user_id=502, username="other", message_id=79)
    for row in (conversation, other):
        conversation_take_over(conversation_id=row.id)
    sent = operator_send(conversation_id=conversation.id, text="Hello", message_id=uuid4())
    with pytest.raises(NotPossible) as refusal:
        operator_send(conversation_id=other.id, text="Hi", message_id=sent.pk)
    assert "Hello" not in str(refusal.value), "nor is its text quoted there"


def test_a_viewer_has_no_box_for_an_answer(conversation: Conversation, client: Client):
    viewer = User.objects.create_user("vera", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_conversation"))
    client.force_login(viewer)
    assert 'id="reply"' not in client.get(url(conversation, "change")).content.decode()
    assert send(client, conversation, "Hello", take_over="1").status_code == 403
    assert not Message.objects.filter(author="operator").exists()


def test_an_open_page_gets_what_changed_and_nothing_else(
    world: World, conversation: Conversation, admin_client: Client
):
    world.incoming(conversation, "How much?")
    first = news(admin_client, conversation)
    assert len(first["changed"]) == 2
    have = {"known": versions(first), "parts": first["version"]}
    same = news(admin_client, conversation, **have)
    assert (same["changed"], same["order"]) == ({}, []) and "parts" not in same
    question = Message.objects.get(text="How much?")
    Message.objects.filter(pk=question.pk).update(text="How much is it?", original_text="How much?")
    assert list(news(admin_client, conversation, **have)["changed"]) == [str(question.pk)]
    conversation_take_over(conversation_id=conversation.id, by="olga")
    reply = operator_send(conversation_id=conversation.id, text="5 euros")
    newer = news(admin_client, conversation, **have)
    assert set(newer["changed"]) == {str(question.pk), str(reply.pk)} and newer["order"][-1] == str(reply.pk)
    assert (
        "Taken over by olga." in newer["parts"]["conversation-head"]
        and "take_over" not in newer["parts"]["conversation-send"]
    )
    have = {"known": ",".join([have["known"], versions(newer)]), "parts": newer["version"]}
    Delivery.objects.filter(message=reply).update(state="refused", error="USER_PRIVACY_RESTRICTED")
    newest = news(admin_client, conversation, **have)
    assert list(newest["changed"]) == [str(reply.pk)]
    assert "privacy settings" in newest["parts"]["conversation-send"]


def test_an_open_page_gets_deletions_but_not_messages_that_newer_messages_pushed_out(
    conversation: Conversation, admin_client: Client
):
    def add(*numbers: int) -> None:
        rows = [
            Message(conversation=conversation, author="lead", text=f"{n}", telegram_message_id=5000 + n)
            for n in numbers
        ]
        Message.objects.bulk_create(rows)

    add(*range(60))
    first = news(admin_client, conversation)
    have = {"known": versions(first), "parts": first["version"]}
    add(*range(60, 80))
    later = news(admin_client, conversation, **have)
    assert (len(later["order"]), later["gone"], later["more"]) == (50, [], True)
    Message.objects.filter(conversation=conversation, text__in=["10", "30"]).delete()
    assert len(news(admin_client, conversation, **have)["gone"]) == 2
    conversation.messages.all().delete()
    nothing = news(admin_client, conversation, **have)
    assert (nothing["order"], len(nothing["gone"]), nothing["more"]) == ([], 50, False)


def test_the_queries_of_an_open_page_do_not_grow_with_the_conversation(
    conversation: Conversation, admin_client: Client
):
    def cost() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as queries:
            answer = news(admin_client, conversation)
        return len(queries), len(answer["changed"])

    news(admin_client, conversation)
    few, _ = cost()
    Message.objects.bulk_create(
        Message(conversation=conversation, author="lead", text=f"line {number}", telegram_message_id=5000 + number)
        for number in range(120)
    )
    assert cost() == (few, 50)
    earlier = admin_client.get(url(conversation, "live"), {"skip": 50}).json()
    assert "line 20" in earlier["messages"][0][1] and "line 69" in earlier["messages"][-1][1] and earlier["more"]
    last = admin_client.get(url(conversation, "live"), {"skip": 100}).json()
    assert len(last["messages"]) == 21 and not last["more"]
    plain = admin_client.get(url(conversation, "change"), {"shown": "100"}).content.decode()
    assert "line 20<" in plain and "line 19<" not in plain and "?shown=150" in plain
