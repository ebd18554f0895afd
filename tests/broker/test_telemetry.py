"""Spans of a real relay and real workers, as an OpenTelemetry collector gets them."""

import signal
import socket
import uuid
from collections.abc import Iterator

import pytest
from django.db import transaction

from messaging.broker import topology
from messaging.instrumentation.tracing import traceparent
from messaging.publishing.outbox import publish_on_commit
from tests.broker.conftest import Probe, StartProcess
from tests.broker.probe import KEY, PROBE_EXCHANGE, PROBE_QUEUE, ProbeHappened
from tests.collector import CONSUMER, PRODUCER, Collector, Told, collecting
from tests.support import Process, wait_until

PUBLISH, PROCESS = f"publish {PROBE_EXCHANGE}", f"process {PROBE_QUEUE}"
FOREIGN_TRACE, FOREIGN_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def _worker(start_process: StartProcess, env: dict[str, str], *options: str) -> Process:
    worker = start_process(
        "celery", "-A", "tests.broker.probe", "worker", "-Q", PROBE_QUEUE, "-n", "probe@test", "--concurrency=1",
        "-l", "INFO", *options, **env,
    )  # fmt: skip
    worker.wait_for_log("ready.")
    return worker


def _publish(*events: ProbeHappened) -> None:
    with transaction.atomic():
        publish_on_commit(*events)


def _one(collector: Collector, name: str) -> Told:
    wait_until(lambda: collector.of(name), what=f"the span {name!r}")
    (span,) = collector.of(name)
    return span


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_an_event_is_one_trace_from_its_commit_to_its_handling(
    probed: Probe, start_process: StartProcess, collector: Collector, pool: str
):
    start_process("manage.py", "relay_events", **collector.env)
    _worker(start_process, collector.env, f"--pool={pool}")
    event = ProbeHappened()
    _publish(event)
    published, processed = _one(collector, PUBLISH), _one(collector, PROCESS)
    assert (published.trace, processed.trace) == (event.id.hex, event.id.hex)
    assert traceparent(event.id) == f"00-{published.trace}-{published.id}-01"
    assert (published.parent, processed.parent) == ("", published.id)
    assert (published.kind, processed.kind) == (PRODUCER, CONSUMER)
    assert (published.service, processed.service) == ("relay", "probe")
    assert (published.error, processed.error) == (None, None)
    assert processed.attributes["messaging.system"] == "rabbitmq"
    assert processed.attributes["messaging.message.id"] == str(event.id)
    assert published.attributes["messaging.destination.name"] == f"{PROBE_EXCHANGE}:{KEY}"
    assert processed.attributes["messaging.destination.name"] == f"{PROBE_EXCHANGE}:{KEY}:{PROBE_QUEUE}"
    assert {headers["x-team"] for headers in collector.headers} == {"cool"}


def test_a_foreign_trace_goes_on_through_handling_death_and_archive(
    probed: Probe, start_process: StartProcess, collector: Collector
):
    _worker(start_process, collector.env)
    archive = "process dead_letter_archive_queue"
    event = ProbeHappened(text="fail")
    header = {topology.TRACE_HEADER: f"00-{FOREIGN_TRACE}-{FOREIGN_SPAN}-01"}
    probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode(), application_headers=header)
    processed = _one(collector, PROCESS)
    assert (processed.trace, processed.parent) == (FOREIGN_TRACE, FOREIGN_SPAN)
    assert processed.error == "dead-lettered"
    assert processed.attributes["error.type"] == "ValueError"
    start_process(
        "celery", "-A", "coolthing_site", "worker", "-n", "dead_letters@test", "--concurrency=1",
        "-Q", topology.DEAD_LETTER_ARCHIVE_QUEUE, **collector.env,
    )  # fmt: skip
    archived = _one(collector, archive)
    assert (archived.trace, archived.parent, archived.error) == (FOREIGN_TRACE, FOREIGN_SPAN, None)
    assert archived.service == "dead_letters"


def test_an_event_without_a_trace_begins_the_one_of_its_id(
    probed: Probe, start_process: StartProcess, collector: Collector
):
    _worker(start_process, collector.env)
    event_id = uuid.uuid4()
    probed.broker.publish(PROBE_EXCHANGE, KEY, f'{{"id": "{event_id}"}}'.encode())
    processed = _one(collector, PROCESS)
    assert (processed.trace, processed.parent) == (event_id.hex, "")


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_spans_that_wait_are_sent_when_a_worker_ends(
    probed: Probe, start_process: StartProcess, collector: Collector, pool: str
):
    worker = _worker(start_process, {**collector.env, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}, f"--pool={pool}")
    event = ProbeHappened()
    probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode())
    wait_until(lambda: probed.effects(event.id) == 1)
    assert collector.spans == []
    probed.settle(worker, PROBE_QUEUE, handled=1)
    assert _one(collector, PROCESS).trace == event.id.hex


@pytest.mark.parametrize("answers", ["refuses", "is silent"])
def test_an_unavailable_collector_keeps_no_process_from_publishing_handling_and_ending(
    probed: Probe, start_process: StartProcess, collector: Collector, answers: str
):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        if answers == "refuses":
            nobody.close()
            url = "http://127.0.0.1:1"
        else:
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        env = {**collector.env, "OTEL_EXPORTER_OTLP_ENDPOINT": url}
        relay = start_process("manage.py", "relay_events", **env)
        worker = _worker(start_process, env)
        events = [ProbeHappened() for _ in range(50)]
        _publish(*events)
        wait_until(lambda: all(probed.effects(event.id) == 1 for event in events), what="all effects")
        for process in (relay, worker):
            process.signal(signal.SIGTERM)
        assert (relay.wait(), worker.wait()) == (0, 0)
    assert probed.broker.ready(PROBE_QUEUE) == 0
