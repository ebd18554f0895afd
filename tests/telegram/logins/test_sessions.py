"""Workers take sessions over and log bots out."""

from typing import Any

import pytest

from bots.logins import sessions
from bots.logins.login_worker import LoginWorker
from bots.logins.one_shot import bot_connect_with_code
from bots.logins.page_requests import login_cancel
from bots.models import Bot, BotSession, PendingLogin
from telegram.logins.types import LoginError
from tests.support import wait_until
from tests.telegram.bots_support import Company
from tests.telegram.logins.login_support import (
    answers_again,
    ask_and_wait,
    ask_worker,
    code_of,
    fresh,
    has_no_login,
    is_at_telegram,
    job_of_killed_worker,
    login_worker_runs,
    slow_down,
    wait_until_idle,
)


def test_logging_out_is_done_by_a_worker_and_reported_when_it_fails(
    company: Company, login_worker: LoginWorker, settings: Any
) -> None:
    bot, user = fresh(company)
    bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: code_of(user))
    server, settings.TELEGRAM_SERVER = settings.TELEGRAM_SERVER, "127.0.0.1:1"
    assert ask_and_wait(bot, "log_out").problem.startswith("Not logged out: Telegram cannot be reached")
    bot.refresh_from_db()
    assert (bot.state, bot.state_reason) == ("stopped", "logged out by olga")
    settings.TELEGRAM_SERVER = server
    ask_and_wait(bot, "log_out")
    assert not BotSession.objects.filter(bot=bot).exists()
    assert not PendingLogin.objects.exists()
    assert has_no_login(company, user)


def test_another_worker_goes_on_logging_out_which_cannot_be_cancelled(company: Company) -> None:
    bot, user = fresh(company)
    bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: code_of(user))
    ask_worker(bot, "log_out")
    with pytest.raises(LoginError, match="is being logged out"):
        login_cancel(bot_id=bot.pk)
    job_of_killed_worker(bot)
    with login_worker_runs():
        wait_until_idle(bot)
    assert not BotSession.objects.filter(bot=bot).exists()


def test_a_session_that_is_taken_over_for_two_bots_at_once_is_connected_once(
    company: Company, login_worker: LoginWorker
) -> None:
    first, user = fresh(company)
    bot_connect_with_code(bot_id=first.pk, ask_code=lambda: code_of(user))
    session = BotSession.objects.get().data
    BotSession.objects.all().delete()
    second = Bot.objects.create(key="second", role="parser")
    slow_down(company, "users.getUsers")
    ask_worker(first, "import", session)
    wait_until(lambda: is_at_telegram(company), what="a connection")
    ask_worker(second, "import", session)
    wait_until(lambda: PendingLogin.objects.filter(bot=second).exclude(problem="").exists(), what="a refusal")
    assert PendingLogin.objects.get(bot=second).problem == sessions.TAKEN_OVER
    answers_again(company)
    wait_until_idle(first)
    assert BotSession.objects.get().bot == first
    assert not any(key.destroyed for key in company.sandbox.mtproto.auth_keys.dump())
