"""What a list says that shows nothing."""

import html

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from panelkit.base import PanelAdmin
from tests.integration import ledger

DELIVERIES = "/admin/bots/delivery/"
OURS = {"bots", "campaigns", "leads", "messaging", "notifier", "parser", "scripts"}


@pytest.fixture
def panel(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


def text_of(panel: Client, url: str) -> str:
    return html.unescape(panel.get(url).content.decode())


def test_a_list_without_rows_says_where_they_come_from_and_offers_only_what_can_be_done(panel: Client):
    page = text_of(panel, DELIVERIES)
    assert "No deliveries yet" in page and "Messages of plays, conversations and operators are listed here" in page
    assert "Show all" not in page and "Add delivery" not in page
    assert "Add script" in text_of(panel, "/admin/scripts/script/")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("?q=tulips", "No deliveries match the search."),
        ("?state__exact=sent", "No deliveries match the filters."),
        ("?q=tulips&state__exact=sent", "No deliveries match both the search and the filters."),
    ],
)
def test_a_list_in_which_nothing_is_found_says_so_and_leads_back(panel: Client, query: str, why: str):
    ledger.noting_origin()
    ledger.queue_line(ledger.make_bot(), ledger.make_campaign(), ledger.make_chat(), "Is it late?")
    page = text_of(panel, DELIVERIES + query)
    assert why in page and "Show all" in page and "No deliveries yet" not in page


def test_every_list_of_ours_says_where_its_rows_come_from():
    assert reverse("admin:index"), "the pages are imported with the addresses"
    pages = [page for model, page in admin.site._registry.items() if model._meta.app_label in OURS]
    assert len(pages) > 40
    assert [page for page in pages if not (isinstance(page, PanelAdmin) and page.empty_hint)] == []
