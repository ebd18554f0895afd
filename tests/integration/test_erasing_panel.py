"""The buttons about a person on the pages of leads and conversations."""

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

import coolthing_site.urls  # noqa: F401  It registers the pages.
from bots.models import Delivery
from campaigns.errors import NotPossible
from campaigns.models import Suppression
from campaigns.people import person_erase
from leads.models import Conversation, Lead
from messaging.persons import Person
from tests.integration.leads_world import make_world
from tests.integration.person_world import ID, NAME, WORDS, fill, search

pytestmark = pytest.mark.django_db


@pytest.fixture
def talk() -> Conversation:
    return fill(make_world())


@pytest.fixture
def client(talk) -> Client:
    client = Client()
    client.force_login(User.objects.get(username="olga"))
    return client


def url(row: Model, name: str, *more: str) -> str:
    return reverse(f"admin:leads_{row._meta.model_name}_{name}", args=[row.pk, *more])


@pytest.mark.parametrize("page", ["lead", "conversation"])
def test_an_erasure_asks_first_names_nobody_afterwards_and_is_on_record(client, talk, page):
    row = talk if page == "conversation" else talk.lead
    assert "Erase the person" in client.get(url(row, "change")).content.decode()
    asked = client.get(url(row, "operate", "erase")).content.decode()
    assert "erased for good" in asked and Lead.objects.filter(telegram_user_id=ID).exists()
    answer = client.post(url(row, "operate", "erase"), follow=True)
    assert answer.status_code == 200 and f"This {page} is erased" in answer.content.decode()
    assert NAME not in answer.content.decode()
    assert search(NAME, WORDS) == []
    kept = LogEntry.objects.get(object_id=str(Suppression.objects.exclude(person_hash="").get().pk))
    assert kept.object_repr == "an erased person" and kept.get_change_message().startswith("Erased: ")


def test_while_a_message_is_leaving_the_page_says_so(client, talk):
    Delivery.objects.filter(peer_id=ID).update(state="sending")
    answer = client.post(url(talk, "operate", "erase"), follow=True).content.decode()
    assert "are leaving at this moment" in answer and Conversation.objects.filter(pk=talk.pk).exists()


@pytest.mark.parametrize("page", ["lead", "conversation"])
def test_what_is_held_is_a_download(client, talk, page):
    row = talk if page == "conversation" else talk.lead
    answer = client.get(url(row, "person"))
    assert "attachment" in answer.headers["Content-Disposition"]
    assert json.loads(answer.content)["telegram_user_id"] == ID


def test_whoever_may_not_look_gets_nothing_and_whoever_may_only_look_erases_nothing(talk):
    stranger = Client()
    stranger.force_login(User.objects.create_user("reader", is_staff=True))
    assert stranger.get(url(talk, "person")).status_code == 403
    assert stranger.post(url(talk, "operate", "erase")).status_code == 403


def test_an_account_of_the_team_is_nobody_to_erase(talk):
    with pytest.raises(NotPossible, match="an account of the team"):
        person_erase(Person(talk.bot.telegram_user_id))
    assert not Suppression.objects.filter(telegram_user_id=talk.bot.telegram_user_id).exists()
