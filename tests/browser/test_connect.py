"""An account is logged in from the panel by code and password or by QR code, with a reload in the middle."""

from datetime import timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page

from bots.logins.one_shot import bot_connect_with_code
from bots.logins.pending_logins import login_pending
from bots.models import Bot, PendingLogin
from tests.browser.login_pages import (
    CODE,
    PASSWORD,
    PHONE,
    act,
    await_page,
    bot_page,
    has_logged_in,
    login_page,
    plan_fault,
    scan,
    scans,
)
from tests.browser.panel import Panel
from tests.support import wait_until


def test_a_new_account_is_connected_by_code_and_password_with_a_reload_in_the_middle(
    panel: Panel, telegram: SimpleNamespace
) -> None:
    panel.open(reverse("admin:bots_bot_changelist"))
    panel.submit('a:has-text("Connect an account")')
    panel.fill("[name=key]", "gleb")
    panel.do(lambda page: page.select_option("[name=role]", "manager"))
    panel.submit('form.panel-confirm button[type="submit"]')
    bot = Bot.objects.get(key="gleb")
    assert panel.path == login_page(bot)
    act(panel, "send", phone=PHONE)
    assert "a message from Telegram in the apps" in panel.text
    panel.open(login_page(bot))
    act(panel, "code", code="00000")
    assert "The code is wrong" in panel.text
    panel.open(login_page(bot))
    assert "The code is wrong" in panel.text, "a reload forgets nothing"
    act(panel, "code", code=CODE)
    panel.open(login_page(bot))
    assert "Enter the password" in panel.text
    act(panel, "password", password="wrong one")
    assert "The password is wrong" in panel.text
    act(panel, "password", password=PASSWORD)
    await_page(panel, bot_page(bot))
    assert "is logged in as @gleb" in panel.text
    assert has_logged_in(bot, telegram.gleb)
    assert bot.phone == "+9996644444"
    assert not PendingLogin.objects.filter(bot=bot).exists()


def test_the_login_is_nowhere_in_the_browser_and_encrypted_in_the_database(
    panel: Panel, telegram: SimpleNamespace, bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    panel.open(login_page(bot))
    act(panel, "send", phone=PHONE)
    pending = login_pending(bot_id=bot.pk)
    assert pending is not None
    code_hash = telegram.mtproto.codes.pending("9996644444").hash
    assert code_hash in pending.state
    shown = panel.html
    act(panel, "code", code=CODE)
    act(panel, "password", password="not-the-password")
    pages = [shown, panel.html, panel.path, str(panel.do(lambda _: panel.context.cookies())), caplog.text]
    panel.open(reverse("admin:bots_pendinglogin_changelist"))
    pages += [panel.html]
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(p)::text FROM bots_pendinglogin p WHERE bot_id = %s", [bot.pk])
        pages += [cursor.fetchone()[0]]
    pending.refresh_from_db()
    for page in pages:
        for secret in (code_hash, PHONE[1:], "not-the-password", '"session"', pending.state):
            assert secret not in page


def test_a_code_is_sent_in_the_next_way_when_telegram_allows_it(
    panel: Panel, telegram: SimpleNamespace, bot: Bot
) -> None:
    panel.open(login_page(bot))
    act(panel, "send", phone="+9996633333")
    assert "can get the code in another way: an SMS." in panel.text
    act(panel, "resend")
    assert "an SMS." in panel.text
    assert "can get the code in another way: a phone call that speaks the code." in panel.text
    act(panel, "resend")
    assert "Wait until then." in panel.text
    assert telegram.mtproto.codes.pending("9996633333").kind == "sms", "Telegram was not asked"
    act(panel, "code", code="33333")
    assert has_logged_in(bot, telegram.vera)


def test_a_qr_code_is_shown_replaced_and_scanned(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    telegram.mtproto.tokens.valid_seconds = 2
    panel.open(login_page(bot))
    act(panel, "qr")
    first = panel.do(lambda page: page.inner_html(".panel-qr"))
    # The next one has all the time that the test may take.
    telegram.mtproto.tokens.valid_seconds = 600
    wait_until(lambda: panel.do(lambda page: page.inner_html(".panel-qr")) != first, what="a new code")
    assert "tg://" not in panel.html
    wait_until(partial(scans, telegram, bot, telegram.vera), what="a code that is good is scanned")
    wait_until(lambda: "is logged in as @vera" in panel.text, what="the bot's page")
    await_page(panel, bot_page(bot))
    assert has_logged_in(bot, telegram.vera)
    assert bot.phone == "+9996633333"


def test_a_scanned_qr_code_may_ask_for_the_password(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    panel.open(login_page(bot))
    act(panel, "qr")
    plan_fault(telegram, "LOGIN_TOKEN_MIGRATE")
    scan(telegram, bot, telegram.gleb)
    wait_until(lambda: "Enter the password" in panel.text, what="the password's page")
    act(panel, "password", password=PASSWORD)
    assert has_logged_in(bot, telegram.gleb)


def test_a_login_under_way_fits_a_phone_and_is_cancelled_by_keyboard(
    panel: Panel, telegram: SimpleNamespace, bot: Bot
) -> None:
    plan_fault(telegram, "DELAY_ANSWER", method="auth.sendCode", times=None)
    panel.do(lambda page: page.set_viewport_size({"width": 390, "height": 844}))
    panel.open(login_page(bot))
    form = 'form:has(input[name=do][value="send"])'
    panel.enter(f"{form} [name=phone]", PHONE)
    assert "Requesting a code" in panel.text
    sideways = "() => document.documentElement.scrollWidth - window.innerWidth"
    assert panel.do(lambda page: page.evaluate(sideways)) == 0

    def cancel(page: Page) -> None:
        page.focus('form:has(input[value="cancel"]) button')
        with page.expect_navigation(wait_until="load"):
            page.keyboard.press("Enter")

    panel.do(cancel)
    assert "By phone number" in panel.text
    assert login_pending(bot_id=bot.pk) is None
    telegram.sandbox.call(telegram.sandbox.faults.clear)


def test_where_the_operators_own_login_ends_meanwhile_the_page_stays_and_shows_it(panel: Panel, bot: Bot) -> None:
    # No worker runs here: it stays under way, and for longer than the test takes.
    later = timezone.now() + timedelta(hours=1)
    PendingLogin.objects.create(bot=bot, asked="send", asked_at=later, expires_at=later)
    panel.open(login_page(bot))
    Session.objects.all().delete()
    wait_until(lambda: "Your login has ended" in panel.text, what="word of the login's end")
    assert "Requesting a code" in panel.text
    assert not panel.do(lambda page: page.query_selector("[name=username]"))


def test_a_bot_whose_session_telegram_ended_is_logged_in_again_with_one_button(
    panel: Panel, telegram: SimpleNamespace, bot: Bot
) -> None:
    Bot.objects.filter(pk=bot.pk).update(phone="+9996633333")
    bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: "33333")
    Bot.objects.filter(pk=bot.pk).update(state="needs_login", state_reason="SESSION_REVOKED")
    panel.open(reverse("admin:bots_bot_changelist") + "?state__exact=needs_login")
    panel.submit('#result_list a:has-text("Log in again")')
    panel.open(bot_page(bot))
    panel.press("Log in again")
    act(panel, "send")
    act(panel, "code", code="33333")
    bot.refresh_from_db()
    assert bot.state == "offline"
    await_page(panel, bot_page(bot))
    assert "Log in again" not in panel.offers()


@pytest.mark.django_db(transaction=True)
def test_users_who_may_only_view_log_nothing_in(bot: Bot) -> None:
    reader = User.objects.create_user("reader", password="x", is_staff=True)
    reader.user_permissions.set(Permission.objects.filter(codename="view_bot"))
    client = Client()
    client.force_login(reader)
    for path in (login_page(bot), f"{login_page(bot)}progress/", reverse("admin:bots_bot_connect_account")):
        assert client.get(path).status_code == 403
        assert client.post(path, {"do": "qr", "key": "mine", "role": "actor"}).status_code == 403
    assert not Bot.objects.filter(key="mine").exists()
    assert login_pending(bot_id=bot.pk) is None
