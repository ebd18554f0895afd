"""What a worker's child does with many messages: one transaction, or one for each when one of them spoils it."""

import threading
from collections.abc import Iterator, Sequence

import pytest
from celery import current_app
from celery.exceptions import Reject
from django.contrib.auth.models import Group
from django.db import OperationalError, connection

from messaging.broker import topology
from messaging.consuming import failures, subscriptions
from messaging.consuming.subscriptions import handle_batch, subscriber
from messaging.events import Event
from messaging.instrumentation import timings
from messaging.messages import MessageArgs, ReceivedMessage
from messaging.models import HandlingBucket, HandlingFailure, ProcessedEvent

QUEUE, EXCHANGE, KEY = "herding_queue", "herding_exchange", "sheep.counted"
TASK = "tests.herding.count"


class SheepCounted(Event, exchange=EXCHANGE, key=KEY):
    name: str


class ChosenEffects:
    """What the handler shall raise, and how many events it was given each time."""

    def __init__(self) -> None:
        self.once: list[Exception] = []
        self.calls: list[int] = []


@pytest.fixture
def effects() -> Iterator[ChosenEffects]:
    chosen = ChosenEffects()
    topology.SUBSCRIPTIONS[QUEUE], topology.BATCHES[QUEUE] = TASK, 10

    @subscriber(QUEUE, name=TASK, batch=True)
    def count(events: Sequence[SheepCounted]) -> None:
        chosen.calls.append(len(events))
        for event in events:
            Group.objects.create(name=event.name)
            if event.name == "wolf":
                raise ValueError("a wolf")
        if chosen.once:
            raise chosen.once.pop(0)

    yield chosen
    del topology.SUBSCRIPTIONS[QUEUE], topology.BATCHES[QUEUE], subscriptions._subscriptions[QUEUE]
    for name in (TASK, f"{TASK}.many"):
        current_app.tasks.unregister(name)


def _args(body: bytes) -> MessageArgs:
    return EXCHANGE, KEY, body, {}, None


def _events(*names: str) -> list[SheepCounted]:
    return [SheepCounted(name=name) for name in names]


def _run(*bodies: bytes) -> set[int]:
    return handle_batch(QUEUE, [_args(body) for body in bodies])


def _bodies(events: Sequence[SheepCounted]) -> list[bytes]:
    return [event.to_json().encode() for event in events]


def test_a_batch_is_one_call_and_each_event_is_recorded(transactional_db: None, effects: ChosenEffects):
    events = _events("a", "b", "c")
    assert _run(*_bodies(events)) == set()
    assert effects.calls == [3]
    assert set(ProcessedEvent.objects.values_list("event_id", flat=True)) == {event.id for event in events}
    assert not ProcessedEvent.objects.filter(seconds=None).exists()


def test_what_was_handled_before_or_comes_twice_is_left_out(transactional_db: None, effects: ChosenEffects):
    first, second = _events("a", "b")
    _run(*_bodies([first]))
    assert _run(*_bodies([first, second, second])) == set()
    assert effects.calls == [1, 1]
    assert Group.objects.count() == 2
    assert _run(*_bodies([first, second])) == set()
    assert effects.calls == [1, 1]


def test_bad_ones_are_named_with_their_reasons_and_the_others_are_handled(
    transactional_db: None, effects: ChosenEffects
):
    good, wolf, other = _events("a", "wolf", "b")
    failed = _run(*_bodies([good, wolf]), b"\xff", b"", *_bodies([other]), b'{"name": "a\\u0000b"}')
    assert failed == {1, 2, 3, 5}
    assert set(Group.objects.values_list("name", flat=True)) == {"a", "b"}
    # What could not be kept was refused before: it spoils nobody's batch.
    assert effects.calls == [3, 1, 1, 1]
    errors = " | ".join(HandlingFailure.objects.order_by("id").values_list("error", flat=True))
    assert errors.startswith("ValueError: a wolf | UndecodableMessage: the body is not UTF-8")
    assert errors.endswith("the body is empty | UndecodableMessage: not a SheepCounted: name: contains a NUL character")
    assert ProcessedEvent.objects.count() == 2


def test_a_failing_database_is_waited_for_and_no_message_is_blamed(transactional_db: None, effects: ChosenEffects):
    effects.once += [OperationalError("deadlock detected"), OperationalError("connection lost")]
    assert _run(*_bodies(_events("a", "b"))) == set()
    assert effects.calls == [2, 2, 2]
    assert Group.objects.count() == 2
    assert not HandlingFailure.objects.exists()


def test_a_database_that_stays_away_gives_all_back(
    transactional_db: None, effects: ChosenEffects, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(failures, "DATABASE_PATIENCE_SECONDS", 0.3)
    effects.once += [OperationalError("away")] * 50
    with pytest.raises(Reject) as rejected:
        _run(*_bodies(_events("a", "b")))
    assert vars(rejected.value)["requeue"] is True
    assert not HandlingFailure.objects.exists()


def test_batches_with_the_same_events_at_once_have_one_effect_each(transactional_db: None, effects: ChosenEffects):
    bodies = _bodies(_events(*map(str, range(30))))
    start = threading.Barrier(4)
    failed: list[set[int]] = []

    def deliver(turn: int) -> None:
        start.wait(60)
        try:
            failed.append(_run(*(bodies if turn % 2 else reversed(bodies))))
        finally:
            connection.close()

    threads = [threading.Thread(target=deliver, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == [set()] * 4
    assert Group.objects.count() == 30
    assert sum(effects.calls) == 30


def test_each_event_of_a_batch_counts_in_the_timings(transactional_db: None, effects: ChosenEffects):
    timings.flush()
    HandlingBucket.objects.all().delete()
    _run(*_bodies(_events("a", "b", "c")))
    timings.flush()
    counts = dict.fromkeys((timings.HANDLER_SECONDS, timings.EVENT_AGE_SECONDS), 0)
    for row in HandlingBucket.objects.filter(subscription=QUEUE):
        counts[row.metric] += row.count
    assert set(counts.values()) == {3}


def test_a_single_message_of_a_batching_queue_goes_to_the_same_handler(transactional_db: None, effects: ChosenEffects):
    current_app.tasks[TASK].run(EXCHANGE, KEY, _bodies(_events("a"))[0], {}, None)
    assert effects.calls == [1]


def test_the_task_returns_the_failed_positions_in_few_characters(transactional_db: None, effects: ChosenEffects):
    batch = [_args(b"") if position % 2 else _args(_bodies(_events(str(position)))[0]) for position in range(200)]
    assert int(current_app.tasks[f"{TASK}.many"].run(batch), 16) == int("10" * 100, 2)


def test_a_raw_batch_keeps_what_it_cannot_handle(transactional_db: None):
    topology.SUBSCRIPTIONS[QUEUE], topology.BATCHES[QUEUE] = TASK, 10

    @subscriber(QUEUE, name=TASK, batch=True, raw=True)
    def count(messages: Sequence[ReceivedMessage]) -> None:
        for message in messages:
            Group.objects.create(name=message.body.decode())

    try:
        assert _run(b"a", b"\xff", b"b") == {1}
        assert set(Group.objects.values_list("name", flat=True)) == {"a", "b"}
        assert not HandlingFailure.objects.exists()
    finally:
        del topology.SUBSCRIPTIONS[QUEUE], topology.BATCHES[QUEUE], subscriptions._subscriptions[QUEUE]


def test_a_decorator_that_does_not_agree_with_the_topology_is_refused():
    topology.SUBSCRIPTIONS[QUEUE] = TASK
    try:
        with pytest.raises(LookupError, match="do not agree"):

            @subscriber(QUEUE, name=TASK, batch=True)
            def count(events: Sequence[SheepCounted]) -> None:
                """Never called."""
    finally:
        del topology.SUBSCRIPTIONS[QUEUE]
