"""The buttons about a person on the pages of leads and conversations."""

import json

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.test import Client
from django.urls import reverse

import coolthing_site.urls  # noqa: F401  It registers the pages.
from bots.models import Delivery
from campaigns.erasing import person_erase
from campaigns.models import Suppression
from leads.models import Conversation, Lead
from panelkit.errors import NotPossible
from panelkit.rights import Shell
from privacy.exporting import person_export
from privacy.person import Person
from privacy.registry import rooms
from tests.integration.leads_world import make_world
from tests.integration.person_world import ID, NAME, WORDS, fill, search

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation() -> Conversation:
    return fill(make_world())


@pytest.fixture
def client(conversation) -> Client:
    client = Client()
    client.force_login(User.objects.get(username="olga"))
    return client


def url(row: Model, name: str, *more: str) -> str:
    return reverse(f"admin:leads_{row._meta.model_name}_{name}", args=[row.pk, *more])


@pytest.mark.parametrize("page", ["lead", "conversation"])
def test_an_erasure_asks_for_confirmation_shows_no_name_afterwards_and_is_on_record(client, conversation, page):
    row = conversation if page == "conversation" else conversation.lead
    assert "Erase the person" in client.get(url(row, "change")).content.decode()
    asked = client.get(url(row, "operate", "erase")).content.decode()
    assert "permanently erases" in asked and Lead.objects.filter(telegram_user_id=ID).exists()
    answer = client.post(url(row, "operate", "erase"), follow=True)
    assert answer.status_code == 200 and f"This {page} is erased" in answer.content.decode()
    assert NAME not in answer.content.decode()
    assert search(NAME, WORDS) == []
    kept = LogEntry.objects.get(object_id=str(Suppression.objects.exclude(person_hash="").get().pk))
    assert kept.object_repr == "an erased person" and kept.get_change_message().startswith("Erased: ")


def test_while_a_message_is_leaving_the_page_says_so(client, conversation):
    Delivery.objects.filter(peer_id=ID).update(state="sending")
    answer = client.post(url(conversation, "operate", "erase"), follow=True).content.decode()
    assert "are being sent at this moment" in answer and Conversation.objects.filter(pk=conversation.pk).exists()


@pytest.mark.parametrize("page", ["lead", "conversation"])
def test_personal_data_is_a_download(client, conversation, page):
    row = conversation if page == "conversation" else conversation.lead
    answer = client.get(url(row, "person"))
    assert "attachment" in answer.headers["Content-Disposition"]
    assert json.loads(answer.content)["telegram_user_id"] == ID


def test_a_user_who_may_not_view_gets_nothing_and_a_viewer_erases_nothing(conversation):
    stranger = Client()
    stranger.force_login(User.objects.create_user("reader", is_staff=True))
    assert stranger.get(url(conversation, "person")).status_code == 403
    assert stranger.post(url(conversation, "operate", "erase")).status_code == 403


def _may(*names: str) -> Client:
    user = User.objects.create_user("-".join(names)[:150], is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def _viewer() -> Client:
    return _may(*Permission.objects.filter(codename__startswith="view_").values_list("codename", flat=True))


def test_an_export_needs_the_permission_to_view_every_kind_of_row_in_it(conversation):
    some, viewer = _may("view_lead", "view_conversation", "view_message"), _viewer()
    for row in (conversation, conversation.lead):
        assert some.get(url(row, "person")).status_code == 403
        assert "Export personal data" not in some.get(url(row, "change")).content.decode()
        assert viewer.get(url(row, "person")).status_code == 200
        assert "Export personal data" in viewer.get(url(row, "change")).content.decode()


def test_the_permission_to_change_a_lead_or_a_conversation_does_not_allow_erasing(conversation):
    changer = _may("view_lead", "change_lead", "view_conversation", "change_conversation")
    for row in (conversation, conversation.lead):
        assert "Erase the person" not in changer.get(url(row, "change")).content.decode()
        assert changer.post(url(row, "operate", "erase")).status_code == 403
    assert Conversation.objects.filter(pk=conversation.pk).exists() and search(NAME)
    eraser = _may("view_conversation", "erase_person")
    assert "Erase the person" in eraser.get(url(conversation, "change")).content.decode()
    assert eraser.post(url(conversation, "operate", "take-over")).status_code == 403
    assert eraser.post(url(conversation, "operate", "erase")).status_code == 302
    assert search(NAME) == []


def test_erasing_and_exporting_ask_for_the_permission_themselves(conversation):
    user = User.objects.create_user("nobody", is_staff=True)
    with pytest.raises(PermissionDenied, match="erase_person"):
        person_erase(Person(ID), by=user)
    with pytest.raises(PermissionDenied, match="dead letters"):
        person_export(Person(ID), by=user)
    assert search(NAME)


def test_each_room_names_the_models_of_which_it_exports_rows(conversation):
    for room in rooms():
        known = [{field.attname for field in apps.get_model(model)._meta.concrete_fields} for model in room.models]
        for kind, rows in room.export(Person(ID, frozenset({NAME.lower()}))).items():
            assert any(row.keys() <= columns for row in rows for columns in known) or not rows, (room.name, kind)


def test_an_account_of_the_team_cannot_be_erased(conversation):
    with pytest.raises(NotPossible, match="an account of the team"):
        person_erase(Person(conversation.bot.telegram_user_id), by=Shell())
    assert not Suppression.objects.filter(telegram_user_id=conversation.bot.telegram_user_id).exists()
