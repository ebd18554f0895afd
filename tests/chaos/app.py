"""A Celery app with two subscriptions and a beat of the test's own, for the processes under chaos only.

`celery -A tests.chaos.app worker -Q chaos_single_queue`
"""

import os
from collections.abc import Sequence

import django
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coolthing_site.settings")
if not apps.ready:
    django.setup()

from celery import shared_task
from django.db import connection

from coolthing_site.celery import app, kombu_queue
from messaging.broker import topology
from messaging.consuming.subscriptions import subscriber
from messaging.consuming.work_tasks import WorkTask
from messaging.events import Event
from tests.chaos.bus import BATCH_QUEUE, QUEUES, SINGLE_QUEUE, TOPOLOGY
from tests.chaos.load import EXCHANGE, FAIL, KEY

_TICK = "tests.chaos.tick"

topology.SUBSCRIPTIONS[SINGLE_QUEUE] = "tests.chaos.record_one"
topology.SUBSCRIPTIONS[BATCH_QUEUE] = "tests.chaos.record_batch"
topology.BATCHES[BATCH_QUEUE] = 200
app.conf.task_queues = [*app.conf.task_queues, *(kombu_queue(TOPOLOGY.queue(name)) for name in QUEUES)]
app.conf.task_routes = {**app.conf.task_routes, _TICK: {"queue": topology.MAINTENANCE_QUEUE}}
app.conf.beat_schedule = {_TICK: {"task": _TICK, "schedule": 1.0, "options": {"expire_seconds": 1.0}}}


class ChaosHappened(Event, exchange=EXCHANGE, key=KEY):
    text: str = ""


@subscriber(SINGLE_QUEUE, name="tests.chaos.record_one")
def record_one(event: ChaosHappened) -> None:
    _record([event], SINGLE_QUEUE)


@subscriber(BATCH_QUEUE, name="tests.chaos.record_batch", batch=True)
def record_batch(events: Sequence[ChaosHappened]) -> None:
    _record(events, BATCH_QUEUE)


def _record(events: Sequence[ChaosHappened], queue: str) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO chaos_effect (event_id, subscription) VALUES (%s, %s)", [(event.id, queue) for event in events]
        )
    if any(event.text == FAIL for event in events):
        raise ValueError("this event is meant to fail")


@shared_task(name=_TICK, base=WorkTask)
def tick() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO chaos_tick DEFAULT VALUES")
