"""A Celery app with one subscription more than the product's: the test chooses its handler's effects and troubles.

`celery -A tests.broker.probe worker -Q probe_queue`
"""

import os

import django
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coolthing_site.settings")
if not apps.ready:
    django.setup()

from django.db import connection

from coolthing_site.celery import app, kombu_queue
from messaging import topology
from messaging.events import Event
from messaging.subscriptions import subscriber

PROBE_EXCHANGE = "probe_exchange"
PROBE_QUEUE = "probe_queue"
PROBE_DLQ = "probe_dlq"
KEY = "probe.happened"
# Handlers of a `hold` event wait for this advisory lock, which the test holds.
HOLD_LOCK = 4711

QUEUE = topology.QueueSpec(
    PROBE_QUEUE,
    ((PROBE_EXCHANGE, "probe.*"),),
    dead_letters=topology.DeadLettering(topology.EVENTS_DLX, "probe.failed", PROBE_DLQ, topology.HOUR_MS),
)
PROBE = topology.Topology(
    (topology.ExchangeSpec(PROBE_EXCHANGE, "topic", alternate=topology.UNROUTABLE_EXCHANGE),),
    (QUEUE, topology.QueueSpec(PROBE_DLQ, ((topology.EVENTS_DLX, "probe.failed"),), message_ttl_ms=topology.HOUR_MS)),
)
topology.SUBSCRIPTIONS[PROBE_QUEUE] = "tests.probe.record"
app.conf.task_queues = [*app.conf.task_queues, kombu_queue(QUEUE)]


class ProbeHappened(Event, exchange=PROBE_EXCHANGE, key=KEY):
    text: str = ""


@subscriber(PROBE_QUEUE, name="tests.probe.record")
def record(event: ProbeHappened) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO probe_effect (event_id, note) VALUES (%s, %s)", [event.id, event.text])
        if event.text == "hold":
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [HOLD_LOCK])
    if event.text == "fail":
        raise ValueError("this event always fails")
