"""A sender's process is killed at each point of a send. Whoever comes after says the message once, or not again."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bots.models import Bot, Delivery
from campaigns.models import ChatPermission, Purpose
from campaigns.permissions.services import permission_grant
from messaging.database.clock import database_clock
from sandbox.world.faults import Fault
from tests.integration import ledger
from tests.support import ROOT, wait_until
from tests.telegram.bots_support import (
    Company,
    Listener,
    company_with,
    environment_of_processes,
)

State = Delivery.State
# Telegram has carried the request out and its answer never comes: here the test itself kills the process.
AFTER_THE_REQUEST = "after_the_request"


@dataclass(frozen=True)
class Left:
    """What a dead process left behind, and what its successor had to do."""

    state: Delivery.State
    sent: bool
    attempts: int

    @property
    def repeats(self) -> int:
        """How often its successor told Telegram what Telegram knew already."""
        return int(self.sent and self.state != State.SENT)


LEFT = {
    "before_the_claim": Left(State.QUEUED, sent=False, attempts=0),
    "after_the_claim": Left(State.SENDING, sent=False, attempts=1),
    AFTER_THE_REQUEST: Left(State.SENDING, sent=True, attempts=1),
    "after_the_answer": Left(State.SENDING, sent=True, attempts=1),
    "before_the_commit": Left(State.SENDING, sent=True, attempts=1),
    "after_the_commit": Left(State.SENT, sent=True, attempts=1),
}


@pytest.fixture
def origin() -> ledger.NotingOrigin:
    return ledger.noting_origin()


@pytest.fixture
def company(key_dir: Path, settings: Any, transactional_db: None, origin: ledger.NotingOrigin) -> Iterator[Company]:
    with company_with(Listener(), key_dir, settings) as company:
        yield company


@contextmanager
def dying_worker(point: str, bot: Bot) -> Iterator["subprocess.Popen[bytes]"]:
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.telegram.bots.dying_worker", point, str(bot.id)],
        cwd=ROOT,
        env=environment_of_processes(),
    )
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait(60)


def killed(company: Company, bot: Bot, point: str) -> None:
    """Run a worker until it has died at this point."""
    if point == AFTER_THE_REQUEST:
        company.sandbox.faults.plan(Fault(kind="HOLD_ANSWER", user=bot.telegram_user_id))
    with dying_worker(point, bot) as worker:
        if point == AFTER_THE_REQUEST:
            wait_until(lambda: company.world.ledger or worker.poll() is not None, what="the message at Telegram")
            worker.send_signal(signal.SIGKILL)
        assert worker.wait(60) == -signal.SIGKILL
    wait_until(lambda: not company.connections(bot), what="the end of its connection")
    # Nobody uses what is left of its lease: there is nothing to learn from waiting for the end.
    Bot.objects.filter(pk=bot.pk).update(lease_expires_at=database_clock())


def taken_over(company: Company, bot: Bot) -> None:
    company.run(company.start(), bot)
    company.online(bot)


def until_sent(delivery: Delivery) -> None:
    def sent() -> bool:
        delivery.refresh_from_db()
        return delivery.state == State.SENT

    wait_until(sent, what="the delivery sent")


def seen(company: Company) -> list[tuple[str, int]]:
    return [(entry.text, entry.repeats) for entry in company.world.ledger]


def in_chat(company: Company, kind: str) -> tuple[Bot, Delivery]:
    _, chat = company.make_chat("square", kind=kind)
    permission_grant(chat_id=chat.id, purpose=ChatPermission.Grant.SCRIPT, granted_by="Pavel", evidence="a letter")
    anna = company.make_bot("anna", chat)
    return anna, ledger.queue_line(anna, ledger.make_campaign(), chat, "Hello")


def to_person(company: Company) -> tuple[Bot, Delivery]:
    anna = company.make_bot("anna")
    facts = {"purpose": Purpose.FIRST_CONTACT, "peer_username": "pavel_here"}
    return anna, ledger.queue_message(anna, ledger.make_campaign(), None, ledger.DISCLOSED, **facts)


def check(company: Company, bot: Bot, delivery: Delivery, point: str, origin: ledger.NotingOrigin) -> None:
    left = LEFT[point]
    killed(company, bot, point)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (left.state, left.attempts)
    assert seen(company) == ([(delivery.text, 0)] if left.sent else [])
    taken_over(company, bot)
    # Sent after it: when this has gone, nothing of the first is under way.
    after = ledger.queue_message(bot, delivery.campaign, company.pavel.id, "That was all.", peer_username="pavel_here")
    until_sent(delivery)
    until_sent(after)
    assert seen(company) == [(delivery.text, left.repeats), ("That was all.", 0)]
    assert delivery.attempts == left.attempts + (left.state != State.SENT)
    # The dead process settled it if its commit came through: in its own memory, which is gone.
    assert [settled for settled in origin.settled if settled[0] == delivery.id] == (
        [] if left.state == State.SENT else [(delivery.id, State.SENT)]
    )


@pytest.mark.parametrize("point", LEFT)
def test_a_sender_killed_at_this_point_makes_one_message_in_a_supergroup(
    company: Company, point: str, origin: ledger.NotingOrigin
):
    bot, delivery = in_chat(company, "supergroup")
    check(company, bot, delivery, point, origin)


@pytest.mark.parametrize("point", [AFTER_THE_REQUEST, "before_the_commit"])
def test_a_sender_killed_at_this_point_makes_one_message_in_a_basic_group(
    company: Company, point: str, origin: ledger.NotingOrigin
):
    bot, delivery = in_chat(company, "group")
    check(company, bot, delivery, point, origin)


@pytest.mark.parametrize("point", [AFTER_THE_REQUEST, "before_the_commit"])
def test_a_sender_killed_at_this_point_makes_one_first_contact(
    company: Company, point: str, origin: ledger.NotingOrigin
):
    bot, delivery = to_person(company)
    check(company, bot, delivery, point, origin)


def test_two_senders_killed_one_after_the_other_make_one_message(company: Company, origin: ledger.NotingOrigin):
    bot, delivery = in_chat(company, "supergroup")
    killed(company, bot, "after_the_claim")
    killed(company, bot, "before_the_commit")
    taken_over(company, bot)
    until_sent(delivery)
    assert seen(company) == [("Hello", 1)]
    assert delivery.attempts == 3
    assert origin.settled == [(delivery.id, State.SENT)]
