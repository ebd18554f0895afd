"""The ledger's page: found by its filters, told as a story, cancelled in numbers, never deleted."""

import html
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db.models import ProtectedError
from django.test import Client
from django.urls import reverse

from bots.admin import cancelling as pages
from bots.deliveries.cancelling import cancellations_advance
from bots.deliveries.timeline import note
from bots.models import Delivery, DeliveryEvent, MassCancellation
from campaigns.models import Purpose
from messaging.database.clock import database_clock
from tests.integration import ledger

pytestmark = pytest.mark.django_db
State = Delivery.State
LIST = "admin:bots_delivery_changelist"


@pytest.fixture
def panel() -> Client:
    ledger.noting_origin()
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


# Longer than any number that a random key has by chance.
PEER = 7_700_770_077


class Two:
    """Two deliveries that differ in everything that can be filtered by."""

    def __init__(self) -> None:
        first = (ledger.make_bot(), ledger.make_campaign(), ledger.make_chat())
        self.line = ledger.queue_line(*first, "Is it late for tulips?")
        self.reply = ledger.queue_message(ledger.make_bot(), ledger.make_campaign(), PEER, "Come by!")
        sent = {"state": State.SENT, "sent_at": ledger.START, "telegram_message_id": 5, "deleted_at": ledger.START}
        due = ledger.START + timedelta(days=30)
        Delivery.objects.filter(pk=self.reply.pk).update(**sent, due_at=due, reactions="❤ 1", edited_at=ledger.START)
        Delivery.objects.filter(pk=self.line.pk).update(waiting_reason="Quiet hours.")


def found(panel: Client, **query: Any) -> set[str]:
    answer = panel.get(reverse(LIST), query)
    assert answer.status_code == 200
    return {delivery.text for delivery in answer.context["cl"].queryset}


def test_deliveries_are_filtered_by_all_filters(panel: Client):
    two = Two()
    line, reply = {two.line.text}, {two.reply.text}
    for delivery, only in ((two.line, line), (two.reply, reply)):
        assert found(panel, bot__id__exact=delivery.bot_id) == only
        assert found(panel, campaign__id__exact=delivery.campaign_id) == only
        assert found(panel, purpose__exact=delivery.purpose) == only
    assert found(panel, chat__id__exact=two.line.chat_id) == line
    assert found(panel, state__exact=State.QUEUED) == line
    assert found(panel, state__exact=State.SENT) == reply
    assert found(panel, waiting="yes") == line
    assert found(panel, waiting="no") == reply
    for afterwards in ("edited", "deleted", "reacted"):
        assert found(panel, afterwards=afterwards) == reply
    day = f"{ledger.START + timedelta(days=30):%Y-%m-%d}"
    times = {"due_at_from_0": day, "due_at_from_1": "00:00:00", "due_at_to_0": day, "due_at_to_1": "23:59:59"}
    assert found(panel, **times) == reply
    assert found(panel, q="tulips") == line
    assert found(panel, q=str(PEER)) == reply
    assert found(panel, bot__id__exact=two.line.bot_id, state__exact=State.SENT) == set()


def test_the_filters_are_on_the_page(panel: Client):
    Two()
    shown = panel.get(reverse(LIST)).content.decode()
    for title in (
        "By state",
        "By waiting",
        "By purpose",
        "By campaign",
        "By account",
        "By chat",
        "By due at",
        "By changes after sending",
    ):
        assert title.lower() in shown.lower(), title


def page(panel: Client, row: Any) -> str:
    meta = row._meta
    answer = panel.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk]))
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_a_deliverys_page_shows_its_timeline(panel: Client):
    two = Two()
    for _ in range(3):
        note(DeliveryEvent.Kind.WAITED, {two.reply.pk: "Quiet hours."})
    Delivery.objects.filter(pk=two.reply.pk).update(edited_text="Come by at six!")
    now = database_clock()
    note(DeliveryEvent.Kind.EDITED, {two.reply.pk: "Come by at six!"}, at=now + timedelta(minutes=1))
    Delivery.objects.filter(pk=two.reply.pk).update(sent_at=now, counted_at=now, lease_epoch=3)
    text = page(panel, two.reply)
    where = [
        text.index(part)
        for part in ("Created", "Quiet hours.", "under epoch 3", "message 5", "Result reported", "Edited in the chat")
    ]
    assert where == sorted(where)
    assert "3 times, last" in text
    assert "❤ 1" in text


def asked(panel: Client, path: str, **data: Any) -> dict[str, Any]:
    """The confirmation's page; returns the form's hidden fields."""
    answer = panel.post(path, data) if data else panel.get(path)
    assert answer.status_code == 200
    assert not MassCancellation.objects.exists()
    fields: dict[str, Any] = {}
    for name, value in answer.context["hidden"]:
        fields.setdefault(name, []).append(value)
    return {"page": html.unescape(answer.content.decode()), "fields": fields}


def test_some_are_cancelled_after_their_number_was_shown(panel: Client):
    place = (ledger.make_bot(), ledger.make_campaign(), ledger.make_chat())
    rows = [ledger.queue_line(*place, f"line {number}") for number in range(4)]
    ticked = {"action": "cancel_selected", "_selected_action": [str(row.pk) for row in rows[:3]]}
    form = asked(panel, reverse(LIST), **ticked)
    assert "3 queued messages will not be sent." in form["page"]
    answer = panel.post(reverse(LIST), form["fields"])
    order = MassCancellation.objects.get()
    assert answer.status_code == 302 and answer["Location"].endswith(f"/masscancellation/{order.pk}/change/")
    assert (order.by, order.what, order.total, order.cancelled) == ("olga", "3 deliveries selected by hand", 3, 3)
    assert [Delivery.objects.get(pk=row.pk).state for row in rows] == ["cancelled"] * 3 + ["queued"]
    assert LogEntry.objects.filter(object_id=str(order.pk)).exists()
    assert LogEntry.objects.filter(change_message__contains=str(order)).count() == 3
    assert "3 of 3 deliveries processed" in page(panel, order)


@pytest.mark.parametrize("way", ["button", "select all"])
def test_all_that_match_the_filters_are_cancelled_in_the_background_when_they_are_many(
    panel: Client, way: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pages, "AT_ONCE", 5)
    two = Two()
    place = (ledger.make_bot(), two.line.campaign, ledger.make_chat())
    for number in range(60):
        ledger.queue_line(*place, f"line {number}")
    other = ledger.queue_line(*(place[0], ledger.make_campaign(), place[2]))
    query = f"?campaign__id__exact={two.line.campaign_id}"
    if way == "button":
        target = reverse("admin:bots_delivery_cancel") + query
        form = asked(panel, target)
    else:
        target = reverse(LIST) + query
        across = {"action": "cancel_selected", "select_across": "1", "_selected_action": [str(two.line.pk)]}
        form = asked(panel, target, **across)
    assert "61 queued messages will not be sent." in form["page"]
    # Queued while the operator reads: not among the number that was shown.
    late = ledger.queue_line(*place, "late")
    Delivery.objects.filter(pk=late.pk).update(created_at=late.created_at + timedelta(hours=1))
    assert panel.post(target, form["fields"]).status_code == 302
    order = MassCancellation.objects.get()
    assert (order.total, order.position, order.state) == (61, 0, "running")
    assert order.what == f'all deliveries with campaign "{two.line.campaign.name}"'
    cancellations_advance()
    order.refresh_from_db()
    assert (order.state, order.cancelled) == ("done", 61)
    assert Delivery.objects.filter(state=State.QUEUED).count() == 2
    assert {Delivery.objects.get(pk=delivery.pk).state for delivery in (other, late)} == {"queued"}
    assert found(panel, q=order.reason) == {"Is it late for tulips?", *(f"line {number}" for number in range(60))}


def test_the_button_counts_what_can_be_cancelled(panel: Client):
    two = Two()
    assert "Cancel all 1 queued deliveries in this list…" in panel.get(reverse(LIST)).content.decode()
    only_sent = panel.get(reverse(LIST), {"bot__id__exact": str(two.reply.bot_id)}).content.decode()
    assert "Cancel all" not in only_sent and two.reply.text in only_sent


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"purpose__exact": "script"}, 'purpose "Script"'),
        ({"state__exact": "queued", "waiting": "yes", "q": "tulips"}, 'state "Queued", waiting "yes", text "tulips"'),
        (
            {"due_at_from_0": "2024-01-01", "due_at_from_1": "00:00:00", "o": "1", "all": ""},
            'due at from "2024-01-01 00:00:00"',
        ),
        ({}, ""),
    ],
)
def test_a_cancellation_describes_its_selection(panel: Client, query: dict[str, str], words: str):
    Two()
    target = f"{reverse('admin:bots_delivery_cancel')}?{urlencode(query)}"
    form = asked(panel, target)
    panel.post(target, form["fields"])
    assert MassCancellation.objects.get().what == f"all deliveries{words and f' with {words}'}"


def test_the_confirmation_shows_what_cannot_be_cancelled(panel: Client):
    two = Two()
    Delivery.objects.filter(pk=two.line.pk).update(state=State.SENDING)
    text = asked(panel, reverse("admin:bots_delivery_cancel"))["page"]
    assert "None of these deliveries is queued." in text
    assert "1 message is being sent now and cannot be cancelled." in text
    assert "1 delivery has a final state already" in text


def test_a_confirmation_without_its_time_is_shown_again(panel: Client):
    two = Two()
    for until in ("", "yesterday", "2026-13-45T00:00", "2026-01-01T00:00:00"):
        answer = panel.post(reverse("admin:bots_delivery_cancel"), {"_confirmed": "1", "until": until})
        assert answer.status_code == 200
    two.line.refresh_from_db()
    assert two.line.state == State.QUEUED


def test_users_who_may_only_view_cancel_nothing(panel: Client):
    two = Two()
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client = Client()
    client.force_login(reader)
    assert "Cancel all" not in client.get(reverse(LIST)).content.decode()
    assert client.get(reverse("admin:bots_delivery_cancel")).status_code == 403
    ticked = {"action": "cancel_selected", "_selected_action": [str(two.line.pk)], "_confirmed": "1"}
    client.post(reverse(LIST), ticked)
    two.line.refresh_from_db()
    assert two.line.state == State.QUEUED
    assert not MassCancellation.objects.exists()


def test_the_question_names_the_message_and_its_way_back_is_no_second_cancel(panel: Client):
    campaign, bot = ledger.make_campaign(), ledger.make_bot(display_name="Anna")
    line = ledger.queue_line(bot, campaign, ledger.make_chat(title="Tulips"))
    facts = {"purpose": Purpose.FIRST_CONTACT, "peer_username": "petra"}
    contact = ledger.queue_message(bot, campaign, None, "Hello", **facts)
    for row, name in ((line, "Script by Anna to Tulips"), (contact, "First Contact by Anna to @petra")):
        asks = panel.get(reverse("admin:bots_delivery_operate", args=[row.pk, "cancel"])).content.decode()
        assert f"<li>{name}</li>" in asks
        assert len(re.findall(r"\bCancel\s*</(?:a|button)>", asks)) == 1
        assert len(re.findall(r"\bBack\s*</a>", asks)) == 1


def test_many_messages_are_named_without_a_query_for_each(panel: Client, django_assert_max_num_queries: Any):
    campaign = ledger.make_campaign()
    rows = [ledger.queue_line(ledger.make_bot(), campaign, ledger.make_chat()) for _ in range(30)]
    ticked = {"action": "do_not_said", "_selected_action": [str(row.pk) for row in rows]}
    with django_assert_max_num_queries(25):
        asks = panel.post(reverse(LIST), ticked).content.decode()
    assert asks.count("<li>Script by bot-") == 20


@pytest.mark.parametrize("model", [Delivery, DeliveryEvent, MassCancellation])
def test_the_panel_deletes_adds_and_changes_nothing_of_the_ledger(panel: Client, model: Any):
    two = Two()
    note(DeliveryEvent.Kind.WAITED, {two.line.pk: "Quiet hours."})
    MassCancellation.objects.create(by="olga", what="all", delivery_ids=[two.line.pk], total=1)
    row = model.objects.first()
    name = f"admin:bots_{model._meta.model_name}"
    answer = panel.get(reverse(f"{name}_changelist"))
    actions = dict(admin.site._registry[model].get_actions(answer.wsgi_request))
    assert "delete_selected" not in actions
    assert panel.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert panel.get(reverse(f"{name}_add")).status_code == 403
    selected = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    panel.post(reverse(f"{name}_changelist"), selected)
    assert panel.post(reverse(f"{name}_change", args=[row.pk]), {"text": "Another"}).status_code == 403
    assert model.objects.filter(pk=row.pk).exists()
    two.line.refresh_from_db()
    assert two.line.text == "Is it late for tulips?"


@pytest.mark.parametrize("owner", ["bot", "campaign", "chat"])
def test_nothing_that_a_delivery_belongs_to_takes_it_along(panel: Client, owner: str):
    two = Two()
    row = getattr(two.line, owner)
    with pytest.raises(ProtectedError):
        row.delete()
    panel.post(reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_delete", args=[row.pk]), {"post": "yes"})
    assert Delivery.objects.filter(pk=two.line.pk).exists()
    assert two.line.purpose == Purpose.SCRIPT
