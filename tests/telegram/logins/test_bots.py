"""Bots are logged in and out, beside workers that drive them: nobody's session is connected twice."""

import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from telethon.sessions import SQLiteSession, StringSession

from bots.logins import steps
from bots.logins.one_shot import bot_connect_with_code
from bots.logins.page_requests import login_ask, login_cancel
from bots.logins.pending_logins import login_pending
from bots.logins.sessions import bot_import, bot_log_out
from bots.models import Bot, BotSession, PendingLogin
from bots.tasks import supervise_bots
from bots.worker.leases import lease_borrow, lease_release, lease_take
from coolthing_site.management.commands.connect_bot import Command
from sandbox.mtproto.logins.tokens import token_of
from sandbox.world.faults import Fault
from telegram.connection.session_store import StoredSession, key_of
from telegram.logins.types import LoginError
from tests.support import ROOT, wait_until
from tests.telegram.bots_support import Company, environment_of_processes
from tests.telegram.logins.login_support import login_worker_runs

PASSWORD = "correct horse"


def _code(user: Any) -> str:
    return str(user.phone[5] * 5)


def _bot(key: str, user: Any = None) -> Bot:
    return Bot.objects.create(key=key, role="parser", phone=user.phone if user else "")


def _destroyed(company: Company) -> list[Any]:
    return [key for key in company.sandbox.mtproto.auth_keys.dump() if key.destroyed]


def _scanning(company: Company, user: Any) -> Callable[[Any], None]:
    """Somebody who scans each code that is shown, as soon as it is."""

    def show(code: Any) -> None:
        company.sandbox.call(company.sandbox.mtproto.accept_token, token_of(code.url), user.id)

    return show


def test_logging_out_waits_for_the_worker_to_let_go(company: Company) -> None:
    bot = company.make_bot("anna")
    company.run(company.start(), bot)
    company.online(bot)
    bot_log_out(bot_id=bot.pk, by="olga")
    bot.refresh_from_db()
    assert (bot.state, bot.state_reason, bot.lease_owner) == ("stopped", "logged out by olga", "")
    assert not BotSession.objects.filter(bot=bot).exists()
    assert not any(key.user_id for key in company.sandbox.mtproto.auth_keys.dump())
    assert not _destroyed(company)


def test_logging_out_changes_nothing_at_telegram_when_telegram_is_away(company: Company, settings: Any) -> None:
    bot = company.make_bot("anna")
    settings.TELEGRAM_SERVER = "127.0.0.1:1"
    with pytest.raises(LoginError, match="cannot be reached"):
        bot_log_out(bot_id=bot.pk, by="olga")
    bot.refresh_from_db()
    assert (bot.state, bot.lease_owner) == ("stopped", "")
    assert BotSession.objects.filter(bot=bot).exists()


def test_a_borrowed_bot_has_no_other_owner(company: Company) -> None:
    bot = company.make_bot("anna")
    epoch = lease_borrow(bot_id=bot.pk, owner="a login", seconds=60)
    assert epoch is not None
    assert lease_take(bot_id=bot.pk, owner="worker") is None
    assert lease_borrow(bot_id=bot.pk, owner="another", seconds=60) is None
    assert lease_release(bot_id=bot.pk, epoch=epoch)
    assert lease_take(bot_id=bot.pk, owner="worker")
    with pytest.raises(LoginError, match="The account is connected"):
        bot_import(bot_id=bot.pk, session=BotSession.objects.get(bot=bot).data)
    assert not company.connections(bot)


def test_two_windows_never_use_the_new_key_at_once(company: Company) -> None:
    user = company.make_user("Fresh")
    bot = _bot("fresh", user)
    steps.login_send_code(bot_id=bot.pk)
    PendingLogin.objects.filter(bot=bot).update(busy_until=timezone.now() + timedelta(seconds=30))
    for act in (
        lambda: steps.login_enter_code(bot_id=bot.pk, code=_code(user)),
        lambda: steps.login_resend_code(bot_id=bot.pk),
        lambda: login_ask(bot_id=bot.pk, ask="qr", by="olga"),
    ):
        with pytest.raises(LoginError, match="A step of this login is under way"):
            act()
    PendingLogin.objects.filter(bot=bot).update(busy_until=timezone.now() - timedelta(seconds=1))
    logged_in = steps.login_enter_code(bot_id=bot.pk, code=_code(user))
    assert logged_in is not None and logged_in.telegram_user_id == user.id


def test_an_unfinished_login_is_deleted_with_its_secrets(company: Company) -> None:
    user = company.make_user("Fresh")
    bot = _bot("fresh", user)
    steps.login_send_code(bot_id=bot.pk)
    PendingLogin.objects.filter(bot=bot).update(expires_at=timezone.now())
    assert login_pending(bot_id=bot.pk) is None
    with pytest.raises(LoginError, match="This login has ended or was never started"):
        steps.login_enter_code(bot_id=bot.pk, code=_code(user))
    supervise_bots()
    assert not PendingLogin.objects.exists()


def test_steps_in_the_wrong_order_are_refused(company: Company) -> None:
    bot = _bot("fresh", company.make_user("Fresh"))
    for step in (
        lambda: steps.login_enter_code(bot_id=bot.pk, code="1"),
        lambda: steps.login_enter_password(bot_id=bot.pk, password="x"),
    ):
        with pytest.raises(LoginError, match="This login has ended or was never started"):
            step()
    steps.login_send_code(bot_id=bot.pk)
    with pytest.raises(LoginError, match="This login has ended or was never started"):
        steps.login_enter_password(bot_id=bot.pk, password="x")


def test_a_flood_wait_applies_to_its_step_and_outlives_a_cancel(company: Company) -> None:
    user = company.make_user("Fresh")
    bot = _bot("fresh", user)
    company.sandbox.call(
        company.sandbox.faults.plan, Fault(kind="FLOOD_WAIT", method="auth.sendCode", seconds=600, user=user.id)
    )
    with pytest.raises(LoginError, match="Too many attempts"):
        steps.login_send_code(bot_id=bot.pk)
    login_cancel(bot_id=bot.pk)
    with pytest.raises(LoginError, match="Too many attempts"):
        steps.login_send_code(bot_id=bot.pk)
    with login_worker_runs():
        login_ask(bot_id=bot.pk, ask="qr", by="olga")
        wait_until(lambda: PendingLogin.objects.filter(bot=bot, step="qr").exists(), what="a QR code")


def test_a_login_by_qr_in_a_terminal_asks_for_the_password(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    user = company.make_user("Fresh", password=PASSWORD)
    bot = _bot("fresh")
    out = StringIO()
    monkeypatch.setattr("coolthing_site.management.commands.connect_bot.getpass", lambda _: PASSWORD)
    scan, draw = _scanning(company, user), Command._show

    def show(command: Command, code: Any) -> None:
        draw(command, code)
        scan(code)

    monkeypatch.setattr(Command, "_show", show)
    call_command("connect_bot", "fresh", qr=True, stdout=out)
    assert "Link Desktop Device" in out.getvalue()
    assert "█" in out.getvalue() or "▀" in out.getvalue()
    assert "tg://" not in out.getvalue()
    bot.refresh_from_db()
    assert (bot.telegram_user_id, bot.phone) == (user.id, f"+{user.phone}")


class Typist:
    """Somebody at the terminal who types these answers, one to each question."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: str | Callable[[], str]) -> None:
        self.questions: list[str] = []
        self._answers = list(answers)
        monkeypatch.setattr("builtins.input", self)
        monkeypatch.setattr("coolthing_site.management.commands.connect_bot.getpass", self)

    def __call__(self, question: str) -> str:
        self.questions.append(question)
        answer = self._answers.pop(0)
        return answer if isinstance(answer, str) else answer()


def _nothing() -> str:
    raise EOFError


def _code_sent(company: Company, user: Any) -> str:
    pending = company.sandbox.mtproto.codes.pending(user.phone)
    assert pending is not None
    return pending.hash


def test_a_terminal_asks_again_for_what_was_mistyped(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    user = company.make_user("Fresh", password=PASSWORD)
    bot, said = _bot("fresh"), StringIO()
    typist = Typist(monkeypatch, f"+{user.phone}", "00000", _code(user), "wrong", "", PASSWORD)
    call_command("connect_bot", "fresh", stdout=StringIO(), stderr=said)
    asked = [question.split()[0] for question in typist.questions]
    assert asked == ["Phone", "Code", "Code", "Password", "Password", "Password"]
    assert [line.split(".")[0] for line in said.getvalue().splitlines()] == [
        "The code is wrong",
        "The password is wrong",
        "The password is missing",
    ]
    bot.refresh_from_db()
    assert (bot.telegram_user_id, bot.phone) == (user.id, f"+{user.phone}")


def test_a_terminal_gives_up_after_three_wrong_codes_and_the_next_run_goes_on(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = company.make_user("Fresh")
    bot = _bot("fresh")
    Typist(monkeypatch, "00000", "00001", "00002")
    with pytest.raises(CommandError, match="fresh is not logged in: The code is wrong"):
        call_command("connect_bot", "fresh", phone=f"+{user.phone}", stderr=StringIO())
    sent = _code_sent(company, user)
    Typist(monkeypatch, _nothing)
    with pytest.raises(CommandError, match="nothing was entered"):
        call_command("connect_bot", "fresh")
    assert _code_sent(company, user) == sent
    Typist(monkeypatch, _code(user))
    call_command("connect_bot", "fresh", stdout=StringIO())
    bot.refresh_from_db()
    assert bot.telegram_user_id == user.id


@pytest.mark.parametrize("why", ["expired", "never came"])
def test_a_terminal_offers_a_new_code(company: Company, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    user = company.make_user("Fresh")
    bot = _bot("fresh", user)
    steps.login_send_code(bot_id=bot.pk)
    sent = [_code_sent(company, user)]
    if why == "expired":
        company.sandbox.call(company.sandbox.mtproto.codes.expire, user.phone)

    def newest() -> str:
        sent.append(_code_sent(company, user))
        return _code(user)

    typist = Typist(monkeypatch, _code(user) if why == "expired" else "", "y", newest)
    call_command("connect_bot", "fresh", stdout=StringIO())
    assert "Should Telegram send a new code?" in typist.questions[1]
    assert len(set(sent)) == 2
    bot.refresh_from_db()
    assert bot.telegram_user_id == user.id


def test_a_declined_new_code_ends_the_login(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    user = company.make_user("Fresh")
    _bot("fresh", user)

    def late() -> str:
        company.sandbox.call(company.sandbox.mtproto.codes.expire, user.phone)
        return _code(user)

    Typist(monkeypatch, late, "n")
    with pytest.raises(CommandError, match="fresh is not logged in: The code has expired"):
        call_command("connect_bot", "fresh")


def test_sessions_are_taken_over_in_a_terminal(
    company: Company, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = company.make_bot("anna")
    key = StoredSession(BotSession.objects.get(bot=made).data).auth_key
    made.delete()
    text, file = StringSession(), SQLiteSession(str(tmp_path / "anna"))
    for session in (text, file):
        session.set_dc(2, "149.154.167.51", 443)
        session.auth_key = key
    file.save()
    file.close()
    bot = _bot("anna2")
    monkeypatch.setattr("sys.stdin", StringIO(text.save() + "\n"))
    call_command("connect_bot", "anna2", string_session=True, stdout=StringIO())
    first = BotSession.objects.get(bot=bot).data
    call_command("connect_bot", "anna2", session_file=tmp_path / "anna.session", stdout=StringIO())
    assert key is not None
    assert key_of(first) == sha256(key.key).hexdigest()
    with pytest.raises(CommandError, match="No such file"):
        call_command("connect_bot", "anna2", session_file=tmp_path / "none.session")
    with pytest.raises(CommandError, match="This session already belongs to another account"):
        call_command("connect_bot", _bot("third").key, session_file=tmp_path / "anna.session")
    assert not _destroyed(company)


def test_a_number_that_telegram_knows_differently_is_kept_as_telegram_has_it(company: Company) -> None:
    user = company.make_user("Fresh")
    bot = Bot.objects.create(key="fresh", role="parser", phone=f"+{user.phone[:3]} {user.phone[3:]}")
    spelled = bot.phone
    bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: _code(user))
    bot.refresh_from_db()
    assert bot.phone == spelled, "the same digits"


# What a page does with the phone number, in a process that does not live to see the next page.
BEGIN = """
import os, signal, sys, django
django.setup()
from bots.logins import steps
from bots.logins.pending_logins import login_pending
steps.login_send_code(bot_id=sys.argv[1])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_login_goes_on_in_another_process_when_the_first_was_killed(company: Company) -> None:
    user = company.make_user("Fresh", password=PASSWORD)
    bot = _bot("fresh", user)
    begun = subprocess.run([sys.executable, "-c", BEGIN, str(bot.pk)], cwd=ROOT, env=environment_of_processes())
    assert begun.returncode == -signal.SIGKILL
    pending = login_pending(bot_id=bot.pk)
    assert pending is not None and pending.step == "code"
    assert steps.login_enter_code(bot_id=bot.pk, code=_code(user)) is None
    assert steps.login_enter_password(bot_id=bot.pk, password=PASSWORD).telegram_user_id == user.id
    assert login_pending(bot_id=bot.pk) is None
    assert not _destroyed(company)
