"""A Celery app with one subscription more than the product's: the test chooses its handler's effects and failures.

`celery -A tests.broker.probe worker -Q probe_queue`
"""

import os
import signal
from collections.abc import Sequence

import django
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coolthing_site.settings")
if not apps.ready:
    django.setup()

from django.db import connection

from coolthing_site.celery import app, kombu_queue
from messaging.broker import topology
from messaging.consuming.subscriptions import subscriber
from messaging.events import Event

PROBE_EXCHANGE = "probe_exchange"
PROBE_QUEUE = "probe_queue"
PROBE_DLQ = "probe_dlq"
KEY = "probe.happened"
# As the probe's queue, with a handler that takes batches.
BATCH_QUEUE = "probe_batch_queue"
BATCH_DLQ = "probe_batch_dlq"
BATCH_KEY = "batch.happened"
BATCH_SIZE = 50
# A message that kills its worker is dead after so many deliveries more than the first.
FEW_DELIVERIES = 3
# Handlers of a `hold` event wait for this advisory lock, which the test holds.
HOLD_LOCK = 4711


def _queue(name: str, dlq: str, pattern: str) -> topology.QueueSpec:
    letters = topology.DeadLettering(topology.EVENTS_DLX, f"{name}.failed", dlq, topology.HOUR_MS)
    return topology.QueueSpec(name, ((PROBE_EXCHANGE, pattern),), dead_letters=letters, delivery_limit=FEW_DELIVERIES)


QUEUES = (_queue(PROBE_QUEUE, PROBE_DLQ, "probe.*"), _queue(BATCH_QUEUE, BATCH_DLQ, "batch.*"))
PROBE = topology.Topology(
    (topology.ExchangeSpec(PROBE_EXCHANGE, "topic"),),
    (
        *QUEUES,
        *(
            topology.QueueSpec(dlq, ((topology.EVENTS_DLX, f"{queue}.failed"),), message_ttl_ms=topology.HOUR_MS)
            for queue, dlq in ((PROBE_QUEUE, PROBE_DLQ), (BATCH_QUEUE, BATCH_DLQ))
        ),
    ),
    (
        topology.PolicySpec(
            "probe-alternate-exchange", (PROBE_EXCHANGE,), topology.ALTERNATE_POLICY.definition, priority=10
        ),
    ),
)
topology.SUBSCRIPTIONS[PROBE_QUEUE] = "tests.probe.record"
topology.SUBSCRIPTIONS[BATCH_QUEUE] = "tests.probe.record_all"
topology.BATCHES[BATCH_QUEUE] = BATCH_SIZE
app.conf.task_queues = [*app.conf.task_queues, *map(kombu_queue, QUEUES)]


class ProbeHappened(Event, exchange=PROBE_EXCHANGE, key=KEY):
    text: str = ""


class BatchHappened(Event, exchange=PROBE_EXCHANGE, key=BATCH_KEY):
    text: str = ""


@subscriber(PROBE_QUEUE, name="tests.probe.record")
def record(event: ProbeHappened) -> None:
    _record(event)


@subscriber(BATCH_QUEUE, name="tests.probe.record_all", batch=True)
def record_all(events: Sequence[BatchHappened]) -> None:
    for event in events:
        _record(event)


def _record(event: ProbeHappened | BatchHappened) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO probe_effect (event_id, note) VALUES (%s, %s)", [event.id, event.text])
        if event.text == "hold":
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [HOLD_LOCK])
    if event.text == "fail":
        raise ValueError("this event always fails")
    if event.text == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
