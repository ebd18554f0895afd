"""Budgets hold across processes: eight real senders at once on one ledger."""

import os
import subprocess
import sys
from itertools import cycle, islice

import pytest

from bots.models import Delivery
from campaigns.budgets import budget_set
from campaigns.models import Budget, Purpose
from tests import private
from tests.integration import ledger
from tests.integration.bots.gate.many_senders import PROCESSES
from tests.integration.bots.gate.spent import exceeded
from tests.support import ROOT

State, Scope = Delivery.State, Budget.Scope
PERSONS = {f"person{number}": number for number in range(1, 9)}


@pytest.mark.django_db(transaction=True)
def test_eight_senders_at_once_send_everything_once_and_exceed_no_window() -> None:
    """Every budget is narrow enough to be full most of the time: without its lock each would be exceeded."""
    ledger.noting_origin()
    bots = [ledger.make_bot() for _ in range(PROCESSES * 2)]
    campaigns, chat = [ledger.make_campaign() for _ in range(2)], ledger.make_chat()
    for scope, limit in ((Scope.TEAM, 20), (Scope.CAMPAIGN, 12), (Scope.BOT, 2), (Scope.CHAT, 8), (Scope.PEER, 4)):
        budget_set(scope=scope, limit=limit, window_seconds=1)
    budget_set(scope=Scope.TEAM, counts=Budget.Counts.NEW_CONTACTS, limit=14, window_seconds=1)
    persons = cycle(PERSONS.items())
    for place, bot in enumerate(bots):
        campaign = campaigns[place % 2]
        ledger.queue_line(bot, campaign, chat)
        for (name, user_id), by_name in zip(islice(persons, 3), (True, False, False), strict=True):
            username = name if by_name else ""
            ledger.queue_message(bot, campaign, user_id, peer_username=username, purpose=Purpose.OPERATOR)

    said = _senders([str(bot.id) for bot in bots])

    assert list(Delivery.objects.exclude(state=State.SENT).values_list("state", "waiting_reason", "error")) == []
    assert sorted(said) == sorted(Delivery.objects.values_list("random_id", flat=True))
    assert exceeded(PERSONS) == []


def _senders(bot_ids: list[str]) -> list[int]:
    """The random_id of every request that any of them made."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.integration.bots.gate.many_senders", *bot_ids],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "coolthing_site.settings",
            "DATABASE_URL": private.database_url(),
            "DATABASE_DIRECT_URL": private.database_url(),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    return [int(line) for line in found.stdout.splitlines()]
