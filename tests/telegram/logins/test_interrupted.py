"""A login whose worker is killed or stopped, or that an operator cancels while Telegram is asked."""

import threading
from datetime import timedelta

from django.utils import timezone

from bots.logins.claims import INTERRUPTED, NOT_TAKEN, claim_next, logins_lapse
from bots.logins.login_worker import LoginWorker, login_work
from bots.logins.page_requests import login_cancel, login_progress
from bots.logins.pending_logins import login_pending
from bots.models import BotSession, PendingLogin
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
    wait_until_claimed,
)


def test_a_killed_worker_leaves_a_login_that_reports_it_and_continues(company: Company) -> None:
    bot, user = fresh(company)
    with login_worker_runs():
        assert ask_and_wait(bot, "send").step == "code"
    ask_worker(bot, "code", code_of(user))
    job = job_of_killed_worker(bot)
    assert claim_next(owner="another", stop=threading.Event()) is None, "what was typed is gone"
    progress = login_progress(bot_id=bot.pk)
    assert progress.pending is not None
    assert (progress.doing, progress.pending.problem, progress.pending.asked) == ("", INTERRUPTED, "")
    with login_worker_runs():
        login_work(job)
        assert not BotSession.objects.filter(bot=bot).exists(), "the frozen worker has lost the login"
        ask_and_wait(bot, "code", code_of(user))
    assert BotSession.objects.filter(bot=bot).exists()


def test_beat_finds_what_no_page_looks_at(company: Company) -> None:
    killed, _ = fresh(company, "Killed")
    waiting, _ = fresh(company, "Waiting")
    ask_worker(killed, "send")
    job_of_killed_worker(killed)
    ask_worker(waiting, "send")
    PendingLogin.objects.filter(bot=waiting).update(asked_at=timezone.now() - timedelta(minutes=4))
    assert claim_next(owner="late", stop=threading.Event()) is None
    logins_lapse()
    problems = dict(PendingLogin.objects.values_list("bot__key", "problem"))
    assert problems == {"killed": INTERRUPTED, "waiting": NOT_TAKEN}
    assert not PendingLogin.objects.exclude(asked="", given="").exists()


def test_a_cancelled_login_is_over_at_once_and_its_connection_is_closed(
    company: Company, login_worker: LoginWorker
) -> None:
    bot, _ = fresh(company)
    slow_down(company, "auth.sendCode")
    ask_worker(bot, "send")
    wait_until_claimed(bot)
    wait_until(lambda: is_at_telegram(company), what="a connection")
    login_cancel(bot_id=bot.pk)
    assert login_progress(bot_id=bot.pk).pending is None
    answers_again(company)
    wait_until(lambda: not is_at_telegram(company), what="the connection closed")
    assert not PendingLogin.objects.exists()
    assert ask_and_wait(bot, "send").step == "code"


def test_a_login_that_was_cancelled_while_it_succeeded_is_ended_at_telegram(
    company: Company, login_worker: LoginWorker
) -> None:
    bot, user = fresh(company)
    ask_and_wait(bot, "send")
    slow_down(company, "auth.signIn")
    ask_worker(bot, "code", code_of(user))
    wait_until(lambda: not has_no_login(company, user), what="Telegram has logged it in")
    login_cancel(bot_id=bot.pk)
    wait_until(lambda: has_no_login(company, user), what="the login ended")
    wait_until(lambda: not is_at_telegram(company), what="the connection closed")
    assert not BotSession.objects.filter(bot=bot).exists()
    assert not PendingLogin.objects.exists()


def test_a_stopping_worker_records_the_interruption_and_closes_the_connection(company: Company) -> None:
    bot, user = fresh(company)
    with login_worker_runs():
        ask_and_wait(bot, "send")
        slow_down(company, "auth.signIn")
        ask_worker(bot, "code", code_of(user))
        wait_until(lambda: not has_no_login(company, user), what="Telegram has logged it in")
    pending = login_pending(bot_id=bot.pk)
    assert pending is not None
    assert (pending.step, pending.asked, pending.problem, pending.claim) == ("code", "", INTERRUPTED, None)
    wait_until(lambda: not is_at_telegram(company), what="the connection closed")
