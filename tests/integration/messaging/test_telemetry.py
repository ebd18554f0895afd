"""The spans of batches, replays and unpublishable events, as OpenTelemetry's collector gets them."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from messaging.broker import topology
from messaging.consuming.subscriptions import handle_batch
from messaging.instrumentation import telemetry
from messaging.instrumentation.tracing import traceparent
from messaging.messages import OutboxRow, ReceivedMessage
from messaging.models import DeadLetter
from tests.collector import Collector, Told, collecting
from tests.support import ROOT

pytestmark = pytest.mark.django_db

EXCHANGE, KEY = topology.SCRIPTS_EXCHANGE, "admin.script_renamed"
FOREIGN_TRACE, FOREIGN_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FOREIGN = f"00-{FOREIGN_TRACE}-{FOREIGN_SPAN}-01"


@pytest.fixture
def collector(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """For this process, as if it had sent no span yet."""
    from messaging.instrumentation import spans

    with collecting() as collector:
        for name, value in collector.env.items():
            monkeypatch.setenv(name, value)
        settings.OTEL_EXPORTER_OTLP_ENDPOINT = collector.url
        monkeypatch.setattr(spans, "_exporting", None)
        yield collector


def _told(collector: Collector) -> list[Told]:
    telemetry.flush_before_exit()
    return collector.spans


def _body(event: uuid.UUID) -> bytes:
    return f'{{"id": "{event}"}}'.encode()


def _row(event: uuid.UUID, **headers: str) -> OutboxRow:
    return OutboxRow(1, str(event), EXCHANGE, KEY, "{}", headers)


def test_a_batch_has_one_span_with_a_link_to_each_event(collector: Collector):
    ours, foreign, bare = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    headers = {ours: {topology.TRACE_HEADER: traceparent(ours)}, foreign: {topology.TRACE_HEADER: FOREIGN}, bare: {}}
    handle_batch(topology.UNROUTABLE_QUEUE, [(EXCHANGE, KEY, _body(event), headers[event], None) for event in headers])
    assert DeadLetter.objects.count() == 3
    (span,) = _told(collector)
    assert span.name == "process unroutable_queue"
    assert span.attributes["messaging.batch.message_count"] == 3
    assert [trace for trace, _ in span.links] == [ours.hex, FOREIGN_TRACE, bare.hex]
    assert span.links[1] == (FOREIGN_TRACE, FOREIGN_SPAN)
    assert span.trace not in (ours.hex, FOREIGN_TRACE, bare.hex)


def test_an_invalid_event_has_a_span_of_its_own_with_the_class_of_the_error_alone(collector: Collector):
    header = {topology.TRACE_HEADER: FOREIGN}
    handle_batch(topology.LEADS_QUEUE, [(topology.LEADS_EXCHANGE, "lead.1", b'{"message": "a secret"}', header, None)])
    (span,) = _told(collector)
    assert (span.trace, span.parent, span.error) == (FOREIGN_TRACE, FOREIGN_SPAN, "dead-lettered")
    assert span.attributes["error.type"] == "UndecodableMessage"
    assert "a secret" not in str(span)


def test_the_first_publishing_has_the_ids_that_its_header_announces(collector: Collector):
    event = uuid.uuid4()
    committed = datetime.now(UTC) - timedelta(seconds=5)
    telemetry.published(_row(event, **{topology.TRACE_HEADER: traceparent(event)}), committed)
    (span,) = _told(collector)
    assert f"00-{span.trace}-{span.id}-01" == traceparent(event)
    assert span.parent == ""
    assert span.seconds >= 5


def test_a_replay_is_a_child_in_the_trace_of_what_it_replays(collector: Collector):
    event = uuid.uuid4()
    headers = {topology.TRACE_HEADER: traceparent(event), topology.REPLAY_HEADER: str(uuid.uuid4())}
    telemetry.published(_row(event, **headers), datetime.now(UTC))
    (span,) = _told(collector)
    assert span.trace == event.hex
    assert f"00-{span.trace}-{span.parent}-01" == traceparent(event)
    assert span.id != span.parent


def test_an_unpublishable_event_is_an_error(collector: Collector):
    event = uuid.uuid4()
    telemetry.unpublishable(_row(event, **{topology.TRACE_HEADER: traceparent(event)}), datetime.now(UTC))
    (span,) = _told(collector)
    assert (span.error, span.trace) == ("parked", event.hex)


def test_an_unsampled_trace_of_another_program_is_not_sent(collector: Collector):
    unsampled = {topology.TRACE_HEADER: f"{FOREIGN[:-2]}00"}
    with telemetry.processing(ReceivedMessage(topology.LEADS_QUEUE, EXCHANGE, KEY, b"{}", unsampled, None)):
        pass
    assert _told(collector) == []


def test_a_clock_that_is_ahead_makes_no_negative_time(collector: Collector):
    telemetry.published(_row(uuid.uuid4()), datetime.now(UTC) + timedelta(hours=1))
    (span,) = _told(collector)
    assert span.seconds == 0


def test_telemetry_errors_never_fail_the_handler(collector: Collector, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    handle_batch(topology.UNROUTABLE_QUEUE, [(EXCHANGE, KEY, b"{}", {}, None)])
    assert DeadLetter.objects.count() == 1
    assert _told(collector) == []


def test_without_a_collector_nothing_of_opentelemetry_is_loaded():
    code = (
        "import django, sys; django.setup()\n"
        "from messaging import subscribers\n"
        "from messaging.instrumentation import telemetry\n"
        "from messaging.publishing import relay\n"
        "with telemetry.processing(None): pass\n"
        "telemetry.flush_before_exit()\n"
        "optional = ('opentelemetry', 'google', 'messaging.instrumentation.spans')\n"
        "print([name for name in sys.modules if name.startswith(optional)])"
    )
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "coolthing_site.settings", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True, env=env)
    assert ended.stdout.strip() == "[]"
