"""Work queues on a real broker: what expires is dropped and counted, what fails becomes a dead letter."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from coolthing_site import celery_app
from coolthing_site.processes.beat_schedule import PERIODS
from messaging.broker import topology
from messaging.consuming.work_tasks import EXPIRED
from messaging.dead_letters.replays import progress, replay_start
from messaging.dead_letters.services import dead_letter_replay
from messaging.models import DeadLetter, HandlingBucket, QueueSample
from tests.broker.conftest import Probe, StartProcess
from tests.private import Broker
from tests.support import wait_until

QUEUE = topology.MAINTENANCE_QUEUE
TASK = "messaging.tasks_stats.sample_queues"


def _expired() -> int:
    return sum(HandlingBucket.objects.filter(metric=EXPIRED, subscription=QUEUE).values_list("count", flat=True))


def _letter(**having: Any) -> DeadLetter:
    return wait_until(lambda: DeadLetter.objects.filter(queue=QUEUE, **having).first(), what="the letter")


def _publish_expired(broker: Broker) -> None:
    """A message that the broker does not know to be expired: a worker finds it so when it takes it."""
    headers = {"lang": "py", "task": TASK, "id": str(uuid.uuid4()), "expires": "2026-01-01T00:00:00+00:00"}
    broker.publish(
        topology.TASKS_EXCHANGE, QUEUE, json.dumps([[], {}, {}]).encode(),
        content_type="application/json", content_encoding="utf-8", application_headers=headers,
    )  # fmt: skip


@contextmanager
def _without_its_table() -> Iterator[None]:
    """What the task writes to is missing: it fails in a way that nobody foresaw, and that waiting does not mend."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE messaging_queuesample RENAME TO messaging_queuesample_away")
        try:
            yield
        finally:
            cursor.execute("ALTER TABLE messaging_queuesample_away RENAME TO messaging_queuesample")


def test_ticks_of_a_time_without_a_worker_are_dropped_and_a_failing_one_is_kept_and_can_be_replayed(
    probed: Probe, start_process: StartProcess
):
    for task in PERIODS:
        celery_app.send_task(task, expires=0.2)
    wait_until(lambda: probed.broker.ready(QUEUE) == 0, what="the end of beat's messages")
    _publish_expired(probed.broker)
    probed.start_archiver()
    worker = probed.start_worker(name="maintenance", queue=QUEUE)
    wait_until(lambda: _expired() == len(PERIODS) + 1, what="the count of what was dropped")
    assert not DeadLetter.objects.exists()

    with _without_its_table():
        for count in (1, 2):
            celery_app.send_task(TASK, expires=60)
            letter = _letter(count=count)
    assert (letter.reason, letter.error_class, letter.task) == ("rejected", "ProgrammingError", TASK)
    assert "messaging_queuesample" in letter.error and "sample_queues" in letter.traceback
    assert DeadLetter.objects.count() == 1, "the same work that fails again counts on its letter"

    start_process("manage.py", "relay_events")
    DeadLetter.objects.update(headers={**letter.headers, "expires": "2026-01-01T00:00:00+00:00"})
    batch = replay_start(letters=DeadLetter.objects.all(), by="ann", what="all")
    wait_until(lambda: progress(batch)["handled"] == 1, what="the replay's record")
    assert QueueSample.objects.exists()
    assert worker.is_running() and _expired() == len(PERIODS) + 1


def test_a_replay_that_fails_again_comes_back_as_the_same_dead_letter(probed: Probe, start_process: StartProcess):
    probed.start_with_archiver(name="llm", queue=topology.LLM_QUEUE)
    start_process("manage.py", "relay_events")
    celery_app.send_task("leads.tasks.answer_lead", args=["no id"])
    first = wait_until(DeadLetter.objects.first, what="the letter")
    assert (first.queue, first.error_class) == (topology.LLM_QUEUE, "ValueError")
    dead_letter_replay(letter_id=first.pk, by="ann")
    again = wait_until(DeadLetter.objects.filter(count=2, state="open").first, what="its second death")
    assert again.pk == first.pk
    assert list(again.history.order_by("at", "pk").values_list("what", flat=True)) == ["replayed", "died_again"]
