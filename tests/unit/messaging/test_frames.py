"""Our frames against py-amqp's own: the same bytes go out, and confirms come in however the bytes are cut."""

import struct
import uuid
from typing import Any

import pytest
from amqp import Message
from amqp.method_framing import frame_writer

from messaging.publishing import frames

EVENT = str(uuid.uuid4())
FRAME_MAX = 131_072


class _Recorder:
    """Stands in for py-amqp's connection and transport: keeps what would go over the wire."""

    frame_max = FRAME_MAX
    bytes_sent = 0

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += bytes(data)


def _by_py_amqp(exchange: str, routing_key: str, body: bytes, headers: dict[str, Any]) -> bytes:
    recorder = _Recorder()
    arguments = struct.pack(">H", 0) + _short(exchange) + _short(routing_key) + b"\1"
    message = Message(
        body,
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=2,
        message_id=EVENT,
        app_id="coolthing",
        application_headers=headers,
    )
    frame_writer(recorder, recorder)(1, 1, (60, 40), arguments, message)
    return recorder.written


def _short(text: str) -> bytes:
    return bytes((len(text.encode()),)) + text.encode()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"a": 1}', {}),
        (b'{"a": 1}', {"traceparent": "00-abc-def-01", "x": "y"}),
        (b'{"a": 1}', {"x": {"y": [1, "z", None, True]}, "ы": "щ"}),
        (b"", {}),
        (b"x" * (2 * FRAME_MAX), {"x": "y"}),
    ],
    ids=["plain", "texts", "nested", "empty", "large"],
)
def test_a_message_is_framed_as_py_amqp_frames_it(body: bytes, headers: dict[str, Any]):
    framed = frames.publish(1, "ex", "ключ", body, headers, EVENT, FRAME_MAX)
    expected = _by_py_amqp("ex", "ключ", body, headers)
    assert framed == expected


def test_headers_larger_than_a_frame_are_named():
    with pytest.raises(frames.Unfit, match="headers have"):
        frames.publish(1, "ex", "key", b"{}", {"x": "y" * frames.MAX_HEADERS_BYTES}, EVENT, FRAME_MAX)
    with pytest.raises(frames.Unfit, match="headers have"):
        frames.publish(1, "ex", "key", b"{}", {"x": "y" * 5000}, EVENT, frame_max=4096)


@pytest.mark.parametrize("headers", [{"x" * 256: "y"}, {"x": {"y" * 256: 1}}, {"x": 2**70}, {"x": object()}])
def test_headers_that_amqp_cannot_carry_are_named(headers: dict[str, Any]):
    with pytest.raises(frames.Unfit, match="headers cannot be written as AMQP"):
        frames.publish(1, "ex", "key", b"{}", headers, EVENT, FRAME_MAX)


def _frame(kind: int, content: bytes) -> bytes:
    return struct.pack(">BHI", kind, 1, len(content)) + content + b"\xce"


def test_frames_are_found_however_the_bytes_are_cut():
    ack = struct.pack(">HHQB", 60, 80, 7, 1)
    stream = _frame(frames.METHOD, ack) * 3 + _frame(frames.HEARTBEAT, b"")
    for size in (1, 7, 20, 1000):
        buffer, found = frames.FrameBuffer(), []
        for begin in range(0, len(stream), size):
            buffer.feed(stream[begin : begin + size])
            found += list(buffer.frames())
        assert found == [(frames.METHOD, 1, ack)] * 3 + [(frames.HEARTBEAT, 1, b"")]


def test_bytes_that_are_no_frames_end_the_connection():
    buffer = frames.FrameBuffer()
    buffer.feed(_frame(frames.METHOD, b"abcd")[:-1] + b"\0")
    with pytest.raises(ConnectionError, match="frame ends with"):
        list(buffer.frames())


def test_confirms_contain_what_was_taken_and_how_much():
    assert frames.confirm(struct.pack(">HHQB", 60, 80, 7, 1)) == (True, 7, True)
    assert frames.confirm(struct.pack(">HHQB", 60, 120, 8, 2)) == (False, 8, False)
    assert frames.confirm(struct.pack(">HHQB", 60, 60, 8, 2)) is None


def test_the_brokers_reason_for_taking_nothing_is_read():
    assert frames.blocked_reason(struct.pack(">HHB", 10, 60, 6) + b"memory") == "memory"
    assert frames.blocked_reason(struct.pack(">HHB", 10, 60, 0)) == "an alarm"
    assert frames.blocked_reason(struct.pack(">HH", 10, 61)) is None
