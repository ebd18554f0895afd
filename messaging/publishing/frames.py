"""AMQP 0-9-1 frames, as far as publishing needs them: encodes messages and decodes confirms.

py-amqp encodes and writes every message separately, which takes most of a publisher's time. Here the parts that many
messages share are encoded once, and many messages are written together. Section numbers are those of the AMQP 0-9-1
specification; `basic.ack` and `basic.nack` to a publisher are RabbitMQ's.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from amqp.exceptions import FrameSyntaxError
from amqp.serialization import dumps

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
BASIC_PUBLISH, BASIC_ACK, BASIC_NACK, CONNECTION_BLOCKED = (60, 40), (60, 80), (60, 120), (10, 60)
_BASIC = 60
# Type, channel and size before the content of a frame (2.3.5); one octet after it.
_FRAME = struct.Struct(">BHI")
_END = b"\xce"
OVERHEAD = _FRAME.size + len(_END)
# Headers are one frame, and consumers may have agreed on a smaller frame size than the relay.
MAX_HEADERS_BYTES = 65_536
_CONTENT = struct.Struct(">HHQ")
_LONG = struct.Struct(">I")
_MANDATORY = b"\x01"
_JSON = b"\x10application/json\x05utf-8"
_PERSISTENT = b"\x02"
_APP_ID = b"\x09coolthing"
# Bits of the properties that follow, in order (4.2.6.1): content type and encoding, headers, delivery mode, message id,
# app id.
_FLAGS = struct.pack(">H", 1 << 15 | 1 << 14 | 1 << 13 | 1 << 12 | 1 << 7 | 1 << 3)
# Names and values that need no special encoding are packed as long strings.
_PLAIN = re.compile(r"[ -~]{0,255}")


class Unfit(Exception):
    """Every broker would refuse this message. The text is the reason."""


def publish(
    channel: int,
    exchange: str,
    routing_key: str,
    body: bytes,
    headers: Mapping[str, Any],
    message_id: str,
    frame_max: int,
) -> bytes:
    """Encode a persistent, mandatory JSON message as the frames of one `basic.publish`. Raises `Unfit`."""
    try:
        table = _table(headers)
    except (FrameSyntaxError, struct.error, ArithmeticError, AttributeError, TypeError, ValueError) as problem:
        # Messages of other programs may have any headers, and py-amqp raises various errors for them.
        raise Unfit(f"the headers cannot be written as AMQP: {type(problem).__name__}: {problem}") from problem
    properties = _FLAGS + _JSON + table + _PERSISTENT + _short(message_id) + _APP_ID
    header = _CONTENT.pack(_BASIC, 0, len(body)) + properties
    if len(header) > (most := min(frame_max - OVERHEAD, MAX_HEADERS_BYTES)):
        raise Unfit(f"the headers have {len(header)} bytes; the maximum is {most}")
    parts = [_method(channel, exchange, routing_key), *_frame(HEADER, channel, header)]
    room = frame_max - OVERHEAD
    for begin in range(0, len(body), room):
        parts += _frame(BODY, channel, body[begin : begin + room])
    return b"".join(parts)


class Confirm(NamedTuple):
    """The broker's ack (`taken`) or nack of one message, or of all messages up to this one (`multiple`)."""

    taken: bool
    tag: int
    multiple: bool


def confirm(content: bytes) -> Confirm | None:
    """The confirm in a method frame, or None if it is another method."""
    method = struct.unpack_from(">HH", content)
    if method not in (BASIC_ACK, BASIC_NACK):
        return None
    tag, bits = struct.unpack_from(">QB", content, 4)
    return Confirm(method == BASIC_ACK, tag, bool(bits & 1))


def blocked_reason(content: bytes) -> str | None:
    """The reason in a `connection.blocked` frame, which py-amqp drops; None for other frames."""
    if struct.unpack_from(">HH", content) != CONNECTION_BLOCKED:
        return None
    return content[5 : 5 + content[4]].decode("utf-8", "replace") or "an alarm"


class FrameBuffer:
    """Collects bytes from the socket and returns complete frames."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> None:
        self._data += data

    def frames(self) -> Iterator[tuple[int, int, bytes]]:
        """Type, channel and content of every complete frame. Raises ConnectionError for malformed data."""
        data, at = self._data, 0
        try:
            while len(data) - at >= OVERHEAD:
                kind, channel, size = _FRAME.unpack_from(data, at)
                begin = at + _FRAME.size
                end = begin + size
                if len(data) <= end:
                    break
                if data[end] != _END[0]:
                    raise ConnectionError(f"a frame ends with {data[end]:#04x}")
                at = end + 1
                yield kind, channel, data[begin:end]
        finally:
            self._data = data[at:]


@lru_cache(maxsize=4096)
def _method(channel: int, exchange: str, routing_key: str) -> bytes:
    content = struct.pack(">HHH", *BASIC_PUBLISH, 0) + _short(exchange) + _short(routing_key) + _MANDATORY
    return b"".join(_frame(METHOD, channel, content))


def _frame(kind: int, channel: int, content: bytes) -> tuple[bytes, bytes, bytes]:
    return _FRAME.pack(kind, channel, len(content)), content, _END


def _short(text: str) -> bytes:
    raw = text.encode()
    return bytes((len(raw),)) + raw


def _table(headers: Mapping[str, Any]) -> bytes:
    """Encode the headers. Strings are encoded here, a table with other values by py-amqp."""
    parts = []
    for name, value in headers.items():
        if not (isinstance(value, str) and _PLAIN.fullmatch(name) and _PLAIN.fullmatch(value)):
            return bytes(dumps("F", (dict(headers),)))
        parts.append(_short(name) + b"S" + _LONG.pack(len(value)) + value.encode())
    content = b"".join(parts)
    return _LONG.pack(len(content)) + content
