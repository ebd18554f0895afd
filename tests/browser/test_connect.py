"""Accounts are logged in from the panel, against the sandbox: each way, each error, a reload in the middle."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page
from telethon.sessions import SQLiteSession, StringSession

from bots.logins.one_shot import bot_connect_with_code
from bots.logins.pending_logins import login_pending, qr_code
from bots.models import Bot, BotSession, PendingLogin
from bots.worker.leases import lease_take
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.mtproto.tokens import token_of
from sandbox.server import Sandbox, SandboxConfig
from sandbox.world.faults import Fault
from telegram.connection.store import StoredSession
from tests.browser.panel import Panel
from tests.support import wait_until
from tests.telegram.accounts import point_at
from tests.telegram.login_support import login_worker_runs

PHONE = "+9996644444"
CODE = "44444"
PASSWORD = "correct horse"
# Of a page that waits for a worker.
UNDER_WAY = '[name=shown][value^="doing:"]'


@pytest.fixture(scope="session")
def key_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox-key")


@pytest.fixture
def telegram(key_dir: Path, settings: Any) -> Iterator[SimpleNamespace]:
    """A Telegram where Gleb has a password and Vera has none, and a worker that logs accounts in."""
    with Sandbox(SandboxConfig(key_dir=key_dir)) as sandbox, login_worker_runs():
        point_at(settings, sandbox)
        add = sandbox.world.add_user
        gleb = sandbox.call(add, first_name="Gleb", phone=PHONE, username="gleb", password=PASSWORD)
        vera = sandbox.call(add, first_name="Vera", phone="+9996633333", username="vera")
        yield SimpleNamespace(sandbox=sandbox, gleb=gleb, vera=vera, mtproto=sandbox.mtproto)


def _fault(telegram: SimpleNamespace, kind: Any, **values: Any) -> None:
    telegram.sandbox.call(telegram.sandbox.faults.plan, Fault(kind=kind, **values))


def _scan(telegram: SimpleNamespace, bot: Bot, user: Any) -> None:
    pending = login_pending(bot_id=bot.pk)
    assert pending is not None
    telegram.sandbox.call(telegram.mtproto.accept_token, token_of(qr_code(pending).url), user.id)


def _scans(telegram: SimpleNamespace, bot: Bot, user: Any) -> bool:
    """Whether the code was still good."""
    try:
        _scan(telegram, bot, user)
    except RpcFailure:
        return False
    return True


@pytest.fixture
def bot(world: SimpleNamespace) -> Bot:
    """A bot that was never logged in; its number is not known."""
    return Bot.objects.create(key="new", display_name="New one", role="actor")


def _page(bot: Bot) -> str:
    return reverse("admin:bots_bot_change", args=[bot.pk])


def _login(bot: Bot) -> str:
    return reverse("admin:bots_bot_login", args=[bot.pk])


def _has_gone_on(page: Page) -> bool:
    """Asked in one step of one document: between two of them nothing is under way, and nothing is shown."""
    try:
        seen = "waits => document.readyState === 'complete' && !document.querySelector(waits)"
        return bool(page.evaluate(seen, UNDER_WAY))
    except PlaywrightError:
        # The next document has taken its place meanwhile.
        return False


def _act(panel: Panel, do: str, **values: str) -> None:
    """Fill in a form of the login page, send it, and wait until the page goes on from what a worker has done."""
    form = f'form:has(input[name=do][value="{do}"])'
    for name, value in values.items():
        panel.fill(f"{form} [name={name}]", value)
    panel.submit(f"{form} button[type=submit]")
    wait_until(lambda: panel.do(_has_gone_on), what="a page that waits for no worker")


def _await_page(panel: Panel, path: str) -> None:
    """The login page leads on by itself, when its next look finds that a worker has finished."""
    wait_until(lambda: panel.path == path, what=path)


def _has_logged_in(bot: Bot, user: Any) -> bool:
    bot.refresh_from_db()
    return bot.telegram_user_id == user.id and BotSession.objects.filter(bot=bot).exists()


def test_a_new_account_is_connected_by_code_and_password_with_a_reload_in_the_middle(
    panel: Panel, telegram: SimpleNamespace
) -> None:
    panel.open(reverse("admin:bots_bot_changelist"))
    panel.submit('a:has-text("Connect an account")')
    panel.fill("[name=key]", "gleb")
    panel.do(lambda page: page.select_option("[name=role]", "manager"))
    panel.submit('form.panel-ask button[type="submit"]')
    bot = Bot.objects.get(key="gleb")
    assert panel.path == _login(bot)
    _act(panel, "send", phone=PHONE)
    assert "a message from Telegram in the apps" in panel.text
    panel.open(_login(bot))
    _act(panel, "code", code="00000")
    assert "The code is wrong" in panel.text
    panel.open(_login(bot))
    assert "The code is wrong" in panel.text, "a reload forgets nothing"
    _act(panel, "code", code=CODE)
    panel.open(_login(bot))
    assert "Enter the password" in panel.text
    _act(panel, "password", password="wrong one")
    assert "The password is wrong" in panel.text
    _act(panel, "password", password=PASSWORD)
    _await_page(panel, _page(bot))
    assert "is logged in as @gleb" in panel.text
    assert _has_logged_in(bot, telegram.gleb)
    assert bot.phone == "+9996644444"
    assert not PendingLogin.objects.filter(bot=bot).exists()


def test_the_login_is_nowhere_in_the_browser_and_encrypted_in_the_database(
    panel: Panel, telegram: SimpleNamespace, bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    panel.open(_login(bot))
    _act(panel, "send", phone=PHONE)
    pending = login_pending(bot_id=bot.pk)
    assert pending is not None
    code_hash = telegram.mtproto.codes.pending("9996644444").hash
    assert code_hash in pending.state
    shown = panel.html
    _act(panel, "code", code=CODE)
    _act(panel, "password", password="not-the-password")
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


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("PHONE_NUMBER_BANNED", {}, "has banned this phone number"),
        ("PHONE_NUMBER_FLOOD", {}, "Too many codes were asked for"),
        ("API_ID_INVALID", {}, "does not know this API id"),
        ("FROZEN_METHOD_INVALID", {"method": "auth.sendCode"}, "has frozen this account"),
    ],
)
def test_what_telegram_refuses_is_a_sentence(
    kind: str, values: dict[str, Any], words: str, panel: Panel, telegram: SimpleNamespace, bot: Bot
) -> None:
    _fault(telegram, kind, **values)
    panel.open(_login(bot))
    _act(panel, "send", phone=PHONE)
    assert words in panel.text
    assert panel.path.partition("?")[0] == _login(bot)
    _act(panel, "send", phone=PHONE)
    assert "Enter the code" in panel.text
    assert words not in panel.text


def test_numbers_that_are_wrong_or_nobodys_are_said(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    panel.open(_login(bot))
    _act(panel, "send", phone="12")
    assert "does not accept this phone number" in panel.text
    _act(panel, "send", phone="")
    assert "The phone number is missing" in panel.text
    _act(panel, "send", phone="+9996699999")
    _act(panel, "code", code="99999")
    assert "There is no Telegram account with this phone number" in panel.text
    assert "By phone number" in panel.text, "begins again"


def test_too_many_attempts_say_until_when_and_are_not_repeated(
    panel: Panel, telegram: SimpleNamespace, bot: Bot
) -> None:
    _fault(telegram, "FLOOD_WAIT", method="auth.sendCode", seconds=3600)
    panel.open(_login(bot))
    _act(panel, "send", phone=PHONE)
    pending = login_pending(bot_id=bot.pk)
    assert pending is not None and pending.wait_until is not None
    until = f"before {pending.wait_until:%Y-%m-%d %H:%M:%S} UTC"
    assert until in panel.text
    _act(panel, "send", phone=PHONE)
    assert until in panel.text
    assert telegram.mtproto.codes.pending("9996644444") is None, "Telegram was not asked again"


def test_an_expired_code_is_asked_for_anew(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    panel.open(_login(bot))
    _act(panel, "send", phone="+9996633333")
    telegram.sandbox.call(telegram.mtproto.codes.expire, "9996633333")
    _act(panel, "code", code="33333")
    assert "The code has expired. Ask for a new one." in panel.text
    _act(panel, "send")
    _act(panel, "code", code="33333")
    assert _has_logged_in(bot, telegram.vera)


def test_a_code_is_sent_in_the_next_way_when_telegram_allows_it(
    panel: Panel, telegram: SimpleNamespace, bot: Bot
) -> None:
    panel.open(_login(bot))
    _act(panel, "send", phone="+9996633333")
    assert "The next way is an SMS." in panel.text
    _act(panel, "resend")
    assert "an SMS." in panel.text
    assert "The next way is a phone call" in panel.text
    _act(panel, "resend")
    assert "Wait until then." in panel.text
    assert telegram.mtproto.codes.pending("9996633333").kind == "sms", "Telegram was not asked"
    _act(panel, "code", code="33333")
    assert _has_logged_in(bot, telegram.vera)


def test_a_qr_code_is_shown_replaced_and_scanned(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    telegram.mtproto.tokens.valid_seconds = 2
    panel.open(_login(bot))
    _act(panel, "qr")
    first = panel.do(lambda page: page.inner_html(".panel-qr"))
    # The next one has all the time that the test may take.
    telegram.mtproto.tokens.valid_seconds = 600
    wait_until(lambda: panel.do(lambda page: page.inner_html(".panel-qr")) != first, what="a new code")
    assert "tg://" not in panel.html
    wait_until(partial(_scans, telegram, bot, telegram.vera), what="a code that is good is scanned")
    wait_until(lambda: "is logged in as @vera" in panel.text, what="the bot's page")
    _await_page(panel, _page(bot))
    assert _has_logged_in(bot, telegram.vera)
    assert bot.phone == "+9996633333"


def test_a_scanned_qr_code_may_ask_for_the_password(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    panel.open(_login(bot))
    _act(panel, "qr")
    _fault(telegram, "LOGIN_TOKEN_MIGRATE")
    _scan(telegram, bot, telegram.gleb)
    wait_until(lambda: "Enter the password" in panel.text, what="the password's page")
    _act(panel, "password", password=PASSWORD)
    assert _has_logged_in(bot, telegram.gleb)


def test_a_login_under_way_fits_a_phone_and_is_cancelled_by_keyboard(
    panel: Panel, telegram: SimpleNamespace, bot: Bot
) -> None:
    _fault(telegram, "DELAY_ANSWER", method="auth.sendCode", times=None)
    panel.do(lambda page: page.set_viewport_size({"width": 390, "height": 844}))
    panel.open(_login(bot))
    form = 'form:has(input[name=do][value="send"])'
    panel.enter(f"{form} [name=phone]", PHONE)
    assert "Telegram is asked to send a code" in panel.text
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


def test_where_the_operators_own_login_ends_meanwhile_the_page_stays_and_says_so(panel: Panel, bot: Bot) -> None:
    # No worker runs here: it stays under way, and for longer than the test takes.
    later = timezone.now() + timedelta(hours=1)
    PendingLogin.objects.create(bot=bot, asked="send", asked_at=later, expires_at=later)
    panel.open(_login(bot))
    Session.objects.all().delete()
    wait_until(lambda: "Your login has ended" in panel.text, what="word of the login's end")
    assert "Telegram is asked to send a code" in panel.text
    assert not panel.do(lambda page: page.query_selector("[name=username]"))


def _session_of(telegram: SimpleNamespace) -> StoredSession:
    """A session of Vera's that another program has made."""
    maker = Bot.objects.create(key="maker", role="actor", phone="+9996633333")
    bot_connect_with_code(bot_id=maker.pk, ask_code=lambda: "33333")
    session = StoredSession(BotSession.objects.get(bot=maker).data)
    maker.delete()
    return session


def _as_string(session: StoredSession) -> str:
    text = StringSession()
    text.set_dc(2, "149.154.167.51", 443)
    text.auth_key = session.auth_key
    return text.save()


def test_a_string_session_is_taken_over(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    text = _as_string(_session_of(telegram))
    panel.open(_login(bot))
    _act(panel, "string", text="hello")
    assert "This is no StringSession of Telethon" in panel.text
    _act(panel, "string", text=text)
    assert _has_logged_in(bot, telegram.vera)
    assert text not in panel.html


def test_a_session_file_is_taken_over(panel: Panel, telegram: SimpleNamespace, bot: Bot, tmp_path: Path) -> None:
    file = SQLiteSession(str(tmp_path / "vera"))
    file.set_dc(2, "149.154.167.51", 443)
    file.auth_key = _session_of(telegram).auth_key
    file.save()
    file.close()
    (tmp_path / "wrong.session").write_text("hello")
    panel.open(_login(bot))
    for name, words in (("wrong", "This is no session file"), ("vera", "is logged in as @vera")):
        panel.do(partial(_choose_file, tmp_path / f"{name}.session"))
        _act(panel, "file")
        assert words in panel.text
    assert _has_logged_in(bot, telegram.vera)


def test_nobody_connects_with_a_session_that_a_worker_uses(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    owner = Bot.objects.create(key="owner", role="actor", phone="+9996633333")
    bot_connect_with_code(bot_id=owner.pk, ask_code=lambda: "33333")
    text = _as_string(StoredSession(BotSession.objects.get(bot=owner).data))
    assert lease_take(bot_id=owner.pk, owner="worker")
    panel.open(_login(bot))
    _act(panel, "string", text=text)
    assert "the session of another bot already" in panel.text
    panel.open(_login(owner))
    for do in ("string", "qr", "send"):
        _act(panel, do, **({"text": text} if do == "string" else {}))
        assert "The bot is connected right now" in panel.text
    assert not telegram.mtproto.connections


def test_a_bot_whose_session_telegram_ended_is_logged_in_again_with_one_button(
    panel: Panel, telegram: SimpleNamespace, bot: Bot
) -> None:
    Bot.objects.filter(pk=bot.pk).update(phone="+9996633333")
    bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: "33333")
    Bot.objects.filter(pk=bot.pk).update(state="needs_login", state_reason="SESSION_REVOKED")
    panel.open(reverse("admin:bots_bot_changelist") + "?state__exact=needs_login")
    panel.submit('#result_list a:has-text("Log in again")')
    panel.open(_page(bot))
    panel.press("Log in again")
    _act(panel, "send")
    _act(panel, "code", code="33333")
    bot.refresh_from_db()
    assert bot.state == "offline"
    _await_page(panel, _page(bot))
    assert "Log in again" not in panel.offers()


def test_another_account_does_not_slip_into_a_bot(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    Bot.objects.filter(pk=bot.pk).update(
        state="needs_login", telegram_user_id=telegram.gleb.id, username="gleb", phone=PHONE
    )
    panel.open(_login(bot))
    _act(panel, "send", phone="+9996633333")
    _act(panel, "code", code="33333")
    assert "This is another account (@vera) than the bot's (@gleb)" in panel.text
    assert not _has_logged_in(bot, telegram.vera)
    keys = telegram.mtproto.auth_keys.dump()
    assert not any(key.user_id == telegram.vera.id for key in keys), "the login that nobody wants has ended"


def test_logging_out_ends_the_session_at_telegram(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    Bot.objects.filter(pk=bot.pk).update(phone="+9996633333")
    bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: "33333")
    panel.open(_page(bot))
    panel.press("Log out")
    assert BotSession.objects.filter(bot=bot).exists(), "it asks first"
    panel.press("Log out")
    wait_until(lambda: not PendingLogin.objects.filter(bot=bot).exists(), what="the worker has logged it out")
    panel.open(_page(bot))
    bot.refresh_from_db()
    assert not BotSession.objects.filter(bot=bot).exists()
    assert (bot.state, bot.state_reason) == ("stopped", "logged out by operator")
    assert not any(key.user_id for key in telegram.mtproto.auth_keys.dump())
    assert "Log in" in panel.offers()
    assert "Log out" not in panel.offers()


def test_a_login_may_be_begun_in_another_way_and_two_bots_never_share_an_account(
    panel: Panel, telegram: SimpleNamespace, bot: Bot
) -> None:
    other = Bot.objects.create(key="other", display_name="Olga", role="actor", phone="+9996633333")
    bot_connect_with_code(bot_id=other.pk, ask_code=lambda: "33333")
    panel.open(_login(bot))
    _act(panel, "qr")
    _act(panel, "cancel")
    assert "By phone number" in panel.text
    _act(panel, "send", phone="+9996633333")
    _act(panel, "code", code="33333")
    assert "This is the account of another bot already, Olga (other)." in panel.text


def test_a_proxy_that_does_not_answer_is_said(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    Bot.objects.filter(pk=bot.pk).update(proxy_url="socks5://me:hunter2@127.0.0.1:1")
    panel.open(_login(bot))
    _act(panel, "send", phone=PHONE)
    assert "The proxy does not answer" in panel.text
    assert "hunter2" not in panel.html


def test_what_is_wrong_with_an_account_is_said_before_anything_is_made(panel: Panel, world: SimpleNamespace) -> None:
    panel.open(reverse("admin:bots_bot_connect_account"))
    panel.fill("[name=key]", "fresh")
    panel.do(lambda page: page.select_option("[name=role]", "actor"))
    panel.fill("[name=proxy_url]", "hunter2.example")
    panel.fill("[name=api_id]", "12")
    panel.submit('form.panel-ask button[type="submit"]')
    assert "A proxy's URL is socks5://user:password@host:port" in panel.text
    assert "enter both, or neither" in panel.text
    assert "hunter2" not in panel.html
    assert not Bot.objects.filter(key="fresh").exists()


def _choose_file(file: Path, page: Page) -> None:
    page.set_input_files("[name=file]", file)


@pytest.mark.django_db(transaction=True)
def test_whoever_may_only_look_logs_nothing_in(bot: Bot) -> None:
    reader = User.objects.create_user("reader", password="x", is_staff=True)
    reader.user_permissions.set(Permission.objects.filter(codename="view_bot"))
    client = Client()
    client.force_login(reader)
    for path in (_login(bot), f"{_login(bot)}progress/", reverse("admin:bots_bot_connect_account")):
        assert client.get(path).status_code == 403
        assert client.post(path, {"do": "qr", "key": "mine", "role": "actor"}).status_code == 403
    assert not Bot.objects.filter(key="mine").exists()
    assert login_pending(bot_id=bot.pk) is None
