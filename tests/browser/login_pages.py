"""What the browser's tests of the login pages share: forms to fill in, and a Telegram that a test makes fail."""

from types import SimpleNamespace
from typing import Any

from django.urls import reverse
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page

from bots.logins.pending_logins import login_pending, qr_code
from bots.models import Bot, BotSession
from sandbox.mtproto.logins.tokens import token_of
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.world.faults import Fault
from tests.browser.panel import Panel
from tests.support import wait_until

PHONE = "+9996644444"
CODE = "44444"
PASSWORD = "correct horse"
# Of a page that waits for a worker.
UNDER_WAY = '[name=shown][value^="doing:"]'


def plan_fault(telegram: SimpleNamespace, kind: Any, **values: Any) -> None:
    telegram.sandbox.call(telegram.sandbox.faults.plan, Fault(kind=kind, **values))


def scan(telegram: SimpleNamespace, bot: Bot, user: Any) -> None:
    pending = login_pending(bot_id=bot.pk)
    assert pending is not None
    telegram.sandbox.call(telegram.mtproto.accept_token, token_of(qr_code(pending).url), user.id)


def scans(telegram: SimpleNamespace, bot: Bot, user: Any) -> bool:
    """Whether the code was still good."""
    try:
        scan(telegram, bot, user)
    except RpcFailure:
        return False
    return True


def bot_page(bot: Bot) -> str:
    return reverse("admin:bots_bot_change", args=[bot.pk])


def login_page(bot: Bot) -> str:
    return reverse("admin:bots_bot_login", args=[bot.pk])


def has_gone_on(page: Page) -> bool:
    """Asked in one step of one document: between two of them nothing is under way, and nothing is shown."""
    try:
        seen = "waits => document.readyState === 'complete' && !document.querySelector(waits)"
        return bool(page.evaluate(seen, UNDER_WAY))
    except PlaywrightError:
        # The next document has taken its place meanwhile.
        return False


def act(panel: Panel, do: str, **values: str) -> None:
    """Fill in a form of the login page, send it, and wait until the page goes on from what a worker has done."""
    form = f'form:has(input[name=do][value="{do}"])'
    for name, value in values.items():
        panel.fill(f"{form} [name={name}]", value)
    panel.submit(f"{form} button[type=submit]")
    wait_until(lambda: panel.do(has_gone_on), what="a page that waits for no worker")


def await_page(panel: Panel, path: str) -> None:
    """The login page leads on by itself, when its next look finds that a worker has finished."""
    wait_until(lambda: panel.path == path, what=path)


def has_logged_in(bot: Bot, user: Any) -> bool:
    bot.refresh_from_db()
    return bot.telegram_user_id == user.id and BotSession.objects.filter(bot=bot).exists()
