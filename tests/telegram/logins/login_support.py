"""What the tests of login workers share: a worker, bots to be logged in, and a Telegram that answers late."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from bots.logins import claims, login_worker, telegram_calls
from bots.logins.claims import Job, claim_next
from bots.logins.login_worker import LoginWorker
from bots.logins.page_requests import login_ask
from bots.logins.pending_logins import qr_code
from bots.models import Bot, PendingLogin
from bots.worker.executor import close_connections
from sandbox.world.faults import Fault
from tests.support import wait_until
from tests.telegram.bots_support import Company

PASSWORD = "correct horse"


@contextmanager
def login_worker_runs(*, name: str = "logins", slots: int = 8) -> Iterator[LoginWorker]:
    """A worker that takes logins at once, and notices within moments what an operator does meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(login_worker, "POLL_SECONDS", 0.02)
        patch.setattr(claims, "LOOK_SECONDS", 0.05)
        patch.setattr(telegram_calls, "SEEN_LOOK_SECONDS", 0.05)
        worker = LoginWorker(name=name, slots=slots)
        worker.start()
        try:
            yield worker
        finally:
            worker.close()
            close_connections()


def fresh(company: Company, name: str = "Fresh", **values: Any) -> tuple[Bot, Any]:
    user = company.make_user(name, **values)
    return Bot.objects.create(key=name.lower(), role="parser", phone=user.phone), user


def code_of(user: Any) -> str:
    return str(user.phone[5] * 5)


def slow_down(company: Company, method: str) -> None:
    """Telegram does what this asks for, and answers only when the faults are cleared."""
    company.sandbox.call(company.sandbox.faults.plan, Fault(kind="DELAY_ANSWER", method=method, times=None))


def answers_again(company: Company) -> None:
    company.sandbox.call(company.sandbox.faults.clear)


def ask_worker(bot: Bot, ask: str, given: str = "") -> None:
    login_ask(bot_id=bot.pk, ask=ask, by="olga", given=given)


def ask_and_wait(bot: Bot, ask: str, given: str = "") -> PendingLogin:
    """The login once a worker has done this."""
    ask_worker(bot, ask, given)
    return wait_until_idle(bot)


def wait_until_idle(bot: Bot) -> PendingLogin:
    wait_until(lambda: not PendingLogin.objects.exclude(asked="").filter(bot=bot).exists(), what="the worker is done")
    return PendingLogin.objects.filter(bot=bot).first() or PendingLogin(bot=bot)


def wait_until_claimed(bot: Bot) -> PendingLogin:
    return wait_until(lambda: PendingLogin.objects.filter(bot=bot, claim__isnull=False).first(), what="a worker has it")


def is_at_telegram(company: Company) -> bool:
    return bool(company.sandbox.mtproto.connections)


def job_of_killed_worker(bot: Bot) -> Job:
    """What a worker leaves that was killed right after it had taken the login, when its lease is over."""
    job = claim_next(owner="killed", stop=threading.Event())
    assert job is not None and job.bot_id == bot.pk
    PendingLogin.objects.filter(bot=bot).update(busy_until=timezone.now() - timedelta(seconds=1))
    return job


def has_no_login(company: Company, user: Any) -> bool:
    return not any(key.user_id == user.id for key in company.sandbox.mtproto.auth_keys.dump())


def qr_url_shown(bot: Bot, worker: str) -> str:
    def url() -> str:
        pending = PendingLogin.objects.filter(bot=bot, step="qr", worker=worker).first()
        return qr_code(pending).url if pending else ""

    return wait_until(url, what=f"{worker} shows a code")


def fails(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, times: int) -> None:
    """The database is away for the next calls of this function."""
    real, left = getattr(module, name), [times]

    def failing(*args: Any, **values: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OperationalError("gone")
        return real(*args, **values)

    monkeypatch.setattr(module, name, failing)
