"""The panel's forms of what the gate reads: what they accept, what they store, and how they explain refusals."""

import html
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from campaigns.models import Budget, Campaign, Suppression
from campaigns.suppressions.recording import suppression_add
from tests.integration import ledger
from tests.integration.leads_world import make_world

pytestmark = pytest.mark.django_db
SUPPRESSIONS, BUDGETS = "/admin/campaigns/suppression/", "/admin/campaigns/budget/"
NOBODYS_ID = "00000000-0000-4000-8000-000000000000"
CAMPAIGNS = "/admin/campaigns/campaign/"
OTHERWISE_SOUND = {
    "time_zone": "UTC",
    "locale": "en",
    "first_contact_interval_seconds": "1",
    "first_contact_horizon_hours": "24",
    "cool_down_days": "0",
    "reply_quiet_seconds": "5",
    "first_contact_template": "",
}


@pytest.fixture
def panel() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


def send(panel: Client, url: str, **fields: Any) -> str:
    return html.unescape(panel.post(url, fields, follow=True).content.decode())


def suppress(panel: Client, **fields: Any) -> str:
    return send(panel, SUPPRESSIONS + "add/", **{"telegram_user_id": "", "username": "", "reason": "", **fields})


def budget(panel: Client, **fields: Any) -> str:
    given = {"key": "", "purpose": "", "counts": "messages", "limit": 5, "window_seconds": 60, **fields}
    return send(panel, BUDGETS + "add/", **given)


@pytest.mark.parametrize(
    ("given", "explanation"),
    [
        ({}, "Enter the person's Telegram id, or the username"),
        ({"reason": "A letter."}, "Enter the person's Telegram id, or the username"),
        ({"telegram_user_id": "-4"}, "not the Telegram id of a person"),
        ({"username": "bad name"}, "not a Telegram username"),
        ({"telegram_user_id": "501"}, "This person is suppressed already, since 20"),
        ({"username": "@Wanderer"}, "This person is suppressed already, since 20"),
    ],
)
def test_a_suppression_of_nobody_or_of_a_suppressed_person_is_refused_with_an_explanation(
    panel: Client, given, explanation
):
    suppression_add(telegram_user_id=501, source=Suppression.Source.WORDS)
    suppression_add(telegram_user_id=None, username="wanderer", source=Suppression.Source.WORDS)
    page = suppress(panel, **given)
    assert explanation in page and "Constraint" not in page
    assert Suppression.objects.count() == 2


def test_the_username_of_a_person_suppressed_by_id_is_refused_with_an_explanation(panel: Client):
    make_world().receive(telegram_user_id=501, username="Sveta_Lebed")
    Suppression.objects.create(telegram_user_id=501, source=Suppression.Source.WORDS)
    assert "This person is suppressed already, since 20" in suppress(panel, username="@sveta_lebed")
    assert Suppression.objects.count() == 1


def test_a_username_with_an_at_is_suppressed_and_shown_with_one_at(panel: Client):
    page = suppress(panel, username="@Wanderer")
    assert "@Wanderer" in page and "@@" not in page
    assert Suppression.objects.get().username == "wanderer"


@pytest.mark.parametrize("by", ["name", "id"])
@pytest.mark.parametrize("scope", ["campaign", "bot", "chat"])
def test_a_budgets_key_is_what_people_call_the_object_or_its_id(panel: Client, scope: str, by: str):
    row: Any = {"campaign": ledger.make_campaign, "bot": ledger.make_bot, "chat": ledger.make_chat}[scope]()
    called = row.slug if isinstance(row, Campaign) else row.key
    budget(panel, scope=scope, key=called if by == "name" else str(row.pk))
    assert Budget.objects.get().key == str(row.pk)
    assert called in panel.get(BUDGETS).content.decode()


@pytest.mark.parametrize(("scope", "key"), [("campaign", "english-school"), ("bot", NOBODYS_ID), ("peer", "@nobody")])
def test_the_list_shows_which_budgets_count_nothing(panel: Client, scope: str, key: str):
    Budget.objects.create(scope=scope, key=key, limit=5, window_seconds=60)
    assert f"{key}: there is no such {Budget.Scope(scope).label.lower()}" in panel.get(BUDGETS).content.decode()


@pytest.mark.parametrize(
    ("given", "explanation"),
    [
        ({"scope": "campaign", "key": "nosuch"}, 'There is no campaign "nosuch": enter its slug or its id.'),
        ({"scope": "bot", "key": "anna"}, 'There is no account "anna": enter its key or its id.'),
        ({"scope": "peer", "key": "@nobody"}, "Enter the Telegram id of the person, a number"),
        ({"scope": "team", "key": "x"}, "There is only one team: leave the key empty."),
        ({"scope": "team", "window_seconds": 0}, "The window must be at least 1 second long."),
        ({"scope": "team", "window_seconds": 10**9}, "At most a year: 31622400 seconds."),
    ],
)
def test_a_budget_that_would_count_nothing_is_refused_with_an_explanation(panel: Client, given, explanation):
    page = budget(panel, **given)
    assert explanation in page and "Constraint" not in page
    assert not Budget.objects.exists()


@pytest.mark.parametrize(
    ("given", "explanation"),
    [
        ({"time_zone": "Europe/Nowhere"}, 'There is no time zone "Europe/Nowhere"'),
        ({"locale": "de"}, "Choose en or ru: "),
        ({"first_contact_interval_seconds": "604801"}, "At most a week: 604800 seconds."),
        ({"cool_down_days": "367"}, "At most 366 days."),
        ({"reply_quiet_seconds": "3601"}, "At most an hour: 3600 seconds."),
        ({"reply_quiet_seconds": "-5"}, "Ensure this value is greater than or equal to 0."),
        ({"quiet_from": "22:00"}, "Enter both the beginning and the end of the quiet hours, or neither."),
        ({"quiet_to": "08:00"}, "Enter both the beginning and the end of the quiet hours, or neither."),
    ],
)
def test_a_campaign_that_would_wait_for_ever_is_refused_with_an_explanation(panel: Client, given, explanation):
    fields = {"name": "Tea", "slug": "tea", "quiet_from": "", "quiet_to": "", **OTHERWISE_SOUND}
    page = send(panel, CAMPAIGNS + "add/", **{**fields, **given})
    assert page.count(explanation) == 1 and "Constraint" not in page
    assert not Campaign.objects.exists()


@pytest.mark.parametrize(("given", "missing"), [("quiet_from", "quiet_to"), ("quiet_to", "quiet_from")])
def test_a_missing_end_of_quiet_hours_is_shown_at_its_field(panel: Client, given: str, missing: str):
    answer = panel.post(CAMPAIGNS + "add/", {"name": "Tea", "slug": "tea", given: "22:00", **OTHERWISE_SOUND})
    assert answer.context["adminform"].form.errors == {
        missing: ["Enter both the beginning and the end of the quiet hours, or neither."]
    }
