"""Batches on a real broker: many messages, one transaction, and each of them settled by itself."""

import os
import signal
import uuid
from collections.abc import Sequence
from contextlib import ExitStack

import pytest
from django.db import connection

from messaging.models import DeadLetter, ProcessedEvent
from tests.broker import probe
from tests.broker.conftest import Probe
from tests.broker.probe import BATCH_DLQ, BATCH_KEY, BATCH_QUEUE, PROBE_EXCHANGE, BatchHappened
from tests.support import Process, wait_until


def _publish(probed: Probe, *events: BatchHappened) -> None:
    for event in events:
        probed.broker.publish(PROBE_EXCHANGE, BATCH_KEY, event.to_json().encode())


def _worker(probed: Probe, *options: str) -> Process:
    return probed.start_worker(*options, queue=BATCH_QUEUE)


def _effects() -> dict[uuid.UUID, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT event_id, count(*) FROM probe_effect GROUP BY event_id")
        return dict(cursor.fetchall())


def _wait_for_effects(events: Sequence[BatchHappened]) -> None:
    """Of each event exactly one, and of no other."""
    wait_until(lambda: len(_effects()) >= len(events), what=f"the effects of {len(events)} events")
    assert _effects() == {event.id: 1 for event in events}


def _is_left_empty(probed: Probe, worker: Process) -> bool:
    """What a worker has not settled is in the queue again as soon as it has gone."""
    assert worker.stop() == 0
    return probed.broker.ready(BATCH_QUEUE) == 0


def _in_one_batch(probed: Probe, *events: BatchHappened) -> None:
    """Its one child waits for the lock, so these events come together; the caller holds it, and lets go."""
    _publish(probed, BatchHappened(text="hold"))
    wait_until(lambda: probed.waiting() == 1, what="the busy child")
    _publish(probed, *events)
    probed.await_prefetched(BATCH_QUEUE)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_what_waits_is_handled_together_and_a_bad_one_harms_no_other(probed: Probe, pool: str):
    worker = _worker(probed, f"--pool={pool}", "--concurrency=1")
    good = [BatchHappened() for _ in range(20)]
    failing = BatchHappened(text="fail")
    with probed.locked():
        _in_one_batch(probed, *good[:10], failing, *good[10:])
        probed.broker.publish(PROBE_EXCHANGE, BATCH_KEY, b"{nope")
    wait_until(lambda: ProcessedEvent.objects.count() == 21, what="records of all that were good")
    wait_until(lambda: probed.broker.ready(BATCH_DLQ) == 2, what="the two bad ones")
    assert _is_left_empty(probed, worker)
    assert set(_effects().values()) == {1}
    assert failing.id not in _effects()
    assert "each is tried alone" in worker.log()


def test_a_full_queue_is_handled_in_few_transactions(probed: Probe):
    blocked = [BatchHappened(text="hold") for _ in range(2)]
    events = [BatchHappened() for _ in range(3 * probe.BATCH_SIZE)]
    worker = _worker(probed, "--concurrency=2")
    with probed.locked():
        # What comes one by one to children that wait for it would be handled one by one.
        _publish(probed, *blocked)
        wait_until(lambda: probed.waiting() == 2, what="busy children")
        _publish(probed, *events)
        probed.await_prefetched(BATCH_QUEUE)
    _wait_for_effects([*blocked, *events])
    assert _is_left_empty(probed, worker)
    assert 2 <= worker.log().count(" together in ") <= 20
    assert probed.broker.ready(BATCH_DLQ) == 0


def test_a_child_killed_in_the_middle_of_a_batch_gives_all_of_it_back(probed: Probe):
    worker = _worker(probed, "--concurrency=1")
    events = [BatchHappened() for _ in range(20)]
    with ExitStack() as kept:
        with probed.locked():
            _in_one_batch(probed, *events, BatchHappened(text="hold"))
            have_had_it = kept.enter_context(probed.held_next())
        have_had_it()
        wait_until(lambda: probed.waiting() == 1, what="the batch to come to the one that is blocked")
        for child in worker.children():
            os.kill(child, signal.SIGKILL)
    wait_until(lambda: len(_effects()) == 22)
    assert set(_effects().values()) == {1}
    assert _is_left_empty(probed, worker)
    assert probed.broker.ready(BATCH_DLQ) == 0


def test_a_message_that_kills_its_worker_ends_at_the_delivery_limit_and_the_others_live(probed: Probe):
    probed.start_archiver()
    poison = BatchHappened(text="kill")
    events = [BatchHappened() for _ in range(30)]
    _publish(probed, *events[:15], poison, *events[15:])
    worker = _worker(probed)
    letter = wait_until(lambda: DeadLetter.objects.first(), timeout=60, what="the archived poison")
    assert (letter.event_id, letter.reason) == (poison.id, "delivery_limit")
    _wait_for_effects(events)
    assert _is_left_empty(probed, worker)
    assert DeadLetter.objects.count() == 1


def test_a_warm_shutdown_settles_the_batch_that_is_under_way(probed: Probe):
    worker = _worker(probed, "--concurrency=1")
    events = [BatchHappened() for _ in range(10)]
    with probed.locked():
        _in_one_batch(probed)
        _publish(probed, *events)
        wait_until(lambda: probed.broker.ready(BATCH_QUEUE) == 0)
        worker.signal(signal.SIGTERM)
        worker.wait_for_log("Warm shutdown")
    assert worker.wait() == 0
    handled = ProcessedEvent.objects.count()
    # What had not been begun is in the queue again; nothing is lost, and nothing handled comes again.
    assert handled >= 1
    wait_until(lambda: probed.broker.ready(BATCH_QUEUE) == 11 - handled, what="what was given back")
    second = _worker(probed)
    wait_until(lambda: len(_effects()) == 11)
    assert set(_effects().values()) == {1}
    assert _is_left_empty(probed, second)


def test_a_terminated_batch_is_dead_lettered_not_acknowledged(probed: Probe):
    worker = _worker(probed, "--concurrency=1")
    with probed.locked():
        _in_one_batch(probed, BatchHappened(text="hold"), BatchHappened())
        probe.app.control.revoke(_active_task("record_all"), terminate=True, signal="SIGKILL")
        wait_until(lambda: probed.broker.ready(BATCH_DLQ) == 1, what="the first one in the DLQ")
        probe.app.control.revoke(_active_task("record_all.many"), terminate=True, signal="SIGKILL")
        wait_until(lambda: probed.broker.ready(BATCH_DLQ) == 3, what="all in the DLQ")
    assert _effects() == {}
    assert worker.is_running()


def test_a_hard_time_limit_gives_the_batch_back(probed: Probe):
    # Long beside whatever may hold up this test: the broker gives a message to a worker FEW_DELIVERIES times more.
    worker = _worker(probed, "--concurrency=1", "--time-limit=5")
    events = [BatchHappened(text="hold"), BatchHappened(), BatchHappened()]
    with probed.locked():
        _publish(probed, *events)
        worker.wait_for_log("Hard time limit")
    _wait_for_effects(events)
    assert _is_left_empty(probed, worker)
    assert probed.broker.ready(BATCH_DLQ) == 0


def _active_task(name: str) -> str:
    """Its id, as Flower shows it."""

    def find() -> str:
        found = probe.app.control.inspect(timeout=2).active() or {}
        tasks = [task for tasks in found.values() for task in tasks if task["name"] == f"tests.probe.{name}"]
        return tasks[0]["id"] if tasks else ""

    return wait_until(find, what=f"an active task {name}")
