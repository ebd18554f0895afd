"""Histograms of handlers: every handled event is counted once, in whichever process it was handled."""

import json
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.instrumentation import timings
from messaging.models import HandlingBucket, ProcessedEvent
from messaging.observability.metrics import histogram
from tests.private import database_url
from tests.tcp_proxy import TcpProxy

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_counted_yet() -> Iterator[None]:
    timings._tally.take()
    yield
    timings._tally.take()


def handled(metric: str, subscription: str = topology.NOTIFIER_QUEUE) -> int:
    timings.flush()
    found = HandlingBucket.objects.filter(metric=metric, subscription=subscription).aggregate(n=Sum("count"))
    return found["n"] or 0


def send(event_id: uuid.UUID, **fields: str) -> None:
    body = {"id": str(event_id), "service": "parser", "reason": "it broke", **fields}
    handle(topology.NOTIFIER_QUEUE, topology.EVENTS_EXCHANGE, "parser.error", json.dumps(body).encode())


def test_an_event_is_counted_once_however_often_it_comes():
    event_id = uuid.uuid4()
    send(event_id)
    send(event_id)
    assert handled(timings.HANDLER_SECONDS) == 1
    assert handled(timings.EVENT_AGE_SECONDS) == 1


def test_what_is_rolled_back_is_not_counted():
    with pytest.raises(RuntimeError), transaction.atomic():
        timings.count_on_commit("leads_queue", datetime.now(UTC))
        raise RuntimeError
    assert handled(timings.HANDLER_SECONDS, "leads_queue") == 0


def test_the_age_is_that_of_the_event():
    send(uuid.uuid4(), created_at=(datetime.now(UTC) - timedelta(minutes=2)).isoformat())
    timings.flush()
    row = HandlingBucket.objects.get(metric=timings.EVENT_AGE_SECONDS)
    assert row.bound == 300
    assert 120 <= row.total < 300


def test_a_publisher_whose_clock_is_ahead_makes_no_negative_age():
    send(uuid.uuid4(), created_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    timings.flush()
    assert HandlingBucket.objects.get(metric=timings.EVENT_AGE_SECONDS).total == 0


def test_counts_of_several_writers_add_up():
    def write() -> None:
        try:
            for value in (0.002, 0.02, 5.0, 5000.0):
                timings.observe(timings.HANDLER_SECONDS, "leads_queue", value)
                timings.observe(timings.HANDLER_SECONDS, "scripts_queue", value)
                timings.flush()
        finally:
            connection.close()

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert handled(timings.HANDLER_SECONDS, "leads_queue") == handled(timings.HANDLER_SECONDS, "scripts_queue") == 16


def test_what_cannot_be_written_is_written_the_next_time():
    timings.observe(timings.HANDLER_SECONDS, "leads_queue", 0.2)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE messaging_handlingbucket RENAME TO elsewhere")
    try:
        timings.flush()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO messaging_handlingbucket")
    assert handled(timings.HANDLER_SECONDS, "leads_queue") == 1


def test_what_is_counted_while_the_database_is_away_is_written_when_it_is_back(monkeypatch: pytest.MonkeyPatch):
    timings.observe(timings.HANDLER_SECONDS, "leads_queue", 0.2)
    with TcpProxy.before(database_url()) as network, monkeypatch.context() as away:
        network.cut()
        away.setitem(connection.settings_dict, "PORT", network.port)
        connection.close()
        timings.flush()
    assert handled(timings.HANDLER_SECONDS, "leads_queue") == 1


def test_the_histogram_is_cumulative():
    for value in (0.002, 0.002, 0.3, 5000.0):
        timings.observe(timings.HANDLER_SECONDS, "leads_queue", value)
    timings.flush()
    family = histogram("seconds", timings.HANDLER_SECONDS, "")
    found = {
        (sample.name, sample.labels.get("le")): sample.value
        for sample in family.samples
        if sample.labels["subscription"] == "leads_queue"
    }
    assert found["seconds_bucket", "0.001"] == 0
    assert found["seconds_bucket", "0.0025"] == found["seconds_bucket", "0.25"] == 2
    assert found["seconds_bucket", "0.5"] == found["seconds_bucket", "600.0"] == 3
    assert found["seconds_bucket", "+Inf"] == found["seconds_count", None] == 4
    assert found["seconds_sum", None] == pytest.approx(5000.304)


def test_counting_leaves_the_handlers_effect_alone(monkeypatch: pytest.MonkeyPatch):
    """Whatever goes wrong in counting, the event stays handled."""
    monkeypatch.setitem(timings.BOUNDS, timings.HANDLER_SECONDS, ())
    send(uuid.uuid4())
    assert handled(timings.HANDLER_SECONDS) == 0
    assert ProcessedEvent.objects.count() == 1
