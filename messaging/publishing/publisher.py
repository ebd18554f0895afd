"""A connection that publishes many messages at once and reports which ones the broker has confirmed.

py-amqp connects, negotiates, sends heartbeats and closes. The hot path (messages out, confirms in) is implemented here.
"""

import logging
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import amqp
from amqp.exceptions import AMQPError
from kombu import Connection

from messaging.broker import topology
from messaging.events import MAX_BODY_BYTES
from messaging.messages import OutboxRow
from messaging.publishing import frames

log = logging.getLogger(__name__)

# Errors of the connection, besides the broker's nacks and returns.
BROKER_ERRORS = (AMQPError, OSError)

# AMQP's limit for names and keys.
MAX_SHORT_STRING_BYTES = 255

HEARTBEAT_SECONDS = 10
_CONNECT_SECONDS = 5.0
# A write without progress for longer means that the peer is dead. A broker with an alarm reports the alarm, and the
# publisher then waits longer.
_WRITE_SECONDS = 15.0
# After this time without any confirm the connection is closed, and unconfirmed rows are sent again.
CONFIRM_SECONDS = 30.0
_READ_BYTES = 262_144
# Seconds that a write or a read waits before the publisher checks the other direction.
_TURN_SECONDS = 0.5


@dataclass
class Outcome:
    """The ids of rows by result, since the last call. `refused`: the broker had no queue for them."""

    confirmed: list[int] = field(default_factory=list)
    nacked: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)


def unfit_reason(row: OutboxRow) -> str:
    """Why every broker would refuse this row, according to the row's texts; "" if they would not."""
    if len(row.body) > MAX_BODY_BYTES // 4 and (size := len(row.body.encode())) > MAX_BODY_BYTES:
        return f"the body has {size} bytes; the maximum is {MAX_BODY_BYTES}"
    if len(row.routing_key.encode()) > MAX_SHORT_STRING_BYTES:
        return f"the routing key has more than {MAX_SHORT_STRING_BYTES} bytes"
    if len(row.exchange.encode()) > MAX_SHORT_STRING_BYTES:
        return f"the exchange's name has more than {MAX_SHORT_STRING_BYTES} bytes"
    return ""


def is_refusal(error: Exception | None, row: OutboxRow) -> bool:
    """Whether the broker's error concerns this message, not a broker that is not ready for any message."""
    code = getattr(error, "reply_code", 0)
    if code in (403, 404):
        # An exchange of the topology is missing or forbidden. `manage.py setup_broker` repairs that.
        return not topology.TOPOLOGY.has_exchange(row.exchange)
    return code in (311, 406, 501, 502)


class Publisher:
    """A context manager. Not thread-safe; any exception makes it unusable.

    `send` writes rows, `read` reads the broker's responses, `take` returns the results of rows. `blocked_reason` is the
    broker's reason while it takes no messages (memory, disk), otherwise "".
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._open: dict[int, OutboxRow] = {}
        self._returned: set[str] = set()
        self._outcome = Outcome()
        self._last_tag = 0
        self._buffer = frames.FrameBuffer()
        self._progress = time.monotonic()
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
            on_unblocked=self._on_unblocked,
            client_properties={"connection_name": "coolthing-relay"},
        )
        self._connection.connect()
        channel = self._connection.channel()
        channel.confirm_select()
        channel.events["basic_return"].add(self._on_return)
        self._channel_id: int = channel.channel_id
        self._socket: socket.socket = self._connection.transport.sock
        self._socket.settimeout(_TURN_SECONDS)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            try:
                self._connection.close()
                return
            except BROKER_ERRORS:
                pass
        self._connection.collect()

    @property
    def open_count(self) -> int:
        """The number of rows that were sent and are neither confirmed nor refused."""
        return len(self._open)

    @property
    def open_rows(self) -> list[OutboxRow]:
        return list(self._open.values())

    def fileno(self) -> int:
        """For select: readable when `read` will find data."""
        return self._socket.fileno()

    def send(self, rows: Sequence[OutboxRow]) -> dict[int, str]:
        """Write the rows. Returns the ids of rows that cannot be written, with the reasons."""
        unfit: dict[int, str] = {}
        packed = []
        if not self._open:
            self._progress = time.monotonic()
        for row in rows:
            try:
                packed.append(self._packed(row))
            except frames.Unfit as problem:
                unfit[row.id] = str(problem)
                continue
            self._last_tag += 1
            self._open[self._last_tag] = row
        if packed:
            self._write(b"".join(packed))
        return unfit

    def read(self, timeout: float) -> bool:
        """Process the data that the broker has sent.

        Returns False if there is none. Raises if the connection is unusable.
        """
        self._socket.settimeout(timeout)
        try:
            data = self._socket.recv(_READ_BYTES)
        except (TimeoutError, BlockingIOError):
            return False
        finally:
            self._socket.settimeout(_TURN_SECONDS)
        if not data:
            raise ConnectionError("the broker closed the connection")
        self._buffer.feed(data)
        for kind, channel, content in self._buffer.frames():
            self._on_frame(kind, channel, content)
        return True

    def take(self) -> Outcome:
        """The results of rows since the last call."""
        outcome, self._outcome = self._outcome, Outcome()
        return outcome

    def keep_alive(self) -> None:
        """Call every second or two. Sends heartbeats, and raises if the broker is gone or confirms nothing."""
        self._connection.heartbeat_tick()
        silent = time.monotonic() - self._progress
        if self._open and not self.blocked_reason and silent > CONFIRM_SECONDS:
            raise TimeoutError(f"no confirm for {silent:.0f} s, {len(self._open)} messages are open")

    def _packed(self, row: OutboxRow) -> bytes:
        reason = unfit_reason(row)
        if reason:
            raise frames.Unfit(reason)
        return frames.publish(
            self._channel_id,
            row.exchange,
            row.routing_key,
            row.body.encode(),
            row.headers,
            row.event_id,
            self._connection.frame_max,
        )

    def _write(self, data: bytes) -> None:
        """Write the data, and read meanwhile: a broker with an alarm stops reading, and reports the alarm."""
        rest = memoryview(data)
        last_progress = time.monotonic()
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
                last_progress = time.monotonic()
            except (TimeoutError, BlockingIOError):
                self.read(timeout=0.0)
                if not self.blocked_reason and time.monotonic() - last_progress > _WRITE_SECONDS:
                    raise TimeoutError(f"the broker has read nothing for {_WRITE_SECONDS:.0f} s") from None
        # For py-amqp, which sends a heartbeat if nothing else was sent.
        self._connection.bytes_sent += 1

    def _on_frame(self, kind: int, channel: int, content: bytes) -> None:
        if kind == frames.METHOD:
            confirm = frames.confirm(content)
            if confirm is not None:
                self._connection.bytes_recv += 1
                self._on_confirm(confirm)
                return
            self.blocked_reason = frames.blocked_reason(content) or self.blocked_reason
        self._connection.on_inbound_frame((kind, channel, content))

    def _on_confirm(self, confirm: frames.Confirm) -> None:
        self._progress = time.monotonic()
        tags = self._up_to(confirm.tag) if confirm.multiple else [confirm.tag]
        for tag in tags:
            row = self._open.pop(tag, None)
            if row is None:
                continue
            if row.event_id in self._returned:
                self._returned.discard(row.event_id)
                self._outcome.refused.append(row.id)
            else:
                (self._outcome.confirmed if confirm.taken else self._outcome.nacked).append(row.id)

    def _up_to(self, tag: int) -> list[int]:
        """The open tags up to `tag`, which come first, because open tags are in the order of sending."""
        found = []
        for known in self._open:
            if known > tag:
                break
            found.append(known)
        return found

    def _on_return(self, error: Exception, exchange: str, routing_key: str, message: amqp.Message) -> None:
        """Note a mandatory message that no queue takes. The broker returns it before its confirm."""
        self._returned.add(message.properties["message_id"])

    def _on_unblocked(self) -> None:
        self.blocked_reason = ""
        self._progress = time.monotonic()
