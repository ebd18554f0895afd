"""Whatever is asked for, in whichever order and of whichever budgets: no window ever holds more than its limit, and
every wait ends when it was said to end."""

from datetime import timedelta
from itertools import count
from typing import Any, NamedTuple

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bots.deliveries.claiming import claim, forget_waits
from bots.deliveries.outcomes import put_back, record_sent
from bots.gate import budget_cache
from bots.models import Bot, Delivery
from campaigns.budgets import budget_set
from campaigns.models import Budget, Campaign, Purpose
from telegram.types import SentMessage
from tests.integration import ledger
from tests.integration.bots.gate.spent import exceeded

pytestmark = pytest.mark.django_db
State, Scope = Delivery.State, Budget.Scope
PERSONS = {"maria": 7, "pavel": 8}
# A place is a chat, or a person by (id, name).
PLACES = ("chat", (7, "maria"), (7, ""), (None, "maria"), (None, "Pavel"), (8, "pavel"))

budgets: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    scope=st.sampled_from([Scope.TEAM, Scope.CAMPAIGN, Scope.BOT, Scope.CHAT, Scope.PEER]),
    purpose=st.sampled_from(["", "", Purpose.OPERATOR]),
    limit=st.integers(1, 3),
    window_seconds=st.sampled_from([1, 7, 60, 3600]),
) | st.builds(
    dict,
    scope=st.sampled_from([Scope.TEAM, Scope.CAMPAIGN, Scope.BOT]),
    counts=st.just(Budget.Counts.NEW_CONTACTS),
    limit=st.integers(1, 2),
    window_seconds=st.sampled_from([60, 86_400]),
)


class Step(NamedTuple):
    """After `pause` seconds somebody wants something said; what the gate allows by then is said, or was not."""

    pause: float
    bot: int
    campaign: int
    place: int
    purpose: Purpose
    said: bool


steps = st.builds(
    Step,
    pause=st.sampled_from([0.0, 0.0, 0.3, 1.0, 6.999999, 59.9, 3600.0]),
    bot=st.integers(0, 1),
    campaign=st.integers(0, 1),
    place=st.integers(0, len(PLACES) - 1),
    purpose=st.sampled_from([Purpose.REPLY, Purpose.OPERATOR]),
    said=st.sampled_from([True, True, True, False]),
)


class Play:
    def __init__(self) -> None:
        self.clock = ledger.Clock()
        self.bots = [ledger.make_bot() for _ in range(2)]
        self.campaigns = [ledger.make_campaign() for _ in range(2)]
        self.chat = ledger.make_chat()
        self._ids = count(1)
        for name, user_id in PERSONS.items():
            # Never due: it only tells the ledger who is who.
            self._queue(self.bots[0], self.campaigns[0], (user_id, name), due_at=ledger.START + timedelta(days=3650))

    def step(self, step: Step) -> None:
        self.clock.forward(seconds=step.pause)
        self._queue(self.bots[step.bot], self.campaigns[step.campaign], PLACES[step.place], purpose=step.purpose)
        self.say(said=step.said)

    def _queue(self, bot: Bot, campaign: Campaign, place: Any, **facts: Any) -> Delivery:
        if place == "chat":
            return ledger.queue_line(bot, campaign, self.chat, **{**facts, "purpose": Purpose.SCRIPT})
        return ledger.queue_message(bot, campaign, place[0], peer_username=place[1], **facts)

    def say(self, *, said: bool = True) -> int:
        outgoing = claim(ledger.owners(*self.bots, chats=[self.chat]), clock=self.clock).outgoing
        for out in outgoing:
            if said:
                assert record_sent(out, SentMessage(next(self._ids), self.clock.now, self._person(out.id)))
            else:
                assert put_back(out, "Not said.")
        return len(outgoing)

    def _person(self, delivery_id: Any) -> int | None:
        delivery = Delivery.objects.get(id=delivery_id)
        return delivery.peer_id or PERSONS.get(delivery.peer_username.lower())

    def say_the_rest(self) -> None:
        """Whoever waits is said by the time that was told, if nothing new comes in between."""
        waiting = Delivery.objects.filter(state=State.QUEUED, due_at__lte=self.clock.now)
        for _ in range(200):
            while self.say():
                pass
            ends = [row.waiting_until for row in waiting.all() if row.waiting_until is not None]
            if not ends:
                break
            assert min(ends) > self.clock.now
            self.clock.now = min(ends)
            # The latest of several waits was told; behind another message it is judged when that has left.
            forget_waits([bot.id for bot in self.bots])
        assert not waiting.exists(), [(row.waiting_reason, row.waiting_until) for row in waiting.all()]


@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    phases=[Phase.explicit, Phase.generate],  # Shrinking a failure takes minutes against a database.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.parametrize("large", [budget_cache.LARGE_LIMIT, 1], ids=["each window is read", "counts are remembered"])
@given(limits=st.lists(budgets, min_size=1, max_size=4), wished=st.lists(steps, min_size=3, max_size=8))
def test_no_window_of_any_budget_ever_exceeds_its_limit(
    monkeypatch: pytest.MonkeyPatch, large: int, limits: list[dict[str, Any]], wished: list[Step]
) -> None:
    monkeypatch.setattr(budget_cache, "LARGE_LIMIT", large)
    monkeypatch.setattr(budget_cache, "LONG_SECONDS", min(large, budget_cache.LONG_SECONDS))
    with transaction.atomic():
        ledger.noting_origin()
        for limit in limits:
            budget_set(**limit)
        play = Play()
        for step in wished:
            play.step(step)
        play.say_the_rest()
        assert exceeded(PERSONS) == []
        transaction.set_rollback(True)


def test_the_check_itself_detects_a_window_above_its_limit() -> None:
    ledger.noting_origin()
    play = Play()
    for _ in range(3):
        play.step(Step(0.3, 0, 0, 1, Purpose.REPLY, True))
    budget_set(scope=Scope.PEER, limit=2, window_seconds=1)
    assert len(exceeded(PERSONS)) == 1
