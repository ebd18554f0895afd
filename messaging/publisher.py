"""A py-amqp connection that publishes many messages at once and tells which of them the broker has taken."""

import logging
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self

import amqp
from amqp.exceptions import AMQPError
from kombu import Connection
from kombu.utils.json import dumps

from messaging import topology

log = logging.getLogger(__name__)

# What may go wrong on the way to the broker, beside the broker's own answers.
BROKER_ERRORS = (AMQPError, OSError)

# Bounds of what is sent at all. AMQP's short strings have 255 bytes; headers must fit one frame (128 KiB); brokers
# refuse bodies over 16 MiB, and an event is ids and facts: a megabyte is a mistake of its publisher.
MAX_SHORT_STRING_BYTES = 255
MAX_HEADERS_BYTES = 65_536
MAX_BODY_BYTES = 1_048_576

HEARTBEAT_SECONDS = 10
_CONNECT_SECONDS = 5.0
# A write that blocks longer means a dead peer or an alarm that the broker could not announce.
_WRITE_SECONDS = 15.0
# No confirm at all for this long: the connection is given up and what is unconfirmed is sent again.
CONFIRM_SECONDS = 30.0


class Row(NamedTuple):
    """An outbox row as far as publishing needs it."""

    id: int
    event_id: uuid.UUID
    exchange: str
    routing_key: str
    body: str
    headers: dict[str, Any]


@dataclass
class Outcome:
    """What became of the rows of one batch; those in neither list are undecided, and `error` says why."""

    confirmed: list[int] = field(default_factory=list)
    nacked: list[int] = field(default_factory=list)
    error: Exception | None = None


def unfit_reason(row: Row) -> str:
    """Why no broker would ever take this row; empty if one may."""
    size = len(row.body.encode())
    if size > MAX_BODY_BYTES:
        return f"the body has {size} bytes; {MAX_BODY_BYTES} are the most"
    if len(row.routing_key.encode()) > MAX_SHORT_STRING_BYTES:
        return f"the routing key has more than {MAX_SHORT_STRING_BYTES} bytes"
    if len(row.exchange.encode()) > MAX_SHORT_STRING_BYTES:
        return f"the exchange's name has more than {MAX_SHORT_STRING_BYTES} bytes"
    if len(dumps(row.headers).encode()) > MAX_HEADERS_BYTES:
        return f"the headers have more than {MAX_HEADERS_BYTES} bytes"
    return ""


def is_refusal(error: Exception | None, row: Row) -> bool:
    """Whether the broker's error is about this message, rather than about a broker that is not ready for any."""
    code = getattr(error, "reply_code", 0)
    if code in (403, 404):
        # One of our own exchanges is missing or closed to us: that is for `manage.py setup_broker` to mend.
        return not topology.TOPOLOGY.has_exchange(row.exchange)
    return code in (311, 406, 501, 502)


class Publisher:
    """Use as a context manager. Not to be shared between threads; any exception makes it unusable."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pending: dict[int, int] = {}
        self._outcome = Outcome()
        self._next_tag = 1
        self.blocked_reason = ""

    def __enter__(self) -> Self:
        target = Connection(self._url)
        self._connection = amqp.Connection(
            host=f"{target.hostname}:{target.port or 5672}",
            userid=target.userid or "guest",
            password=target.password or "guest",
            virtual_host=target.virtual_host or "/",
            heartbeat=HEARTBEAT_SECONDS,
            connect_timeout=_CONNECT_SECONDS,
            write_timeout=_WRITE_SECONDS,
            on_blocked=self._on_blocked,
            on_unblocked=self._on_unblocked,
            client_properties={"connection_name": "coolthing-relay"},
        )
        self._connection.connect()
        self._channel = self._connection.channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            try:
                self._connection.close()
                return
            except BROKER_ERRORS:
                pass
        self._connection.collect()

    def publish(self, rows: Sequence[Row]) -> Outcome:
        """Send all rows, then wait for the confirms. Never raises a broker's error: see `Outcome.error`."""
        self._outcome, self._pending = Outcome(), {}
        try:
            for row in rows:
                self._pending[self._next_tag] = row.id
                self._next_tag += 1
                self._channel.basic_publish(
                    _message(row), exchange=row.exchange, routing_key=row.routing_key, timeout=_WRITE_SECONDS
                )
            self._await_confirms()
        except BROKER_ERRORS as problem:
            self._outcome.error = problem
        return self._outcome

    def keep_alive(self) -> None:
        """Call at least every second or two while idle: answers heartbeats, and raises if the broker is gone."""
        try:
            while True:
                self._connection.drain_events(timeout=0.001)
        except (TimeoutError, socket.timeout):  # noqa: UP041 - py-amqp raises either
            pass
        self._connection.heartbeat_tick()

    def _await_confirms(self) -> None:
        last_progress = time.monotonic()
        while self._pending:
            waiting = len(self._pending)
            try:
                self._connection.drain_events(timeout=1.0)
            except (TimeoutError, socket.timeout):  # noqa: UP041 - py-amqp raises either
                self._connection.heartbeat_tick()
            if len(self._pending) < waiting:
                last_progress = time.monotonic()
            elif time.monotonic() - last_progress > CONFIRM_SECONDS:
                raise TimeoutError(f"no confirm for {CONFIRM_SECONDS:.0f} s, {waiting} messages are open")

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._outcome.confirmed.extend(self._settle(tag, multiple))

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self._outcome.nacked.extend(self._settle(tag, multiple))

    def _settle(self, tag: int, multiple: bool) -> list[int]:
        tags = [known for known in self._pending if known <= tag] if multiple else [tag]
        return [self._pending.pop(known) for known in tags if known in self._pending]

    def _on_blocked(self, reason: str) -> None:
        self.blocked_reason = reason or "an alarm"

    def _on_unblocked(self) -> None:
        self.blocked_reason = ""


def _message(row: Row) -> amqp.Message:
    return amqp.Message(
        row.body.encode(),
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=2,
        message_id=str(row.event_id),
        app_id="coolthing",
        application_headers=row.headers,
    )
