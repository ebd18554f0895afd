"""What the login page shows when a login is refused: by Telegram, by the proxy, or by CoolThing."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.urls import reverse

from bots.logins.one_shot import bot_connect_with_code
from bots.logins.pending_logins import login_pending
from bots.models import Bot
from tests.browser.login_pages import PHONE, act, has_logged_in, login_page, plan_fault
from tests.browser.panel import Panel


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("PHONE_NUMBER_BANNED", {}, "has banned this phone number"),
        ("PHONE_NUMBER_FLOOD", {}, "Too many codes were requested"),
        ("API_ID_INVALID", {}, "does not know this API id"),
        ("FROZEN_METHOD_INVALID", {"method": "auth.sendCode"}, "has frozen this account"),
    ],
)
def test_what_telegram_refuses_is_a_sentence(
    kind: str, values: dict[str, Any], words: str, panel: Panel, telegram: SimpleNamespace, bot: Bot
) -> None:
    plan_fault(telegram, kind, **values)
    panel.open(login_page(bot))
    act(panel, "send", phone=PHONE)
    assert words in panel.text
    assert panel.path.partition("?")[0] == login_page(bot)
    act(panel, "send", phone=PHONE)
    assert "Enter the code" in panel.text
    assert words not in panel.text


def test_wrong_and_unknown_numbers_are_reported(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    panel.open(login_page(bot))
    act(panel, "send", phone="12")
    assert "does not accept this phone number" in panel.text
    act(panel, "send", phone="")
    assert "The phone number is missing" in panel.text
    act(panel, "send", phone="+9996699999")
    act(panel, "code", code="99999")
    assert "There is no Telegram account with this phone number" in panel.text
    assert "By phone number" in panel.text, "begins again"


def test_too_many_attempts_show_the_end_of_the_wait_and_are_not_repeated(
    panel: Panel, telegram: SimpleNamespace, bot: Bot
) -> None:
    plan_fault(telegram, "FLOOD_WAIT", method="auth.sendCode", seconds=3600)
    panel.open(login_page(bot))
    act(panel, "send", phone=PHONE)
    pending = login_pending(bot_id=bot.pk)
    assert pending is not None and pending.wait_until is not None
    until = f"before {pending.wait_until:%Y-%m-%d %H:%M:%S} UTC"
    assert until in panel.text
    act(panel, "send", phone=PHONE)
    assert until in panel.text
    assert telegram.mtproto.codes.pending("9996644444") is None, "Telegram was not asked again"


def test_an_expired_code_is_requested_anew(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    panel.open(login_page(bot))
    act(panel, "send", phone="+9996633333")
    telegram.sandbox.call(telegram.mtproto.codes.expire, "9996633333")
    act(panel, "code", code="33333")
    assert "The code has expired. Request a new code." in panel.text
    act(panel, "send")
    act(panel, "code", code="33333")
    assert has_logged_in(bot, telegram.vera)


def test_another_account_does_not_slip_into_a_bot(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    Bot.objects.filter(pk=bot.pk).update(
        state="needs_login", telegram_user_id=telegram.gleb.id, username="gleb", phone=PHONE
    )
    panel.open(login_page(bot))
    act(panel, "send", phone="+9996633333")
    act(panel, "code", code="33333")
    assert "This login belongs to another account (@vera), not to the expected one (@gleb)" in panel.text
    assert not has_logged_in(bot, telegram.vera)
    keys = telegram.mtproto.auth_keys.dump()
    assert not any(key.user_id == telegram.vera.id for key in keys), "the login that nobody wants has ended"


def test_a_login_may_be_begun_in_another_way_and_two_bots_never_share_an_account(
    panel: Panel, telegram: SimpleNamespace, bot: Bot
) -> None:
    other = Bot.objects.create(key="other", display_name="Olga", role="actor", phone="+9996633333")
    bot_connect_with_code(bot_id=other.pk, ask_code=lambda: "33333")
    panel.open(login_page(bot))
    act(panel, "qr")
    act(panel, "cancel")
    assert "By phone number" in panel.text
    act(panel, "send", phone="+9996633333")
    act(panel, "code", code="33333")
    assert "This account is already connected as Olga (other)." in panel.text


def test_a_proxy_that_does_not_answer_is_reported(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    Bot.objects.filter(pk=bot.pk).update(proxy_url="socks5://me:hunter2@127.0.0.1:1")
    panel.open(login_page(bot))
    act(panel, "send", phone=PHONE)
    assert "The proxy does not answer" in panel.text
    assert "hunter2" not in panel.html


def test_problems_of_an_account_are_shown_before_anything_is_created(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(reverse("admin:bots_bot_connect_account"))
    panel.fill("[name=key]", "fresh")
    panel.do(lambda page: page.select_option("[name=role]", "actor"))
    panel.fill("[name=proxy_url]", "hunter2.example")
    panel.fill("[name=api_id]", "12")
    panel.submit('form.panel-confirm button[type="submit"]')
    assert "Enter a proxy as socks5://user:password@host:port" in panel.text
    assert "Enter both the API id and the API hash, or neither." in panel.text
    assert "hunter2" not in panel.html
    assert not Bot.objects.filter(key="fresh").exists()
