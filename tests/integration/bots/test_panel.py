"""What a person does to bots, workers and single deliveries in the panel."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bots.logins.page_requests import Progress, login_progress
from bots.models import Bot, BotSession, BotStateChange, Delivery, Host, PendingLogin
from bots.worker.hosts import host_beat
from panelkit.forms.secret_fields import STORED
from tests.integration import ledger

pytestmark = pytest.mark.django_db
State = Delivery.State


@pytest.fixture
def panel() -> Client:
    ledger.noting_origin()
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


def operate(panel: Client, row: Any, operation: str, **data: Any) -> None:
    meta = row._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_operate", args=[row.pk, operation])
    assert panel.post(url, {"_confirmed": "1", **data}).status_code == 302


def page(panel: Client, row: Any) -> str:
    meta = row._meta
    answer = panel.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def unknown() -> Delivery:
    delivery = ledger.queue_line(ledger.make_bot(), ledger.make_campaign(), ledger.make_chat())
    Delivery.objects.filter(pk=delivery.pk).update(state=State.UNKNOWN, first_attempt_at=ledger.START)
    return delivery


def test_an_unknown_delivery_is_marked_as_sent_with_its_id_or_as_not_sent(panel: Client):
    said, not_said = unknown(), unknown()
    assert "Mark as not sent" in page(panel, said)
    operate(panel, said, "said", telegram_message_id="42")
    operate(panel, not_said, "not_said")
    said.refresh_from_db()
    not_said.refresh_from_db()
    assert (said.state, said.telegram_message_id, said.error) == (State.SENT, 42, "Sent, according to olga.")
    assert (not_said.state, not_said.error) == (State.FAILED, "Not sent, according to olga.")
    assert "Mark as not sent" not in page(panel, said)


def test_only_a_secret_that_is_stored_can_be_kept(panel: Client):
    shown = page(panel, ledger.make_bot(api_hash="", proxy_url="http://proxy:3128"))
    placeholders = {
        name: re.findall(rf'<input[^>]*name="{name}"[^>]*>', shown)[0].count(STORED)
        for name in ("phone", "api_hash", "proxy_url")
    }
    assert placeholders == {"phone": 1, "api_hash": 0, "proxy_url": 1}
    assert "proxy:3128" not in shown


@pytest.mark.parametrize(("page_of", "args"), [("login", ()), ("operate", ("stop",))])
def test_a_page_about_one_bot_leads_back_to_it_by_its_name(panel: Client, page_of: str, args: tuple[str, ...]):
    bot = ledger.make_bot(display_name="Anna")
    answer = panel.get(reverse(f"admin:bots_bot_{page_of}", args=[bot.pk, *args]))
    back = reverse("admin:bots_bot_change", args=[bot.pk])
    assert re.search(rf'href="{back}"[^>]*>\s*Anna\s*</a', answer.content.decode())


def test_one_queued_delivery_is_cancelled(panel: Client):
    delivery = ledger.queue_line(ledger.make_bot(), ledger.make_campaign(), ledger.make_chat())
    operate(panel, delivery, "cancel")
    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == (State.CANCELLED, "cancelled by olga")


def test_a_worker_is_drained_and_takes_bots_again(panel: Client):
    host_beat(name="actors@laptop", role="actor", capacity=3, draining=False)
    host = Host.objects.get()
    operate(panel, host, "drain")
    assert Host.objects.get().drain_requested
    assert "drained by an operator" in page(panel, host)
    operate(panel, host, "undrain")
    assert not Host.objects.get().drain_requested


def test_a_bots_page_shows_its_state_the_reason_and_the_next_step(panel: Client):
    bot = ledger.make_bot(state=Bot.State.RESTRICTED, state_reason="PEER_FLOOD", phone="+15550001234")
    BotSession.objects.create(bot=bot, data="the session")
    BotStateChange.objects.create(bot=bot, state=Bot.State.RESTRICTED, reason="PEER_FLOOD")
    shown = page(panel, bot)
    wanted = ("PEER_FLOOD", "@SpamBot", "Release the restriction", "tests (lease until 2100")
    assert [text for text in wanted if text not in shown] == []
    assert "+15550001234" not in shown
    operate(panel, bot, "release")
    assert Bot.objects.get(pk=bot.pk).state == Bot.State.OFFLINE
    assert "is released" in page(panel, bot)


@pytest.mark.parametrize("state", [Bot.State.BANNED, Bot.State.NEEDS_LOGIN])
def test_bots_are_filtered_by_state(panel: Client, state: str):
    wanted, other = ledger.make_bot(state=state), ledger.make_bot()
    found = panel.get(reverse("admin:bots_bot_changelist"), {"state__exact": state}).content.decode()
    assert wanted.key in found and other.key not in found


def test_the_pages_show_a_silent_worker_and_a_bot_that_was_logged_out(panel: Client):
    host_beat(name="actors", role="actor", capacity=5, draining=False)
    assert "takes accounts" in page(panel, Host.objects.get())
    Host.objects.update(heartbeat_at=ledger.START)
    assert f"silent since {ledger.START:%H:%M:%S} UTC" in page(panel, Host.objects.get())
    BotSession.objects.all().delete()
    assert "The account was logged out" in page(panel, ledger.make_bot(state=Bot.State.STOPPED, telegram_user_id=5))
    assert "The account was never logged in" in page(panel, ledger.make_bot(telegram_user_id=None))


def test_a_wait_over_quiet_hours_shows_a_single_end_and_the_zone_of_each_time(panel: Client):
    delivery = ledger.queue_line(ledger.make_bot(), ledger.make_campaign(), ledger.make_chat())
    hours = "Quiet hours of campaign “Autumn” (22:00–15:30 Europe/Moscow)"
    until = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)
    Delivery.objects.filter(pk=delivery.pk).update(waiting_reason=f"{hours}.", waiting_until=until)
    assert f"{hours} · until 2026-11-25 12:30:00 UTC" in page(panel, delivery)


@pytest.mark.parametrize("step", ["password", "qr"])
def test_a_login_is_cancelled_by_a_button_of_that_name_and_a_message_confirms_it(panel: Client, step: str):
    bot = ledger.make_bot(display_name="Anna")
    asked = "qr" if step == "qr" else ""
    expires_at = datetime(2100, 1, 1, tzinfo=UTC)
    PendingLogin.objects.create(bot=bot, step=step, asked=asked, claim=uuid4(), expires_at=expires_at)
    row = panel.get(reverse("admin:bots_pendinglogin_change", args=[bot.pk])).content.decode()
    assert PendingLogin.Step(step).label in row and PendingLogin.Ask.QR.label not in row
    url = reverse("admin:bots_bot_login", args=[bot.pk])
    shown = panel.get(url).content.decode()
    assert "Cancel" in shown and "in another way" not in shown
    assert "The login of Anna is cancelled" in panel.post(url, {"do": "cancel"}, follow=True).content.decode()
    assert not PendingLogin.objects.exists()


def test_a_login_that_ended_between_two_pages_leads_on_to_the_account(panel: Client):
    bot = Bot.objects.create(key="vera", display_name="Vera", role="actor", state="offline", telegram_user_id=7)
    login = reverse("admin:bots_bot_login", args=[bot.pk])
    asked = PendingLogin.objects.create(
        bot=bot, step="code", asked="code", asked_at=timezone.now(), expires_at=timezone.now() + timedelta(minutes=9)
    )
    led = panel.get(f"{login}progress/")
    assert led.status_code == 302
    # Now the worker has finished.
    asked.delete()
    BotSession.objects.create(bot=bot, data="session")
    answer = panel.get(led["Location"])
    assert (answer.status_code, answer.headers.get("Location")) == (
        302,
        reverse("admin:bots_bot_change", args=[bot.pk]),
    )
    assert panel.get(login).status_code == 200, "an operator who opens the page may log in anew"


@pytest.mark.parametrize("look", ["progress/?shown=doing:1", "?asked="])
@pytest.mark.parametrize("first", [True, False], ids=["before its progress is read", "after its progress is read"])
def test_a_login_that_ends_while_its_page_is_made_leads_on_to_the_account(
    panel: Client, monkeypatch: pytest.MonkeyPatch, look: str, first: bool
):
    bot = Bot.objects.create(key="vera", display_name="Vera", role="actor", state="needs_login", telegram_user_id=7)
    account, login = (reverse(f"admin:bots_bot_{name}", args=[bot.pk]) for name in ("change", "login"))
    now = timezone.now()
    PendingLogin.objects.create(bot=bot, step="code", asked="code", asked_at=now, expires_at=now + timedelta(minutes=9))

    def finish() -> None:
        PendingLogin.objects.all().delete()
        BotSession.objects.create(bot=bot, data="session")
        Bot.objects.update(state="offline")

    def progress_of(*, bot_id: Any) -> Progress:
        read = login_progress
        monkeypatch.setattr("bots.admin.login_pages.login_progress", read)
        if first:
            finish()
        progress = read(bot_id=bot_id)
        if not first:
            finish()
        return progress

    monkeypatch.setattr("bots.admin.login_pages.login_progress", progress_of)
    answer = panel.get(f"{login}{look}", headers={"HX-Request": "true"})
    if not first:
        assert 'value="doing:' in answer.content.decode(), "the page looks again"
        answer = panel.get(f"{login}progress/?shown=doing:1", headers={"HX-Request": "true"})
    assert account in (answer.headers.get("HX-Redirect"), answer.headers.get("Location"))
