"""A database that is away for a moment, or stays away, while a worker does a step of a login."""

import threading

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from bots.logins import pending_logins, sessions, telegram_calls
from bots.logins.claims import INTERRUPTED, claim_next
from bots.logins.login_worker import LoginWorker, login_work
from bots.logins.one_shot import bot_connect_with_code
from bots.logins.page_requests import login_progress
from bots.models import BotSession, PendingLogin
from sandbox.world.faults import Fault
from tests.support import wait_until
from tests.telegram.bots_support import Company
from tests.telegram.logins.login_support import (
    PASSWORD,
    answers_again,
    ask_and_wait,
    ask_worker,
    code_of,
    fails,
    fresh,
    has_no_login,
    slow_down,
)


def test_a_lost_database_connection_loses_no_login(company: Company, login_worker: LoginWorker) -> None:
    bot, user = fresh(company)
    ask_and_wait(bot, "send")
    slow_down(company, "auth.signIn")
    ask_worker(bot, "code", code_of(user))
    wait_until(lambda: not has_no_login(company, user), what="Telegram has logged it in")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone()[0] > 0
    answers_again(company)
    wait_until(lambda: BotSession.objects.filter(bot=bot).exists(), what="the login is kept")
    assert not PendingLogin.objects.exists()
    other, _ = fresh(company, "Other")
    assert ask_and_wait(other, "send").step == "code", "the worker goes on"


def test_a_moment_without_the_database_loses_no_answer_of_telegram(
    company: Company, login_worker: LoginWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, user = fresh(company, password=PASSWORD)
    fails(monkeypatch, pending_logins, "database_clock", 1)
    assert ask_and_wait(bot, "send").step == "code"
    fails(monkeypatch, pending_logins, "database_clock", 1)
    assert ask_and_wait(bot, "code", code_of(user)).step == "password"
    other, _ = fresh(company, "Other")
    company.sandbox.call(company.sandbox.faults.plan, Fault(kind="FLOOD_WAIT", method="auth.sendCode", seconds=900))
    fails(monkeypatch, telegram_calls, "database_clock", 1)
    waiting = ask_and_wait(other, "send")
    assert (waiting.waits_for, waiting.wait_until is not None) == ("code", True)


def test_a_moment_without_the_database_leaves_no_dead_session(
    company: Company, login_worker: LoginWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, user = fresh(company)
    bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: code_of(user))
    fails(monkeypatch, sessions, "bot_set_state", 1)
    ask_and_wait(bot, "log_out")
    assert not BotSession.objects.exists()
    assert not PendingLogin.objects.exists()


def test_a_database_that_stays_away_leaves_the_claim_to_lapse(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, _ = fresh(company)
    ask_worker(bot, "send")
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
