"""Workers do what operators ask for on the pages of logins: no web request waits for Telegram, nothing hangs."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bots.logins import page_requests, pending_logins, sessions, steps, telegram_calls
from bots.logins.claims import INTERRUPTED, NOT_TAKEN, Job, claim_next, logins_lapse
from bots.logins.login_worker import LoginWorker, login_work
from bots.logins.one_shot import bot_connect_with_code
from bots.logins.page_requests import login_ask, login_cancel, login_progress
from bots.logins.pending_logins import login_pending, qr_code
from bots.logins.telegram_calls import UNSEEN
from bots.models import Bot, BotSession, Host, PendingLogin
from bots.worker.executor import THREADS, in_db
from sandbox.mtproto.tokens import token_of
from sandbox.world.faults import Fault
from telegram.logins import connection as telegram_connecting
from telegram.logins.types import LoginError
from tests.support import wait_until
from tests.telegram.bots_support import Company
from tests.telegram.login_support import login_worker_runs

PASSWORD = "correct horse"


@pytest.fixture
def worker(company: Company) -> Iterator[LoginWorker]:
    with login_worker_runs() as worker:
        yield worker


def _fresh(company: Company, name: str = "Fresh", **values: Any) -> tuple[Bot, Any]:
    user = company.make_user(name, **values)
    return Bot.objects.create(key=name.lower(), role="parser", phone=user.phone), user


def _code(user: Any) -> str:
    return str(user.phone[5] * 5)


def _slow(company: Company, method: str) -> None:
    """Telegram does what this asks for, and answers only when the faults are cleared."""
    company.sandbox.call(company.sandbox.faults.plan, Fault(kind="DELAY_ANSWER", method=method, times=None))


def _answers(company: Company) -> None:
    company.sandbox.call(company.sandbox.faults.clear)


def _ask(bot: Bot, ask: str, given: str = "") -> None:
    login_ask(bot_id=bot.pk, ask=ask, by="olga", given=given)


def _asked(bot: Bot, ask: str, given: str = "") -> PendingLogin:
    """The login once a worker has done this."""
    _ask(bot, ask, given)
    return _idle(bot)


def _idle(bot: Bot) -> PendingLogin:
    wait_until(lambda: not PendingLogin.objects.exclude(asked="").filter(bot=bot).exists(), what="the worker is done")
    return PendingLogin.objects.filter(bot=bot).first() or PendingLogin(bot=bot)


def _claimed(bot: Bot) -> PendingLogin:
    return wait_until(lambda: PendingLogin.objects.filter(bot=bot, claim__isnull=False).first(), what="a worker has it")


def _at_telegram(company: Company) -> bool:
    return bool(company.sandbox.mtproto.connections)


def _killed(bot: Bot) -> Job:
    """What a worker leaves that was killed right after it had taken the login, when its lease is over."""
    job = claim_next(owner="killed", stop=threading.Event())
    assert job is not None and job.bot_id == bot.pk
    PendingLogin.objects.filter(bot=bot).update(busy_until=timezone.now() - timedelta(seconds=1))
    return job


def test_more_slow_logins_than_web_threads_leave_every_page_quick(company: Company, worker: LoginWorker) -> None:
    logged = [_fresh(company, f"Fresh{number}") for number in range(4)]
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    _slow(company, "auth.sendCode")

    def get(path: str) -> int:
        try:
            return client.get(path).status_code
        finally:
            connections.close_all()

    def post(bot: Bot) -> int:
        try:
            return client.post(reverse("admin:bots_bot_login", args=[bot.pk]), {"do": "send"}).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=2) as web_threads:
        asked = [web_threads.submit(post, bot) for bot, _ in logged]
        health = web_threads.submit(get, reverse("health"))
        page = web_threads.submit(get, reverse("admin:bots_bot_login", args=[logged[0][0].pk]))
        assert [one.result() for one in (*asked, health, page)] == [302] * 4 + [200] * 2
    for bot, _ in logged:
        _claimed(bot)
    assert PendingLogin.objects.filter(asked="send").count() == 4, "all of them still wait for Telegram"
    _answers(company)
    for bot, _ in logged:
        assert _idle(bot).step == "code"


def test_without_scripts_the_page_goes_on_by_reloading(company: Company) -> None:
    bot, user = _fresh(company)
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    login, progress = (reverse(f"admin:bots_bot_{name}", args=[bot.pk]) for name in ("login", "login_progress"))
    client.post(login, {"do": "send"})
    page = client.get(login).content.decode()
    assert f'<noscript><meta http-equiv="refresh" content="3;url={progress}"></noscript>' in page
    assert "No bots worker takes logins" in page
    assert client.get(progress).headers["Location"] == f"{login}?asked="
    with login_worker_runs():
        _idle(bot)
    assert client.get(progress).headers["Location"] == f"{login}?asked="
    page = client.get(login).content.decode()
    assert "Enter the code" in page
    assert "http-equiv" not in page
    after = client.post(login, {"do": "code", "code": _code(user)}).headers["Location"]
    with login_worker_runs():
        _idle(bot)
    assert client.get(after).headers["Location"] == reverse("admin:bots_bot_change", args=[bot.pk])


def test_code_and_password_go_through_a_worker_and_are_kept_nowhere(company: Company, worker: LoginWorker) -> None:
    bot, user = _fresh(company, password=PASSWORD)
    assert _asked(bot, "send").step == "code"
    assert "The code is wrong" in _asked(bot, "code", "00000").problem
    assert _asked(bot, "code", _code(user)).step == "password"
    wrong = _asked(bot, "password", "not it")
    assert (wrong.step, wrong.given, "The password is wrong" in wrong.problem) == ("password", "", True)
    _asked(bot, "password", PASSWORD)
    bot.refresh_from_db()
    assert bot.telegram_user_id == user.id
    assert not PendingLogin.objects.exists()


def test_what_was_typed_is_encrypted_until_a_worker_takes_it_and_then_gone(company: Company) -> None:
    bot, _ = _fresh(company)
    _ask(bot, "send", "+49151234567")
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(p)::text FROM bots_pendinglogin p")
        assert "49151234567" not in cursor.fetchone()[0]
    job = claim_next(owner="a", stop=threading.Event())
    assert job is not None and job.given == "+49151234567"
    assert "49151234567" not in repr(job)
    assert PendingLogin.objects.get().given == ""


def test_a_second_submit_and_a_second_worker_change_nothing(company: Company) -> None:
    bot, _ = _fresh(company)
    _ask(bot, "send")
    with pytest.raises(LoginError, match="at this moment"):
        _ask(bot, "send", "+49151234567")
    job = claim_next(owner="a", stop=threading.Event())
    assert job is not None
    assert claim_next(owner="b", stop=threading.Event()) is None
    with pytest.raises(LoginError, match="at this moment"):
        _ask(bot, "qr")
    login_work(job)
    login_work(job)
    pending = login_pending(bot_id=bot.pk)
    assert pending is not None and (pending.step, pending.problem, pending.asked) == ("code", "", "")


def test_steps_that_were_not_reached_are_refused_at_once(company: Company) -> None:
    bot, _ = _fresh(company)
    for ask in ("code", "password", "resend"):
        with pytest.raises(LoginError, match="over or was never begun"):
            _ask(bot, ask, "1")
    assert not PendingLogin.objects.exists()


def test_a_killed_worker_leaves_a_login_that_says_so_and_goes_on(company: Company) -> None:
    bot, user = _fresh(company)
    with login_worker_runs():
        assert _asked(bot, "send").step == "code"
    _ask(bot, "code", _code(user))
    job = _killed(bot)
    assert claim_next(owner="another", stop=threading.Event()) is None, "what was typed is gone"
    progress = login_progress(bot_id=bot.pk)
    assert progress.pending is not None
    assert (progress.doing, progress.pending.problem, progress.pending.asked) == ("", INTERRUPTED, "")
    with login_worker_runs():
        login_work(job)
        assert not BotSession.objects.filter(bot=bot).exists(), "whoever was only frozen has lost it"
        _asked(bot, "code", _code(user))
    assert BotSession.objects.filter(bot=bot).exists()


def test_beat_finds_what_no_page_looks_at(company: Company) -> None:
    killed, _ = _fresh(company, "Killed")
    waiting, _ = _fresh(company, "Waiting")
    _ask(killed, "send")
    _killed(killed)
    _ask(waiting, "send")
    PendingLogin.objects.filter(bot=waiting).update(asked_at=timezone.now() - timedelta(minutes=4))
    assert claim_next(owner="late", stop=threading.Event()) is None
    logins_lapse()
    problems = dict(PendingLogin.objects.values_list("bot__key", "problem"))
    assert problems == {"killed": INTERRUPTED, "waiting": NOT_TAKEN}
    assert not PendingLogin.objects.exclude(asked="", given="").exists()


def test_a_cancelled_login_is_over_at_once_and_its_connection_is_closed(company: Company, worker: LoginWorker) -> None:
    bot, _ = _fresh(company)
    _slow(company, "auth.sendCode")
    _ask(bot, "send")
    _claimed(bot)
    wait_until(lambda: _at_telegram(company), what="a connection")
    login_cancel(bot_id=bot.pk)
    assert login_progress(bot_id=bot.pk).pending is None
    _answers(company)
    wait_until(lambda: not _at_telegram(company), what="the connection closed")
    assert not PendingLogin.objects.exists()
    assert _asked(bot, "send").step == "code"


def _without(company: Company, user: Any) -> bool:
    return not any(key.user_id == user.id for key in company.sandbox.mtproto.auth_keys.dump())


def test_a_login_that_was_cancelled_while_it_succeeded_is_ended_at_telegram(
    company: Company, worker: LoginWorker
) -> None:
    bot, user = _fresh(company)
    _asked(bot, "send")
    _slow(company, "auth.signIn")
    _ask(bot, "code", _code(user))
    wait_until(lambda: not _without(company, user), what="Telegram has logged it in")
    login_cancel(bot_id=bot.pk)
    wait_until(lambda: _without(company, user), what="the login ended")
    wait_until(lambda: not _at_telegram(company), what="the connection closed")
    assert not BotSession.objects.filter(bot=bot).exists()
    assert not PendingLogin.objects.exists()


def test_a_worker_that_is_to_stop_says_so_and_closes_the_connection(company: Company) -> None:
    bot, user = _fresh(company)
    with login_worker_runs():
        _asked(bot, "send")
        _slow(company, "auth.signIn")
        _ask(bot, "code", _code(user))
        wait_until(lambda: not _without(company, user), what="Telegram has logged it in")
    pending = login_pending(bot_id=bot.pk)
    assert pending is not None
    assert (pending.step, pending.asked, pending.problem, pending.claim) == ("code", "", INTERRUPTED, None)
    wait_until(lambda: not _at_telegram(company), what="the connection closed")


def _shown(bot: Bot, worker: str) -> str:
    def url() -> str:
        pending = PendingLogin.objects.filter(bot=bot, step="qr", worker=worker).first()
        return qr_code(pending).url if pending else ""

    return wait_until(url, what=f"{worker} shows a code")


def test_another_worker_goes_on_with_a_qr_code(company: Company) -> None:
    bot, user = _fresh(company)
    company.sandbox.mtproto.tokens.valid_seconds = 600
    with login_worker_runs(name="first"):
        _ask(bot, "qr")
        code = _shown(bot, "first")
        assert login_progress(bot_id=bot.pk).doing == ""
    wait_until(lambda: not _at_telegram(company), what="the first connection closed")
    with login_worker_runs(name="second"):
        assert _shown(bot, "second") == code
        company.sandbox.call(company.sandbox.mtproto.accept_token, token_of(code), user.id)
        _idle(bot)
    bot.refresh_from_db()
    assert bot.telegram_user_id == user.id
    assert not any(key.destroyed for key in company.sandbox.mtproto.auth_keys.dump())


def test_a_qr_code_that_was_shown_for_minutes_is_gone_on_with_too(company: Company) -> None:
    bot, _ = _fresh(company)
    _ask(bot, "qr")
    _killed(bot)
    PendingLogin.objects.update(asked_at=timezone.now() - timedelta(minutes=4))
    assert login_progress(bot_id=bot.pk).doing
    assert claim_next(owner="another", stop=threading.Event()) is not None


def test_a_login_neither_waits_for_the_bots_database_threads_nor_occupies_them(company: Company) -> None:
    bot, _ = _fresh(company)
    release = threading.Event()

    async def all_busy() -> None:
        await asyncio.gather(*[in_db(release.wait, 60) for _ in range(THREADS)])

    with ThreadPoolExecutor(max_workers=1) as bots, login_worker_runs():
        busy = bots.submit(asyncio.run, all_busy())
        try:
            _ask(bot, "qr")
            assert _shown(bot, "logins")
            PendingLogin.objects.update(seen_at=timezone.now() - timedelta(minutes=5))
            assert _idle(bot).problem == UNSEEN
            assert not busy.done()
        finally:
            release.set()


def test_a_qr_code_that_nobody_looks_at_is_put_away(
    company: Company, worker: LoginWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, _ = _fresh(company)
    _ask(bot, "qr")
    _shown(bot, "logins")
    PendingLogin.objects.update(seen_at=timezone.now() - timedelta(minutes=5))
    pending = _idle(bot)
    assert (pending.step, pending.problem, pending.state) == ("start", UNSEEN, "")
    wait_until(lambda: not _at_telegram(company), what="the connection closed")


def test_a_login_waits_for_a_free_slot_and_says_so(company: Company, settings: Any) -> None:
    first, _ = _fresh(company, "First")
    second, _ = _fresh(company, "Second")
    settings.LOGINS_PER_WORKER = 1
    _ask(first, "send")
    assert login_progress(bot_id=first.pk).why == page_requests.NO_WORKER
    Host.objects.create(name="logins", role="actor", capacity=1)
    assert login_progress(bot_id=first.pk).why == page_requests.STARTING
    _slow(company, "auth.sendCode")
    with login_worker_runs(slots=1):
        _claimed(first)
        _ask(second, "send")
        assert login_progress(bot_id=second.pk).why == (
            "It waits for a free slot: 1 logins are being worked on. This goes on by itself."
        )
        assert login_progress(bot_id=first.pk).why == ""
        _answers(company)
        assert _idle(second).step == "code"


def test_a_lost_database_connection_loses_no_login(company: Company, worker: LoginWorker) -> None:
    bot, user = _fresh(company)
    _asked(bot, "send")
    _slow(company, "auth.signIn")
    _ask(bot, "code", _code(user))
    wait_until(lambda: not _without(company, user), what="Telegram has logged it in")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone()[0] > 0
    _answers(company)
    wait_until(lambda: BotSession.objects.filter(bot=bot).exists(), what="the login is kept")
    assert not PendingLogin.objects.exists()
    other, _ = _fresh(company, "Other")
    assert _asked(other, "send").step == "code", "the worker goes on"


def test_what_nobody_foresaw_is_said_too(
    company: Company, worker: LoginWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, _ = _fresh(company)

    async def breaks(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("telegram.logins.client.request_code", breaks)
    assert _asked(bot, "send").problem == steps.UNFORESEEN


def test_the_logins_connection_is_closed_before_a_bot_may_start(
    company: Company, worker: LoginWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, user = _fresh(company)
    _asked(bot, "send")
    steps: list[str] = []
    close, keep = telegram_connecting.close, sessions.bot_connect

    async def closing(*args: Any) -> None:
        await close(*args)
        steps.append("closed")

    def keeping(**values: Any) -> Bot:
        steps.append("kept")
        return keep(**values)

    monkeypatch.setattr(telegram_connecting, "close", closing)
    monkeypatch.setattr(sessions, "bot_connect", keeping)
    _asked(bot, "code", _code(user))
    assert steps == ["closed", "kept"]


def test_logging_out_is_done_by_a_worker_and_told_when_it_fails(
    company: Company, worker: LoginWorker, settings: Any
) -> None:
    bot, user = _fresh(company)
    bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: _code(user))
    server, settings.TELEGRAM_SERVER = settings.TELEGRAM_SERVER, "127.0.0.1:1"
    assert _asked(bot, "log_out").problem.startswith("Not logged out: Telegram cannot be reached")
    bot.refresh_from_db()
    assert (bot.state, bot.state_reason) == ("stopped", "logged out by olga")
    settings.TELEGRAM_SERVER = server
    _asked(bot, "log_out")
    assert not BotSession.objects.filter(bot=bot).exists()
    assert not PendingLogin.objects.exists()
    assert _without(company, user)


def test_another_worker_goes_on_logging_out_which_cannot_be_cancelled(company: Company) -> None:
    bot, user = _fresh(company)
    bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: _code(user))
    _ask(bot, "log_out")
    with pytest.raises(LoginError, match="is being logged out"):
        login_cancel(bot_id=bot.pk)
    _killed(bot)
    with login_worker_runs():
        _idle(bot)
    assert not BotSession.objects.filter(bot=bot).exists()


def _fails(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, times: int) -> None:
    """The database is away for the next calls of this function."""
    real, left = getattr(module, name), [times]

    def failing(*args: Any, **values: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OperationalError("gone")
        return real(*args, **values)

    monkeypatch.setattr(module, name, failing)


def test_a_moment_without_the_database_loses_no_answer_of_telegram(
    company: Company, worker: LoginWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, user = _fresh(company, password=PASSWORD)
    _fails(monkeypatch, pending_logins, "database_clock", 1)
    assert _asked(bot, "send").step == "code"
    _fails(monkeypatch, pending_logins, "database_clock", 1)
    assert _asked(bot, "code", _code(user)).step == "password"
    other, _ = _fresh(company, "Other")
    company.sandbox.call(company.sandbox.faults.plan, Fault(kind="FLOOD_WAIT", method="auth.sendCode", seconds=900))
    _fails(monkeypatch, telegram_calls, "database_clock", 1)
    waiting = _asked(other, "send")
    assert (waiting.waits_for, waiting.wait_until is not None) == ("code", True)


def test_a_moment_without_the_database_leaves_no_dead_session(
    company: Company, worker: LoginWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, user = _fresh(company)
    bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: _code(user))
    _fails(monkeypatch, sessions, "bot_set_state", 1)
    _asked(bot, "log_out")
    assert not BotSession.objects.exists()
    assert not PendingLogin.objects.exists()


def test_a_database_that_stays_away_leaves_the_claim_to_lapse(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, _ = _fresh(company)
    _ask(bot, "send")
    job = claim_next(owner="logins", stop=threading.Event())
    assert job is not None

    def away() -> None:
        job.claim.deadline = 0.0
        raise OperationalError("gone")

    monkeypatch.setattr(pending_logins, "database_clock", away)
    login_work(job)
    PendingLogin.objects.update(busy_until=timezone.now())
    progress = login_progress(bot_id=bot.pk)
    assert progress.pending is not None
    assert progress.pending.problem == INTERRUPTED


def test_a_wait_outlives_what_succeeds_in_another_way(company: Company, worker: LoginWorker) -> None:
    bot, _ = _fresh(company)
    company.sandbox.call(company.sandbox.faults.plan, Fault(kind="FLOOD_WAIT", method="auth.sendCode", seconds=7200))
    until = _asked(bot, "send").wait_until
    _ask(bot, "qr")
    _shown(bot, "logins")
    assert PendingLogin.objects.get().expires_at == until
    login_cancel(bot_id=bot.pk)
    wait_until(lambda: not _at_telegram(company), what="the connection closed")
    waiting = _asked(bot, "send")
    assert (waiting.step, waiting.wait_until) == ("start", until)


def test_of_two_waits_both_last_until_the_later_ends(company: Company, worker: LoginWorker) -> None:
    bot, _ = _fresh(company)
    for method, seconds in (("auth.sendCode", 7200), ("auth.exportLoginToken", 60)):
        fault = Fault(kind="FLOOD_WAIT", method=method, seconds=seconds)
        company.sandbox.call(company.sandbox.faults.plan, fault)
    until = _asked(bot, "send").wait_until
    _asked(bot, "qr")
    waiting = _asked(bot, "send")
    assert (waiting.step, waiting.wait_until) == ("start", until)


def test_a_session_that_is_taken_over_for_two_bots_at_once_is_connected_once(
    company: Company, worker: LoginWorker
) -> None:
    first, user = _fresh(company)
    bot_connect_with_code(bot_id=first.pk, ask_code=lambda: _code(user))
    session = BotSession.objects.get().data
    BotSession.objects.all().delete()
    second = Bot.objects.create(key="second", role="parser")
    _slow(company, "users.getUsers")
    _ask(first, "import", session)
    wait_until(lambda: _at_telegram(company), what="a connection")
    _ask(second, "import", session)
    wait_until(lambda: PendingLogin.objects.filter(bot=second).exclude(problem="").exists(), what="a refusal")
    assert PendingLogin.objects.get(bot=second).problem == sessions.TAKEN_OVER
    _answers(company)
    _idle(first)
    assert BotSession.objects.get().bot == first
    assert not any(key.destroyed for key in company.sandbox.mtproto.auth_keys.dump())
