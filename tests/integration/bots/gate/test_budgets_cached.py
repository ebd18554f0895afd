"""Large budgets that are far from full: counted once a minute, and never fuller than they may be."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bots.deliveries.claiming import claim
from bots.gate.budget_cache import LARGE_LIMIT, REMEMBER
from bots.models import Delivery
from campaigns.budgets import budget_set
from campaigns.models import Budget
from tests.integration import ledger

pytestmark = pytest.mark.django_db
LIMIT = LARGE_LIMIT + 200
DAY = timedelta(days=1)


class World:
    def __init__(self) -> None:
        ledger.noting_origin()
        self.clock = ledger.Clock()
        self.bot, self.campaign = ledger.make_bot(), ledger.make_campaign()
        budget_set(scope=Budget.Scope.TEAM, limit=LIMIT, window_seconds=int(DAY.total_seconds()))

    def claim(self) -> tuple[list[Any], list[str]]:
        """What was claimed of one more message, and the statements that read the ledger's counted times."""
        ledger.queue_message(self.bot, self.campaign, uuid4().int % 10**9)
        with CaptureQueriesContext(connection) as queries:
            outgoing = claim(ledger.owners(self.bot), clock=self.clock).outgoing
        for out in outgoing:
            Delivery.objects.filter(pk=out.id).update(state="failed")
        return outgoing, [query["sql"] for query in queries.captured_queries if "wanted.since" in query["sql"]]

    def others_say(self, count: int, at: datetime) -> None:
        """What other processes have counted by then."""
        rows = [
            Delivery(
                bot=self.bot, campaign=self.campaign, peer_id=1, text="x", purpose="reply", origin="tests.others",
                origin_id=uuid4(), random_id=uuid4().int % 2**62 + 1, state="failed", due_at=at, counted_at=at,
            )
            for _ in range(count)
        ]  # fmt: skip
        Delivery.objects.bulk_create(rows)


@pytest.fixture
def world() -> World:
    return World()


def counts(statements: list[str]) -> int:
    return sum("count(*)" in sql for sql in statements)


def test_a_large_window_is_counted_once_a_minute(world):
    world.others_say(50, world.clock.now - timedelta(hours=1))
    counted = []
    for _ in range(4):
        outgoing, statements = world.claim()
        assert len(outgoing) == 1
        counted.append(counts(statements))
        world.clock.forward(seconds=REMEMBER.total_seconds() / 2)
    assert counted == [1, 0, 0, 1]


def test_what_others_count_meanwhile_takes_the_room(world):
    world.others_say(LARGE_LIMIT, world.clock.now - timedelta(hours=1))
    assert len(world.claim()[0]) == 1
    world.clock.forward(seconds=1)
    world.others_say(LIMIT - LARGE_LIMIT - 2, world.clock.now)
    world.clock.forward(seconds=1)
    assert len(world.claim()[0]) == 1
    assert world.claim()[0] == []
    waiting = Delivery.objects.get(state="queued")
    assert waiting.waiting_until == world.clock.now - timedelta(seconds=2, hours=1) + DAY


def test_a_place_that_became_free_is_found_when_the_known_room_is_used_up(world):
    world.others_say(LIMIT - 1, world.clock.now - DAY + timedelta(seconds=1))
    assert len(world.claim()[0]) == 1
    assert world.claim()[0] == []
    world.clock.forward(seconds=1)
    Delivery.objects.filter(state="queued").update(waiting_until=None)
    assert len(world.claim()[0]) == 1


def test_a_clock_that_was_set_back_has_everything_counted_anew(world):
    world.clock.forward(seconds=5)
    world.claim()
    world.clock.forward(seconds=-1)
    assert counts(world.claim()[1]) == 1


def test_another_length_or_purpose_of_the_same_budget_is_counted_by_itself(world):
    world.claim()
    Budget.objects.update(window_seconds=3600)
    assert counts(world.claim()[1]) == 1
    Budget.objects.update(purpose="reply")
    assert counts(world.claim()[1]) == 1
