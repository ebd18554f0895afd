"""Every page of the panel opens: no error status, no traceback, no complaint of the browser, all of it on a phone."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

import coolthing_site.urls  # noqa: F401  It registers the pages, whose names are needed to collect the tests.
from bots.models import Bot, Delivery
from campaigns.models import Campaign, Chat
from coolthing_site.panel.navigation import GROUPS
from scripts.models import Script
from tests.browser.panel import Panel

# Pages register themselves with the site's URLs, which nothing has loaded yet.
admin.autodiscover()
APPS = sorted({model._meta.app_label for model in admin.site._registry})
ROOMS = ("messaging", "campaigns", "notifier", "bots", "scripts", "parser", "leads", "coolthing_site")


def _url(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def _assert_fine(panel: Panel, path: str) -> None:
    assert panel.open(path) == 200, path
    text = panel.text
    assert "Traceback" not in text or "handlingfailure" in path or "deadletter" in path, path
    assert " object at 0x" not in text, path
    assert not panel.problems, path
    assert panel.does_not_fit_on_a_phone() == [], path


def _give_long_names(world: SimpleNamespace) -> None:
    long = "A long talk about the bread of our grandmothers, for the whole neighbourhood and its guests"
    Campaign.objects.filter(pk=world.campaign.pk).update(name=long)
    Script.objects.filter(pk=world.assignment.script_id).update(name=long)
    Chat.objects.filter(pk=world.chats[0].pk).update(title=long)
    Bot.objects.filter(pk=world.manager.pk).update(display_name=long)
    Delivery.objects.update(error=long.replace(" ", ""))


@pytest.mark.parametrize("app", APPS)
def test_every_list_form_and_page_opens(app: str, panel: Panel, world: SimpleNamespace) -> None:
    _give_long_names(world)
    request = HttpRequest()
    request.user = world.operator
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label != app:
            continue
        row = model._default_manager.first()
        assert row is not None, f"the world has no {model._meta.label}"
        _assert_fine(panel, _url(model, "changelist"))
        assert panel.rows() >= 1, model._meta.label
        _assert_fine(panel, _url(model, "change", quote(row.pk)))
        _assert_fine(panel, _url(model, "history", quote(row.pk)))
        if model_admin.has_add_permission(request):
            _assert_fine(panel, _url(model, "add"))


@pytest.mark.django_db(transaction=True)
def test_no_list_asks_the_database_once_more_for_each_row(world: SimpleNamespace) -> None:
    client = Client()
    client.force_login(world.operator)
    client.get("/admin/")
    counted = 0
    for model in admin.site._registry:
        rows = list(model._default_manager.all()[:2])
        if len(rows) == 2:
            for_one_row = _queries(client, f"{_url(model, 'changelist')}?pk__exact={rows[0].pk}")
            assert _queries(client, _url(model, "changelist")) <= for_one_row, model._meta.label
            counted += 1
    assert counted > 10


def _queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200, path
    return len(queries)


def test_the_overview_opens_with_rows_and_without(panel: Panel, world: SimpleNamespace) -> None:
    _assert_fine(panel, "/admin/")
    assert "The opening in Bakery on the corner" in panel.text
    assert "Quiet hours of the campaign · until" in panel.text
    assert "llm_queue is paused by operator" in panel.text


def test_every_model_of_every_room_has_its_pages() -> None:
    assert all(admin.site.is_registered(model) for room in ROOMS for model in apps.get_app_config(room).get_models())


def test_every_list_can_be_searched_and_filtered() -> None:
    pages = admin.site._registry.values()
    assert [page for page in pages if not (page.search_fields and page.list_filter)] == []


def test_every_model_is_in_the_sidebar() -> None:
    in_sidebar = {page.model.lower() for pages in GROUPS.values() for page in pages}
    assert in_sidebar == {model._meta.label_lower for model in admin.site._registry}
