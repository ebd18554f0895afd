"""QR codes that workers show: taken over by another worker, and withdrawn when no page shows them."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.utils import timezone

from bots.logins.claims import claim_next
from bots.logins.login_worker import LoginWorker
from bots.logins.page_requests import login_progress
from bots.logins.telegram_calls import UNSEEN
from bots.models import PendingLogin
from bots.worker.executor import THREADS, in_db
from sandbox.mtproto.logins.tokens import token_of
from tests.support import wait_until
from tests.telegram.bots_support import Company
from tests.telegram.logins.login_support import (
    ask_worker,
    fresh,
    is_at_telegram,
    job_of_killed_worker,
    login_worker_runs,
    qr_url_shown,
    wait_until_idle,
)


def test_another_worker_goes_on_with_a_qr_code(company: Company) -> None:
    bot, user = fresh(company)
    company.sandbox.mtproto.tokens.valid_seconds = 600
    with login_worker_runs(name="first"):
        ask_worker(bot, "qr")
        code = qr_url_shown(bot, "first")
        assert login_progress(bot_id=bot.pk).doing == ""
    wait_until(lambda: not is_at_telegram(company), what="the first connection closed")
    with login_worker_runs(name="second"):
        assert qr_url_shown(bot, "second") == code
        company.sandbox.call(company.sandbox.mtproto.accept_token, token_of(code), user.id)
        wait_until_idle(bot)
    bot.refresh_from_db()
    assert bot.telegram_user_id == user.id
    assert not any(key.destroyed for key in company.sandbox.mtproto.auth_keys.dump())


def test_a_qr_code_that_was_shown_for_minutes_is_continued_too(company: Company) -> None:
    bot, _ = fresh(company)
    ask_worker(bot, "qr")
    job_of_killed_worker(bot)
    PendingLogin.objects.update(asked_at=timezone.now() - timedelta(minutes=4))
    assert login_progress(bot_id=bot.pk).doing
    assert claim_next(owner="another", stop=threading.Event()) is not None


def test_a_login_neither_waits_for_the_bots_database_threads_nor_occupies_them(company: Company) -> None:
    bot, _ = fresh(company)
    release = threading.Event()

    async def all_busy() -> None:
        await asyncio.gather(*[in_db(release.wait, 60) for _ in range(THREADS)])

    with ThreadPoolExecutor(max_workers=1) as bots, login_worker_runs():
        busy = bots.submit(asyncio.run, all_busy())
        try:
            ask_worker(bot, "qr")
            assert qr_url_shown(bot, "logins")
            PendingLogin.objects.update(seen_at=timezone.now() - timedelta(minutes=5))
            assert wait_until_idle(bot).problem == UNSEEN
            assert not busy.done()
        finally:
            release.set()


def test_a_qr_code_that_no_page_shows_is_withdrawn(
    company: Company, login_worker: LoginWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, _ = fresh(company)
    ask_worker(bot, "qr")
    qr_url_shown(bot, "logins")
    PendingLogin.objects.update(seen_at=timezone.now() - timedelta(minutes=5))
    pending = wait_until_idle(bot)
    assert (pending.step, pending.problem, pending.state) == ("start", UNSEEN, "")
    wait_until(lambda: not is_at_telegram(company), what="the connection closed")
