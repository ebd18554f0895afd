"""The product's Celery app with the benchmark's subscriptions, which work exactly like the product's.

`noop` measures only the bus: its task uses no database. `single` has the full guarantee: its effect and the record of
the handled event commit together. `batched` is the same for batches.
"""

import os

import django
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coolthing_site.settings")
if not apps.ready:
    django.setup()

from collections.abc import Sequence
from typing import Any

from celery import shared_task
from django.db import connection, transaction

from bench import effect
from bench.recorder import recorder
from coolthing_site.celery import app, kombu_queue
from messaging.broker import topology
from messaging.consuming import subscriptions
from messaging.events import Event, decode

EXCHANGE = "bench_exchange"
LANES = ("noop", "single", "batched")


def queue_name(lane: str) -> str:
    return f"bench_{lane}_queue"


def task_name(lane: str) -> str:
    return f"bench.{lane}"


QUEUES = [
    topology.QueueSpec(
        queue_name(lane),
        ((EXCHANGE, f"bench.{lane}"),),
        dead_letters=topology.DeadLettering(
            topology.EVENTS_DLX, f"bench_{lane}.failed", f"bench_{lane}_dlq", topology.HOUR_MS
        ),
    )
    for lane in LANES
]
TOPOLOGY = topology.Topology((topology.ExchangeSpec(EXCHANGE, "topic"),), tuple(QUEUES))
topology.SUBSCRIPTIONS.update({queue_name(lane): task_name(lane) for lane in LANES})
# The same size as in the product's subscription of leads.
topology.BATCHES[queue_name("batched")] = topology.BATCHES[topology.LEADS_QUEUE]
app.conf.task_queues = [*app.conf.task_queues, *map(kombu_queue, QUEUES)]


class BenchHappened(Event, exchange=EXCHANGE, key="bench.{lane}"):
    lane: str
    stamp: bool
    text: str


def note_start(event: BenchHappened) -> None:
    if event.stamp:
        recorder().started({"stamp": True, "id": str(event.id)})


@shared_task(name=task_name("noop"), base=subscriptions.SubscriberTask)
def noop(
    exchange: str,
    routing_key: str,
    body: bytes | str,
    headers: Any = None,
    message_id: str | None = None,
    given_id: str | None = None,
    deliveries: int = 0,
) -> None:
    """Decode the event, as every subscriber does, and do nothing else."""
    raw = body.encode() if isinstance(body, str) else body
    event = decode(exchange, routing_key, raw, message_id=message_id or given_id)
    note_start(event)
    recorder().handled()


@subscriptions.subscriber(queue_name("single"), name=task_name("single"))
def single(event: BenchHappened) -> None:
    note_start(event)
    with connection.cursor() as cursor:
        cursor.execute(effect.INSERT, [event.id, event.text])
    transaction.on_commit(recorder().handled)


@subscriptions.subscriber(queue_name("batched"), name=task_name("batched"), batch=True)
def batched(events: Sequence[BenchHappened]) -> None:
    for event in events:
        note_start(event)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO bench_effect (event_id, note) SELECT * FROM unnest(%s::uuid[], %s::text[])",
            [[event.id for event in events], [event.text for event in events]],
        )
    transaction.on_commit(lambda: recorder().handled(len(events)))
