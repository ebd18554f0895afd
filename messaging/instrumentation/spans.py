"""Spans in OpenTelemetry's semantic conventions for messaging. Only `telemetry` imports this, if telemetry is on.

Each event has a trace. Its id is that of the event's `traceparent`, or the event's id if the event has no such header.
The relay's "publish" span, from the commit until the broker's confirm, has the span id from our `traceparent`, so each
subscription's "process" span is its child. A batch has its own trace, with a link to each event's.
"""

import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from messaging.broker import topology
from messaging.instrumentation.process_name import process_name
from messaging.instrumentation.tracing import parsed, traceparent
from messaging.messages import OutboxRow, ReceivedMessage

# A process that ends does not wait longer than this for a collector that is unavailable.
FLUSH_SECONDS = 3.0
_SYSTEM = {"messaging.system": "rabbitmq"}


class _Ids(RandomIdGenerator):
    """Random ids, except for the next span of a thread that has set its ids."""

    def __init__(self) -> None:
        self._next = threading.local()

    def give(self, trace_id: int, span_id: int = 0) -> None:
        self._next.trace_id, self._next.span_id = trace_id, span_id

    def generate_trace_id(self) -> int:
        return self._taken("trace_id") or super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self._taken("span_id") or super().generate_span_id()

    def _taken(self, name: str) -> int:
        found: int = getattr(self._next, name, 0)
        setattr(self._next, name, 0)
        return found


class _Exporting:
    """The OpenTelemetry objects of one process.

    The first span after a fork creates them, with the thread that sends.
    """

    def __init__(self) -> None:
        self.ids = _Ids()
        self.provider = TracerProvider(
            resource=Resource.create(_resource()),
            id_generator=self.ids,
            # The size of the largest batch.
            span_limits=SpanLimits(max_links=max(topology.BATCHES.values())),
            # The library's own shutdown would wait half a minute for a collector that is unavailable.
            shutdown_on_exit=False,
        )
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer: Tracer = self.provider.get_tracer("coolthing.messaging")


_lock = threading.Lock()
_exporting: _Exporting | None = None


def published(row: OutboxRow, committed_at: datetime, error: str = "") -> None:
    header = row.headers.get(topology.TRACE_HEADER)
    is_first = header == traceparent(UUID(row.event_id)) and topology.REPLAY_HEADER not in row.headers
    _record(
        f"publish {row.exchange}",
        SpanKind.PRODUCER,
        int(committed_at.timestamp() * 1e9),
        {
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.destination.name": _destination(row.exchange, row.routing_key),
            "messaging.rabbitmq.destination.routing_key": row.routing_key,
            "messaging.message.id": row.event_id,
            "messaging.message.body.size": len(row.body.encode()),
        },
        own=parsed(header) if is_first else None,
        parent=None if is_first else _context(header),
        error=error,
        became=error,
    )


def processed(message: ReceivedMessage, began: int, error: str = "", became: str = "") -> None:
    exchange, routing_key = message.origin
    event = message.event_id
    parent = _context(message.headers.get(topology.TRACE_HEADER))
    _record(
        f"process {message.queue}",
        SpanKind.CONSUMER,
        began,
        {
            **_of_processing(message.queue),
            "messaging.destination.name": _destination(exchange, routing_key, message.queue),
            "messaging.rabbitmq.destination.routing_key": routing_key,
            "messaging.message.id": str(event),
            "messaging.message.body.size": len(message.body),
        },
        own=None if parent else (event.int, 0, True),
        parent=parent,
        error=error,
        became=became,
    )


def processed_together(queue: str, messages: Sequence[ReceivedMessage], began: int) -> None:
    _record(
        f"process {queue}",
        SpanKind.CONSUMER,
        began,
        {
            **_of_processing(queue),
            "messaging.destination.name": queue,
            "messaging.batch.message_count": len(messages),
        },
        links=[_link(message) for message in messages],
    )


def flush_before_exit() -> None:
    """Send the waiting spans, for at most `FLUSH_SECONDS`. Spans recorded afterwards are lost."""
    if _exporting is None:
        return
    thread = threading.Thread(target=_exporting.provider.shutdown, daemon=True)
    thread.start()
    thread.join(FLUSH_SECONDS)


def _record(
    name: str,
    kind: SpanKind,
    began: int,
    attributes: Mapping[str, Any],
    *,
    own: tuple[int, int, bool] | None = None,
    parent: SpanContext | None = None,
    links: Sequence[Link] = (),
    error: str = "",
    became: str = "",
) -> None:
    """Record a span that ends now. A start time in the future (from another machine's clock) is replaced with now."""
    ended = time.time_ns()
    exporting = _of_this_process()
    if own is not None:
        exporting.ids.give(*own[:2])
    span = exporting.tracer.start_span(
        name,
        context=set_span_in_context(NonRecordingSpan(parent)) if parent else Context(),
        kind=kind,
        attributes={**_SYSTEM, **attributes, **({"error.type": error} if error else {})},
        links=links,
        start_time=min(began, ended),
    )
    if error:
        span.set_status(Status(StatusCode.ERROR, became))
    span.end(ended)


def _of_this_process() -> _Exporting:
    global _exporting
    with _lock:
        if _exporting is None:
            _exporting = _Exporting()
        return _exporting


def _forget() -> None:
    """Discard the parent's objects in a forked child: it has no thread, and must not send the parent's spans again."""
    global _lock, _exporting
    _lock, _exporting = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)


def _resource() -> dict[str, str]:
    found = {"service.namespace": "coolthing", "service.instance.id": f"{socket.gethostname()}:{os.getpid()}"}
    # OpenTelemetry's own variable takes precedence.
    return found if os.environ.get("OTEL_SERVICE_NAME") else {**found, "service.name": process_name()}


def _of_processing(queue: str) -> dict[str, str]:
    return {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.subscription.name": queue,
    }


def _destination(*parts: str) -> str:
    """The destination's name in the conventions for RabbitMQ: exchange, routing key and queue, each once."""
    return ":".join(part for part in dict.fromkeys(parts) if part)


def _context(header: object) -> SpanContext | None:
    found = parsed(header)
    if found is None:
        return None
    trace_id, span_id, is_sampled = found
    flags = TraceFlags(TraceFlags.SAMPLED if is_sampled else TraceFlags.DEFAULT)
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)


def _link(message: ReceivedMessage) -> Link:
    event = message.event_id
    context = _context(message.headers.get(topology.TRACE_HEADER)) or _context(traceparent(event))
    assert context is not None
    return Link(context, {"messaging.message.id": str(event)})
