"""Sessions that exist already are taken over from the panel, and ended."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

from playwright.sync_api import Page
from telethon.sessions import SQLiteSession, StringSession

from bots.logins.one_shot import bot_connect_with_code
from bots.models import Bot, BotSession, PendingLogin
from bots.worker.leases import lease_take
from telegram.connection.session_store import StoredSession
from tests.browser.login_pages import act, bot_page, has_logged_in, login_page
from tests.browser.panel import Panel
from tests.support import wait_until


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


def _choose_file(file: Path, page: Page) -> None:
    page.set_input_files("[name=file]", file)


def test_a_string_session_is_taken_over(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    text = _as_string(_session_of(telegram))
    panel.open(login_page(bot))
    act(panel, "string", text="hello")
    assert "This is not a StringSession of Telethon" in panel.text
    act(panel, "string", text=text)
    assert has_logged_in(bot, telegram.vera)
    assert text not in panel.html


def test_a_session_file_is_taken_over(panel: Panel, telegram: SimpleNamespace, bot: Bot, tmp_path: Path) -> None:
    file = SQLiteSession(str(tmp_path / "vera"))
    file.set_dc(2, "149.154.167.51", 443)
    file.auth_key = _session_of(telegram).auth_key
    file.save()
    file.close()
    (tmp_path / "wrong.session").write_text("hello")
    panel.open(login_page(bot))
    for name, words in (("wrong", "This is not a session file"), ("vera", "is logged in as @vera")):
        panel.do(partial(_choose_file, tmp_path / f"{name}.session"))
        act(panel, "file")
        assert words in panel.text
    assert has_logged_in(bot, telegram.vera)


def test_a_session_that_a_worker_uses_is_not_connected_again(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    owner = Bot.objects.create(key="owner", role="actor", phone="+9996633333")
    bot_connect_with_code(bot_id=owner.pk, ask_code=lambda: "33333")
    text = _as_string(StoredSession(BotSession.objects.get(bot=owner).data))
    assert lease_take(bot_id=owner.pk, owner="worker")
    panel.open(login_page(bot))
    act(panel, "string", text=text)
    assert "This session already belongs to another account" in panel.text
    panel.open(login_page(owner))
    for do in ("string", "qr", "send"):
        act(panel, do, **({"text": text} if do == "string" else {}))
        assert "The account is connected" in panel.text
    assert not telegram.mtproto.connections


def test_logging_out_ends_the_session_at_telegram(panel: Panel, telegram: SimpleNamespace, bot: Bot) -> None:
    Bot.objects.filter(pk=bot.pk).update(phone="+9996633333")
    bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: "33333")
    panel.open(bot_page(bot))
    panel.press("Log out")
    assert BotSession.objects.filter(bot=bot).exists(), "it asks first"
    panel.press("Log out")
    wait_until(lambda: not PendingLogin.objects.filter(bot=bot).exists(), what="the worker has logged it out")
    panel.open(bot_page(bot))
    bot.refresh_from_db()
    assert not BotSession.objects.filter(bot=bot).exists()
    assert (bot.state, bot.state_reason) == ("stopped", "logged out by operator")
    assert not any(key.user_id for key in telegram.mtproto.auth_keys.dump())
    assert "Log in" in panel.offers()
    assert "Log out" not in panel.offers()
