"""A local OpenTelemetry collector: takes OTLP protobuf over HTTP and remembers the spans."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

CONSUMER, PRODUCER = Span.SPAN_KIND_CONSUMER, Span.SPAN_KIND_PRODUCER


@dataclass(frozen=True)
class Told:
    """One span, its ids in hexadecimal. `error` is what its status says, None without one."""

    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    links: list[tuple[str, str]]
    attributes: dict[str, Any]
    seconds: float
    error: str | None


@dataclass
class Collector:
    url: str
    headers: list[dict[str, str]] = field(default_factory=list)
    spans: list[Told] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """For processes that shall tell it: at once, and past any proxy."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-team=cool",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "NO_PROXY": "127.0.0.1",
        }

    def of(self, name: str) -> list[Told]:
        return [span for span in self.spans if span.name == name]


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            asked = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            collector.headers.append(dict(self.headers))
            collector.spans += _told(asked)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Requests are no news."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def _told(asked: ExportTraceServiceRequest) -> Iterator[Told]:
    for of_process in asked.resource_spans:
        resource = _plain(of_process.resource.attributes)
        for scope in of_process.scope_spans:
            for span in scope.spans:
                yield Told(
                    service=str(resource["service.name"]),
                    name=span.name,
                    kind=span.kind,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                    attributes=_plain(span.attributes),
                    seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    error=span.status.message if span.status.code == Status.STATUS_CODE_ERROR else None,
                )


def _plain(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair) for pair in pairs}


def _value(pair: KeyValue) -> Any:
    return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
