"""The page that asks before a row is deleted, or says why it has to stay."""

import html
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bots.models import Bot
from campaigns.models import Campaign
from parser.models import Keyword
from tests.integration import ledger

pytestmark = pytest.mark.django_db


@pytest.fixture
def panel(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga"))
    return client


def text_of(answer: Any) -> str:
    return " ".join(html.unescape(answer.content.decode()).split())


def page_of(row: Any) -> str:
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/delete/"


@pytest.fixture
def campaign() -> Campaign:
    ledger.noting_origin()
    campaign = ledger.make_campaign()
    ledger.queue_line(ledger.make_bot(), campaign, ledger.make_chat(), "Is it late?")
    return campaign


def test_what_has_a_record_stays_and_the_page_says_what_to_do_instead(panel: Client, campaign: Campaign):
    why = f"This campaign ({campaign}) cannot be deleted, because CoolThing keeps the records that belong to it"
    page = text_of(panel.get(page_of(campaign)))
    assert f"{why}: 1 delivery. Finish the campaign instead: " in page and "your account" not in page
    assert why in text_of(panel.post(page_of(campaign), {"post": "yes"}))
    assert "Log the account out instead: " in text_of(panel.get(page_of(Bot.objects.get())))
    many = {"action": "delete_selected", "_selected_action": [campaign.pk]}
    for confirmed in ({}, {"post": "yes"}):
        page = text_of(panel.post("/admin/campaigns/campaign/", many | confirmed))
        assert "records that belong to them: 1 delivery." in page
    assert Campaign.objects.filter(pk=campaign.pk).exists()


def test_the_page_asks_the_database_no_more_for_many_rows(panel: Client, campaign: Campaign):
    panel.get(page_of(campaign))
    with CaptureQueriesContext(connection) as few:
        panel.get(page_of(campaign))
    for number in range(5):
        ledger.queue_line(ledger.make_bot(), campaign, ledger.make_chat(), f"line {number}")
    with CaptureQueriesContext(connection) as many:
        assert "6 deliveries" in text_of(panel.get(page_of(campaign)))
    assert len(many) == len(few)


def test_what_has_no_record_is_deleted_with_what_belongs_to_it(panel: Client):
    campaign = ledger.make_campaign()
    Keyword.objects.create(campaign=campaign, text="tulips")
    page = text_of(panel.get(page_of(campaign)))
    assert "Are you sure" in page and "Keywords: 1" in page
    assert panel.post(page_of(campaign), {"post": "yes"}).status_code == 302
    assert not Campaign.objects.exists() and not Keyword.objects.exists()


def test_whoever_may_not_delete_what_belongs_to_it_is_told_so(client: Client):
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["delete_campaign", "view_campaign"]))
    client.force_login(user)
    campaign = ledger.make_campaign()
    Keyword.objects.create(campaign=campaign, text="tulips")
    assert "your account doesn't have permission to delete" in text_of(client.get(page_of(campaign)))
    assert client.post(page_of(campaign), {"post": "yes"}).status_code == 403
