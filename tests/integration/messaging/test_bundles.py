"""Single events that come together: one call each, few commits, and the same guarantee as for an event alone."""

import threading
from collections.abc import Iterator, Sequence

import pytest
from celery import current_app
from django.contrib.auth.models import Group
from django.db import OperationalError, connection

from messaging.broker import topology
from messaging.consuming import batch_execution, subscriptions
from messaging.consuming.subscriptions import handle_batch, subscriber
from messaging.events import Event
from messaging.models import HandlingFailure, ProcessedEvent

QUEUE, EXCHANGE, KEY = "planting_queue", "planting_exchange", "tree.planted"
TASK = "tests.planting.plant"


class TreePlanted(Event, exchange=EXCHANGE, key=KEY):
    name: str


class Garden:
    """What the handler shall raise, and the database transaction of each of its calls."""

    def __init__(self) -> None:
        self.once: list[Exception] = []
        self.calls: list[tuple[str, int]] = []

    def transactions(self) -> int:
        return len({number for _, number in self.calls})

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


@pytest.fixture
def garden(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Garden]:
    # However slow this machine is.
    monkeypatch.setattr(batch_execution, "COMMIT_AFTER_SECONDS", 600.0)
    chosen = Garden()
    topology.SUBSCRIPTIONS[QUEUE] = TASK

    @subscriber(QUEUE, name=TASK)
    def plant(event: TreePlanted) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()::text::bigint")
            chosen.calls.append((event.name, cursor.fetchone()[0]))
        Group.objects.create(name=event.name)
        if event.name == "rotten":
            raise ValueError("a rotten tree")
        if chosen.once:
            raise chosen.once.pop(0)

    yield chosen
    del topology.SUBSCRIPTIONS[QUEUE], subscriptions._subscriptions[QUEUE]
    for name in (TASK, f"{TASK}.many"):
        current_app.tasks.unregister(name)


def _events(*names: str) -> list[TreePlanted]:
    return [TreePlanted(name=name) for name in names]


def _run(events: Sequence[TreePlanted], *bodies: bytes) -> set[int]:
    delivered = [*(event.to_json().encode() for event in events), *bodies]
    return handle_batch(QUEUE, [(EXCHANGE, KEY, body, {}, None) for body in delivered])


def _planted() -> list[str]:
    return sorted(Group.objects.values_list("name", flat=True))


def _recorded() -> set[object]:
    return set(ProcessedEvent.objects.filter(subscription=QUEUE).values_list("event_id", flat=True))


def test_events_that_come_together_share_a_commit_and_are_handled_in_turn(garden: Garden):
    events = _events("a", "b", "c")
    assert _run(events) == set()
    assert (garden.names(), garden.transactions()) == (["a", "b", "c"], 1)
    assert _recorded() == {event.id for event in events}
    assert not ProcessedEvent.objects.filter(seconds=None).exists()


def test_a_bad_one_harms_no_other_and_is_named_with_its_reason(garden: Garden):
    good, bad, other = _events("a", "rotten", "b")
    assert _run([good, bad, other], b"\xff") == {1, 3}
    assert _planted() == ["a", "b"]
    assert _recorded() == {good.id, other.id}
    # At first together with its neighbours, which have not happened then; at last everybody alone.
    assert garden.names() == ["a", "rotten", "a", "rotten", "b"]
    errors = HandlingFailure.objects.order_by("id").values_list("error", flat=True)
    assert [error.split(":")[0] for error in errors] == ["ValueError", "UndecodableMessage"]


def test_what_was_handled_before_or_comes_twice_is_left_out(garden: Garden):
    first, second = _events("a", "b")
    _run([first])
    assert _run([first, second, second]) == set()
    assert garden.names() == ["a", "b"]


def test_slow_handlers_do_not_keep_their_locks_for_the_others(garden: Garden, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batch_execution, "COMMIT_AFTER_SECONDS", 0.0)
    events = _events("a", "b", "rotten", "c")
    assert _run(events) == {2}
    assert garden.names() == ["a", "b", "rotten", "rotten", "c"]
    assert garden.transactions() == 5
    assert _planted() == ["a", "b", "c"]
    assert _recorded() == {event.id for event in events if event.name != "rotten"}


def test_a_failing_database_is_waited_for_and_no_message_is_blamed(garden: Garden):
    garden.once += [OperationalError("deadlock detected"), OperationalError("connection lost")]
    assert _run(_events("a", "b")) == set()
    assert _planted() == ["a", "b"]
    assert not HandlingFailure.objects.exists()


def test_the_same_events_at_once_in_other_orders_have_one_effect_each(garden: Garden):
    events = _events(*map(str, range(16)))
    start = threading.Barrier(4)
    failed: list[set[int]] = []

    def deliver(turn: int) -> None:
        start.wait(60)
        try:
            failed.append(_run(events if turn % 2 else events[::-1]))
        finally:
            connection.close()

    threads = [threading.Thread(target=deliver, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == [set()] * 4
    assert len(_planted()) == len(garden.calls) == 16
