"""The page and the command of the gate preview."""

import re
from html import unescape
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from bots.admin.gate_preview import LABEL, preview_url
from bots.models import Delivery
from campaigns.models import Purpose, Suppression
from campaigns.services import campaign_pause
from tests.integration import ledger
from tests.integration.leads_world import make_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def panel() -> Client:
    ledger.noting_origin()
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


@pytest.fixture
def line() -> dict[str, Any]:
    return {"campaign": ledger.make_campaign(), "bot": ledger.make_bot(), "chat": ledger.make_chat()}


def ids(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: row.pk for name, row in facts.items()}


def text(answer: Any) -> str:
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def change_url(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def test_the_page_of_each_object_leads_to_the_preview_with_itself_filled_in(panel: Client, line: dict[str, Any]):
    for name, row in line.items():
        assert LABEL in text(panel.get(change_url(row)))
        question = text(panel.get(preview_url(**{name: row.pk})))
        assert f'<option value="{row.pk}" selected' in question
        assert 'id="answer"' not in question


def test_the_page_of_a_person_leads_to_the_preview_about_them(panel: Client):
    conversation = make_world().conversation()
    for row in (conversation, conversation.lead):
        assert LABEL in text(panel.get(change_url(row)))
    asked = parse_qs(urlsplit(preview_of(panel, conversation)).query)
    assert asked["campaign"] == [str(conversation.lead.campaign_id)] and asked["bot"] == [str(conversation.bot_id)]
    assert asked["person"] == [str(conversation.lead.telegram_user_id)] and asked["purpose"] == ["reply"]
    assert 'id="answer"' in text(panel.get(preview_of(panel, conversation)))


def preview_of(panel: Client, row: Any) -> str:
    found = re.search(r'href="(/admin/bots/delivery/ask/[?][^"]*)"', text(panel.get(change_url(row))))
    assert found is not None
    return found.group(1)


def test_a_complete_url_shows_the_preview(panel: Client, line: dict[str, Any]):
    url = preview_url(**ids(line), purpose=Purpose.SCRIPT.value)
    assert "Allow: the message may be sent now." in text(panel.get(url))
    campaign_pause(campaign_id=line["campaign"].pk)
    assert f"Wait: Campaign “{line['campaign']}” is paused." in text(panel.get(url))
    assert Delivery.objects.count() == 0


@pytest.mark.parametrize("person", ["7", "@maria", "Maria"])
def test_a_first_contact_is_previewed_with_its_text(panel: Client, line: dict[str, Any], person: str):
    question = {**ids(line), "chat": "", "person": person, "purpose": Purpose.FIRST_CONTACT.value}
    said = {"text": ledger.DISCLOSED}
    assert "Allow: the message may be sent now." in text(panel.post(preview_url(), {**question, **said}))
    assert "Refuse: A first message must say" in text(panel.post(preview_url(), {**question, "text": "Buy!"}))
    known = {"telegram_user_id": 7} if person == "7" else {"username": "maria"}
    Suppression.objects.create(**known, source=Suppression.Source.OPERATOR)
    answer = text(panel.post(preview_url(), {**question, **said}))
    assert "Refuse: This person asked not to" in answer
    # A username alone does not show who has it now.
    assert ("Before sending, the account asks Telegram who has this username." in answer) is (person != "7")
    assert Delivery.objects.count() == 0


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"chat": ""}, "Choose either a chat or a person."),
        ({"person": "7"}, "Choose either a chat or a person."),
        ({"chat": "", "person": "7"}, "Choose the chat in which the script plays."),
        ({"purpose": "first_contact"}, "Enter the person who gets the first contact."),
        ({"bot": ""}, "required"),
        (
            {"chat": "", "purpose": "reply", "person": "foo bar"},
            '"foo bar" is neither a person\'s Telegram id nor a username.',
        ),
        (
            {"chat": "", "purpose": "reply", "person": "-100123"},
            '"-100123" is neither a person\'s Telegram id nor a username.',
        ),
    ],
)
def test_an_incomplete_form_shows_no_preview(
    panel: Client, line: dict[str, Any], changed: dict[str, Any], problem: str
):
    page = text(panel.post(preview_url(), {**ids(line), "person": "", "purpose": "script", **changed}))
    assert problem in page and 'id="answer"' not in page


def test_page_and_command_refuse_the_recorded_username_of_a_suppressed_person(panel: Client, line):
    make_world().receive(telegram_user_id=501, username="sveta_lebed")
    Suppression.objects.create(telegram_user_id=501, source=Suppression.Source.WORDS)
    page = text(panel.post(preview_url(), {**ids(line), "chat": "", "person": "@sveta_lebed", "purpose": "reply"}))
    assert "Refuse: This person asked not to" in page and "Allow" not in page
    assert "According to our records, this is the username of person 501." in page
    who = ("--person", "@sveta_lebed", "--campaign", line["campaign"].slug, "--bot", line["bot"].key)
    verdict, note = ask(*who).splitlines()
    assert verdict == "Refuse: This person asked not to be written to." and note.startswith("According to our records")


def test_a_queued_delivery_is_previewed_from_its_page(panel: Client, line: dict[str, Any]):
    delivery = ledger.queue_line(line["bot"], line["campaign"], line["chat"])
    url = reverse("admin:bots_delivery_preview_queued", args=[delivery.pk])
    assert url in text(panel.get(change_url(delivery)))
    assert "Allow: the message may be sent now." in text(panel.get(url))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.counted_at) == (Delivery.State.QUEUED, None)
    Delivery.objects.filter(pk=delivery.pk).update(state=Delivery.State.CANCELLED)
    assert url not in text(panel.get(change_url(delivery)))
    assert "This delivery is no longer queued. Its state is now “Cancelled”." in text(panel.get(url))


def test_only_users_who_may_view_deliveries_may_preview(line: dict[str, Any]):
    client, visitor = Client(), User.objects.create_user("ivan", is_staff=True)
    client.force_login(visitor)
    assert client.get(preview_url()).status_code == 403
    assert client.post(preview_url(), ids(line)).status_code == 403
    visitor.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    assert client.get(preview_url()).status_code == 200


def ask(*argv: str) -> str:
    out = StringIO()
    call_command("gate_check", *argv, stdout=out)
    return out.getvalue()


def test_the_command_previews_by_names(line: dict[str, Any]):
    ledger.noting_origin()
    common = ("--campaign", line["campaign"].slug, "--bot", line["bot"].key)
    assert ask(*common, "--chat", line["chat"].key) == "Allow: the message may be sent now.\n"
    first = (*common, "--person", "@maria", "--purpose", "first_contact", "--text")
    allowed, note = ask(*first, ledger.DISCLOSED).splitlines()
    assert allowed == "Allow: the message may be sent now." and note.startswith("Before sending, the account asks")
    assert ask(*first, "Buy!").startswith("Refuse: A first message must say")
    campaign_pause(campaign_id=line["campaign"].pk)
    delivery = ledger.queue_line(line["bot"], line["campaign"], line["chat"])
    assert ask(str(delivery.pk)) == f"Wait: Campaign “{line['campaign']}” is paused.\n"


def test_the_command_reports_what_it_does_not_know(line: dict[str, Any]):
    known = ("--campaign", line["campaign"].slug, "--bot", line["bot"].key)
    for argv, problem in (
        (("--campaign", "nowhere", *known[2:], "--chat", "x"), 'no campaign is called "nowhere"'),
        ((*known, "--chat", "nowhere"), 'no chat is called "nowhere"'),
        (known, "give either --chat or --person"),
        ((*known, "--person", "foo bar"), '"foo bar" is neither a person.s Telegram id nor a username.'),
        ((), "give a delivery's id, or --campaign and --bot with --chat or --person"),
        ((str(line["bot"].pk),), "is not queued"),
    ):
        with pytest.raises(CommandError, match=problem):
            ask(*argv)
