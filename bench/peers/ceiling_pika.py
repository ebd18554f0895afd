"""A ceiling: pika's SelectConnection, callbacks, hundreds of messages in flight."""

import json
import time
from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.select_connection import SelectConnection

from bench.child import WARM_UP, Stamps, queue, url
from bench.payload import payload
from bench.recorder import recorder

IN_FLIGHT = 500
PREFETCH = 500
PROPERTIES = pika.BasicProperties(content_type="application/json", delivery_mode=2)


class Pipeline:
    """Publishes while `more()` gives a body, with at most `IN_FLIGHT` open; ends the loop after the last confirm."""

    def __init__(self, loop: SelectConnection, channel: Any, more: Callable[[], bytes | None]) -> None:
        self._loop, self._channel, self._more = loop, channel, more
        self._sent = self._settled = 0
        self._open: set[int] = set()
        self._over = False
        channel.confirm_delivery(self._confirmed, callback=lambda _: self.pump())

    def pump(self) -> None:
        while not self._over and len(self._open) < IN_FLIGHT:
            body = self._more()
            if body is None:
                self._over = True
                break
            self._channel.basic_publish("", queue(), body, PROPERTIES)
            self._sent += 1
            self._open.add(self._sent)
        if self._over and not self._open:
            self._loop.ioloop.stop()

    def _confirmed(self, frame: Any) -> None:
        if not isinstance(frame.method, pika.spec.Basic.Ack):
            raise RuntimeError("the broker refused a message")
        tag = frame.method.delivery_tag
        if frame.method.multiple:
            self._open.difference_update(range(self._settled + 1, tag + 1))
            self._settled = tag
        else:
            self._open.discard(tag)
        self.pump()


def publish_all(count: int) -> float:
    left = WARM_UP + count
    began = 0.0

    def more() -> bytes | None:
        nonlocal left, began
        if left == count:
            began = time.monotonic()
        left -= 1
        return json.dumps(payload()).encode() if left >= 0 else None

    _run(lambda loop, channel: Pipeline(loop, channel, more))
    return time.monotonic() - began


def pace(rate: float, count: int) -> Stamps:
    stamps: Stamps = {}

    def start(loop: SelectConnection, channel: Any) -> None:
        channel.confirm_delivery(lambda _: None)
        began = time.monotonic()

        def tick() -> None:
            message = payload(stamp=True)
            stamps[message["id"]] = time.monotonic_ns()
            channel.basic_publish("", queue(), json.dumps(message).encode(), PROPERTIES)
            if len(stamps) == count:
                loop.ioloop.call_later(0.2, loop.ioloop.stop)
            else:
                loop.ioloop.call_later(max(0.0, began + len(stamps) / rate - time.monotonic()), tick)

        tick()

    _run(start)
    return stamps


def consume() -> None:
    noted = recorder()

    def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        noted.started(json.loads(body))
        noted.handled()
        channel.basic_ack(method.delivery_tag)

    def start(loop: SelectConnection, channel: Any) -> None:
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.basic_consume(queue(), handle)

    _run(start)


def _run(start: Callable[[SelectConnection, Any], object]) -> None:
    def opened(connection: SelectConnection) -> None:
        connection.channel(on_open_callback=lambda channel: start(connection, channel))

    connection = SelectConnection(pika.URLParameters(url()), on_open_callback=opened)
    connection.ioloop.start()
