"""Hand-written AMQP 0-9-1 frames on a socket of py-amqp, as fast as a Python process can send and receive.

It fills queues for the drain measurements, and is a ceiling. It has no recovery, and supports neither large bodies nor
returned messages.
"""

import contextlib
import re
import socket
import struct
import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import amqp
from amqp.basic_message import Message
from kombu import Connection

_FRAME = struct.Struct(">BHI")
_END = b"\xce"
_METHOD, _HEADER, _BODY = 1, 2, 3
_PUBLISH, _DELIVER, _ACK, _NACK = (60, 40), (60, 60), (60, 80), (60, 120)
_READ_BYTES = 262_144
_CHUNK = 250
_IDS = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"
)


class Refused(Exception):
    """The broker did not confirm a message."""


def connect(url: str) -> amqp.Connection:
    target = Connection(url)
    connection = amqp.Connection(
        host=f"{target.hostname}:{target.port or 5672}",
        userid=target.userid,
        password=target.password,
        virtual_host=target.virtual_host,
        heartbeat=0,
    )
    connection.connect()
    return connection


@contextlib.contextmanager
def channel(url: str) -> Iterator[amqp.Channel]:
    connection = connect(url)
    try:
        yield connection.channel()
    finally:
        connection.close()


class Frames:
    """The frames of a message. `copies` have new ids and are otherwise equal."""

    def __init__(self, exchange: str, routing_key: str, body: bytes, properties: dict[str, Any]) -> None:
        self._method = struct.pack(">HHH", *_PUBLISH, 0) + _short(exchange) + _short(routing_key) + b"\0"
        self._properties = Message(b"", **properties)._serialize_properties()
        self._body = body

    def frame(self, body: bytes | None = None, properties: bytes | None = None) -> bytes:
        body = self._body if body is None else body
        header = struct.pack(">HHQ", 60, 0, len(body)) + (properties or self._properties)
        return b"".join((_frame(_METHOD, self._method), _frame(_HEADER, header), _frame(_BODY, body)))

    def copies(self, count: int) -> Iterator[bytes]:
        """Copies in which every UUID in body and headers is replaced by a new UUID. Equal UUIDs stay equal."""
        known = set(_IDS.findall(self._body)) | set(_IDS.findall(self._properties))
        for _ in range(count):
            body, properties = self._body, self._properties
            for old in known:
                fresh = uuid.uuid4()
                new = (str(fresh) if b"-" in old else fresh.hex).encode()
                body, properties = body.replace(old, new), properties.replace(old, new)
            yield self.frame(body, properties)


class Publisher:
    """Publishes with pipelined confirms. At most `window` messages are unconfirmed at a time."""

    def __init__(self, url: str, window: int = 2000) -> None:
        self._connection = connect(url)
        self._connection.channel(1).confirm_select()
        self._socket: socket.socket = self._connection.transport.sock
        self._reader = _Reader(self._socket)
        self._window = window
        self._sent = 0
        self._settled = 0
        self._open: set[int] = set()

    def publish(self, messages: Iterable[bytes]) -> None:
        """Publish the messages. Returns when the broker has confirmed all of them."""
        source = iter(messages)
        while chunk := list(islice(source, _CHUNK)):
            self.send(b"".join(chunk), len(chunk))
            while len(self._open) > self._window - _CHUNK:
                self.settle()
        while self._open:
            self.settle()

    def send(self, data: bytes, count: int) -> None:
        self._open.update(range(self._sent + 1, self._sent + count + 1))
        self._sent += count
        self._socket.sendall(data)

    def settle(self, *, wait: bool = True) -> None:
        for kind, frame in self._reader.read(wait=wait):
            if kind != _METHOD:
                continue
            method = struct.unpack_from(">HH", frame)
            if method != _ACK:
                raise Refused(f"the broker answered with method {method}")
            tag, multiple = struct.unpack_from(">QB", frame, 4)
            if multiple:
                self._open.difference_update(range(self._settled + 1, tag + 1))
                self._settled = tag
            else:
                self._open.discard(tag)

    def close(self) -> None:
        self._socket.close()


def consume(url: str, queue: str, handle: Callable[[bytes], None], prefetch: int = 2000) -> None:
    """Call `handle` with each body, and acknowledge the bodies of one read together. Does not return."""
    connection = connect(url)
    opened = connection.channel(1)
    opened.basic_qos(0, prefetch, False)
    opened.basic_consume(queue)
    sock: socket.socket = connection.transport.sock
    reader = _Reader(sock)
    delivered = handled = acknowledged = 0
    while True:
        for kind, frame in reader.read():
            if kind == _METHOD:
                if struct.unpack_from(">HH", frame) != _DELIVER:
                    raise Refused(f"the broker sent method {struct.unpack_from('>HH', frame)}")
                delivered = struct.unpack_from(">Q", frame, 5 + frame[4])[0]
            elif kind == _BODY:
                handle(frame)
                handled = delivered
        if handled > acknowledged:
            sock.sendall(_frame(_METHOD, struct.pack(">HHQB", *_ACK, handled, 1)))
            acknowledged = handled


class _Reader:
    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._rest = b""

    def read(self, *, wait: bool = True) -> Iterator[tuple[int, bytes]]:
        """The complete frames of one read. An incomplete frame is kept for the next read."""
        if not wait:
            self._socket.setblocking(False)
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        finally:
            if not wait:
                self._socket.setblocking(True)
        if not data:
            raise ConnectionError("the broker closed the connection")
        data = self._rest + data
        at = 0
        while len(data) - at >= _FRAME.size:
            kind, _, size = _FRAME.unpack_from(data, at)
            end = at + _FRAME.size + size
            if len(data) <= end:
                break
            yield kind, data[at + _FRAME.size : end]
            at = end + 1
        self._rest = data[at:]


def _frame(kind: int, content: bytes) -> bytes:
    return b"".join((_FRAME.pack(kind, 1, len(content)), content, _END))


def _short(text: str) -> bytes:
    raw = text.encode()
    return bytes((len(raw),)) + raw
