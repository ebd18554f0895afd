"""Workers do what operators ask for on the pages of logins: no web request waits for Telegram, nothing hangs."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client
from django.urls import reverse

from bots.logins import page_requests, sessions, steps
from bots.logins.claims import claim_next
from bots.logins.login_worker import LoginWorker, login_work
from bots.logins.page_requests import login_cancel, login_progress
from bots.logins.pending_logins import login_pending
from bots.models import Bot, Host, PendingLogin
from sandbox.world.faults import Fault
from telegram.logins import connection as telegram_connecting
from telegram.logins.types import LoginError
from tests.support import wait_until
from tests.telegram.bots_support import Company
from tests.telegram.logins.login_support import (
    PASSWORD,
    answers_again,
    ask_and_wait,
    ask_worker,
    code_of,
    fresh,
    is_at_telegram,
    login_worker_runs,
    qr_url_shown,
    slow_down,
    wait_until_claimed,
    wait_until_idle,
)


def test_more_slow_logins_than_web_threads_leave_every_page_quick(company: Company, login_worker: LoginWorker) -> None:
    logged = [fresh(company, f"Fresh{number}") for number in range(4)]
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    slow_down(company, "auth.sendCode")

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
        assert [response.result() for response in (*asked, health, page)] == [302] * 4 + [200] * 2
    for bot, _ in logged:
        wait_until_claimed(bot)
    assert PendingLogin.objects.filter(asked="send").count() == 4, "all of them still wait for Telegram"
    answers_again(company)
    for bot, _ in logged:
        assert wait_until_idle(bot).step == "code"


def test_without_scripts_the_page_goes_on_by_reloading(company: Company) -> None:
    bot, user = fresh(company)
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    login, progress = (reverse(f"admin:bots_bot_{name}", args=[bot.pk]) for name in ("login", "login_progress"))
    client.post(login, {"do": "send"})
    page = client.get(login).content.decode()
    assert f'<noscript><meta http-equiv="refresh" content="3;url={progress}"></noscript>' in page
    assert "No worker accepts logins" in page
    assert client.get(progress).headers["Location"] == f"{login}?asked="
    with login_worker_runs():
        wait_until_idle(bot)
    assert client.get(progress).headers["Location"] == f"{login}?asked="
    page = client.get(login).content.decode()
    assert "Enter the code" in page
    assert "http-equiv" not in page
    after = client.post(login, {"do": "code", "code": code_of(user)}).headers["Location"]
    with login_worker_runs():
        wait_until_idle(bot)
    assert client.get(after).headers["Location"] == reverse("admin:bots_bot_change", args=[bot.pk])


def test_code_and_password_go_through_a_worker_and_are_kept_nowhere(
    company: Company, login_worker: LoginWorker
) -> None:
    bot, user = fresh(company, password=PASSWORD)
    assert ask_and_wait(bot, "send").step == "code"
    assert "The code is wrong" in ask_and_wait(bot, "code", "00000").problem
    assert ask_and_wait(bot, "code", code_of(user)).step == "password"
    wrong = ask_and_wait(bot, "password", "not it")
    assert (wrong.step, wrong.given, "The password is wrong" in wrong.problem) == ("password", "", True)
    ask_and_wait(bot, "password", PASSWORD)
    bot.refresh_from_db()
    assert bot.telegram_user_id == user.id
    assert not PendingLogin.objects.exists()


def test_what_was_typed_is_encrypted_until_a_worker_takes_it_and_then_gone(company: Company) -> None:
    bot, _ = fresh(company)
    ask_worker(bot, "send", "+49151234567")
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(p)::text FROM bots_pendinglogin p")
        assert "49151234567" not in cursor.fetchone()[0]
    job = claim_next(owner="a", stop=threading.Event())
    assert job is not None and job.given == "+49151234567"
    assert "49151234567" not in repr(job)
    assert PendingLogin.objects.get().given == ""


def test_a_second_submit_and_a_second_worker_change_nothing(company: Company) -> None:
    bot, _ = fresh(company)
    ask_worker(bot, "send")
    with pytest.raises(LoginError, match="A step of this login is under way"):
        ask_worker(bot, "send", "+49151234567")
    job = claim_next(owner="a", stop=threading.Event())
    assert job is not None
    assert claim_next(owner="b", stop=threading.Event()) is None
    with pytest.raises(LoginError, match="A step of this login is under way"):
        ask_worker(bot, "qr")
    login_work(job)
    login_work(job)
    pending = login_pending(bot_id=bot.pk)
    assert pending is not None and (pending.step, pending.problem, pending.asked) == ("code", "", "")


def test_steps_that_were_not_reached_are_refused_at_once(company: Company) -> None:
    bot, _ = fresh(company)
    for ask in ("code", "password", "resend"):
        with pytest.raises(LoginError, match="This login has ended or was never started"):
            ask_worker(bot, ask, "1")
    assert not PendingLogin.objects.exists()


def test_a_login_waits_for_a_free_slot_and_shows_it(company: Company, settings: Any) -> None:
    first, _ = fresh(company, "First")
    second, _ = fresh(company, "Second")
    settings.LOGINS_PER_WORKER = 1
    ask_worker(first, "send")
    assert login_progress(bot_id=first.pk).why == page_requests.NO_WORKER
    Host.objects.create(name="logins", role="actor", capacity=1)
    assert login_progress(bot_id=first.pk).why == page_requests.STARTING
    slow_down(company, "auth.sendCode")
    with login_worker_runs(slots=1):
        wait_until_claimed(first)
        ask_worker(second, "send")
        assert login_progress(bot_id=second.pk).why == (
            "The login waits for a free slot (logins under way: 1). It continues automatically."
        )
        assert login_progress(bot_id=first.pk).why == ""
        answers_again(company)
        assert wait_until_idle(second).step == "code"


def test_unexpected_errors_are_reported_too(
    company: Company, login_worker: LoginWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, _ = fresh(company)

    async def breaks(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("telegram.logins.client.request_code", breaks)
    assert ask_and_wait(bot, "send").problem == steps.UNFORESEEN


def test_the_logins_connection_is_closed_before_a_bot_may_start(
    company: Company, login_worker: LoginWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, user = fresh(company)
    ask_and_wait(bot, "send")
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
    ask_and_wait(bot, "code", code_of(user))
    assert steps == ["closed", "kept"]


def test_a_wait_outlives_what_succeeds_in_another_way(company: Company, login_worker: LoginWorker) -> None:
    bot, _ = fresh(company)
    company.sandbox.call(company.sandbox.faults.plan, Fault(kind="FLOOD_WAIT", method="auth.sendCode", seconds=7200))
    until = ask_and_wait(bot, "send").wait_until
    ask_worker(bot, "qr")
    qr_url_shown(bot, "logins")
    assert PendingLogin.objects.get().expires_at == until
    login_cancel(bot_id=bot.pk)
    wait_until(lambda: not is_at_telegram(company), what="the connection closed")
    waiting = ask_and_wait(bot, "send")
    assert (waiting.step, waiting.wait_until) == ("start", until)


def test_of_two_waits_both_last_until_the_later_ends(company: Company, login_worker: LoginWorker) -> None:
    bot, _ = fresh(company)
    for method, seconds in (("auth.sendCode", 7200), ("auth.exportLoginToken", 60)):
        fault = Fault(kind="FLOOD_WAIT", method=method, seconds=seconds)
        company.sandbox.call(company.sandbox.faults.plan, fault)
    until = ask_and_wait(bot, "send").wait_until
    ask_and_wait(bot, "qr")
    waiting = ask_and_wait(bot, "send")
    assert (waiting.step, waiting.wait_until) == ("start", until)
