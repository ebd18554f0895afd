"""What the panel keeps to itself, and from whom."""

from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.urls import reverse

from bots.models import Bot, BotSession, Delivery
from campaigns.models import Suppression
from notifier.models import Channel
from tests.browser.panel import Panel

SECRET_PROXY = "socks5://anna:hunter2@proxy.example:1080"


def _bot_page(bot: Bot) -> str:
    return reverse("admin:bots_bot_change", args=[bot.pk])


def _reader(*names: str) -> Client:
    """Somebody of the team who may only do what is named, like `view_bot`."""
    reader = User.objects.create_user("reader", password="x", is_staff=True)
    reader.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(reader)
    return client


def test_a_secret_typed_into_a_form_is_stored_and_never_shown_again(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(_bot_page(world.manager))
    assert panel.value("#id_phone") == ""
    panel.fill("#id_proxy_url", SECRET_PROXY)
    panel.submit("[name=_continue]")
    stored = Bot.objects.get(pk=world.manager.pk)
    assert stored.proxy_url == SECRET_PROXY
    assert stored.phone == "+4915550009999", "an empty submit keeps what is stored"
    assert panel.value("#id_proxy_url") == ""
    history = reverse("admin:bots_bot_history", args=[world.manager.pk])
    for path in (_bot_page(world.manager), history, reverse("admin:bots_bot_changelist")):
        panel.open(path)
        assert "hunter2" not in panel.html
        assert "15550009999" not in panel.html


def test_an_optional_secret_can_be_removed(panel: Panel, world: SimpleNamespace) -> None:
    Bot.objects.filter(pk=world.manager.pk).update(proxy_url=SECRET_PROXY)
    panel.open(_bot_page(world.manager))
    panel.do(lambda page: page.click("#id_remove_proxy_url"))
    panel.submit("[name=_continue]")
    assert Bot.objects.get(pk=world.manager.pk).proxy_url == ""


def test_a_form_with_errors_does_not_repeat_the_secret(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(reverse("admin:bots_bot_add"))
    panel.fill("#id_phone", "+4917612312312")
    panel.submit("[name=_save]")
    assert Bot.objects.filter(key="").count() == 0
    assert "17612312312" not in panel.html


def test_saving_a_form_leaves_alone_what_workers_wrote_meanwhile(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(_bot_page(world.manager))
    Bot.objects.filter(pk=world.manager.pk).update(lease_epoch=7, lease_owner="a-worker", state="online")
    panel.fill("#id_display_name", "Maxim")
    panel.submit("[name=_continue]")
    stored = Bot.objects.get(pk=world.manager.pk)
    assert (stored.display_name, stored.lease_epoch, stored.lease_owner, stored.state) == (
        "Maxim", 7, "a-worker", "online",
    )  # fmt: skip


@pytest.mark.parametrize("page", ["change", "history", "delete"])
def test_a_session_is_listed_without_its_content(page: str, panel: Panel, world: SimpleNamespace) -> None:
    session = BotSession.objects.get(bot=world.manager)
    panel.open(reverse("admin:bots_botsession_change", args=[session.pk]))
    assert "the-session-text" not in panel.html
    panel.open(reverse(f"admin:bots_bot_{page}", args=[session.pk]))
    assert "the-session-text" not in panel.html


@pytest.mark.django_db(transaction=True)
def test_whoever_may_only_look_sees_no_secret_and_no_operation(world: SimpleNamespace) -> None:
    client = _reader("view_bot", "view_channel", "view_delivery")
    bot = client.get(_bot_page(world.manager)).content.decode()
    assert "Max The Manager" in bot
    assert "15550009999" not in bot
    channel = client.get(reverse("admin:notifier_channel_change", args=[Channel.objects.get().pk])).content.decode()
    assert "secret-token" not in channel
    stop = reverse("admin:bots_bot_operate", args=[world.manager.pk, "stop"])
    # The gate preview only reads; nothing else is offered.
    assert stop.removesuffix("stop/") not in bot and bot.count("Check if sending is allowed") == 1
    assert "panel-operations" not in channel
    assert client.post(stop).status_code == 403
    cancel = reverse("admin:bots_delivery_operate", args=[Delivery.objects.earliest("created_at").pk, "cancel"])
    assert client.post(cancel).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_the_overview_shows_only_what_one_may_view(world: SimpleNamespace) -> None:
    page = _reader("view_bot").get("/admin/").content.decode()
    assert "Accounts" in page
    assert "Open dead letters" not in page
    assert reverse("admin:leads_lead_changelist") not in page


@pytest.mark.django_db(transaction=True)
def test_an_operation_is_never_done_by_a_link(world: SimpleNamespace) -> None:
    pause = reverse("admin:scripts_assignment_operate", args=[world.assignment.pk, "pause"])
    client, strict = Client(), Client(enforce_csrf_checks=True)
    for browser in (client, strict):
        browser.force_login(world.operator)
    assert client.get(pause).status_code == 200
    assert strict.post(pause).status_code == 403
    world.assignment.refresh_from_db()
    assert world.assignment.state == "playing"


@pytest.mark.django_db(transaction=True)
def test_what_a_person_asked_for_cannot_be_deleted_but_an_operators_entry_can(world: SimpleNamespace) -> None:
    client = Client()
    client.force_login(world.operator)
    client.post(reverse("admin:campaigns_suppression_add"), {"username": "@Mistaken", "reason": "typed wrongly"})
    entry = Suppression.objects.get(username="mistaken")
    assert entry.source == Suppression.Source.OPERATOR
    words = Suppression.objects.get(source="words")
    delete = "admin:campaigns_suppression_delete"
    assert client.post(reverse(delete, args=[words.pk]), {"post": "yes"}).status_code == 403
    assert client.post(reverse(delete, args=[entry.pk]), {"post": "yes"}).status_code == 302
    assert list(Suppression.objects.all()) == [words]


@pytest.mark.django_db
def test_health_answers_without_a_login() -> None:
    answer = Client().get("/health/")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "database": "ok"})


@pytest.mark.django_db(transaction=True)
def test_health_says_so_when_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    connection.close()
    answer = Client().get("/health/")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
