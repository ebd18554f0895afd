"""A ceiling: no framework and no client library, hand-written AMQP frames (bench.wire)."""

import json
import time

from bench import child, wire
from bench.child import Stamps, queue, url
from bench.payload import payload
from bench.recorder import recorder


def publish_all(count: int) -> float:
    publisher = wire.Publisher(url())
    frames = wire.Frames("", queue(), b"", {"content_type": "application/json", "delivery_mode": 2})
    publisher.publish(frames.frame(_body()) for _ in range(child.WARM_UP))
    began = time.monotonic()
    publisher.publish(frames.frame(_body()) for _ in range(count))
    return time.monotonic() - began


def pace(rate: float, count: int) -> Stamps:
    publisher = wire.Publisher(url())
    frames = wire.Frames("", queue(), b"", {"content_type": "application/json", "delivery_mode": 2})

    def send(message: dict[str, object]) -> None:
        publisher.send(frames.frame(json.dumps(message).encode()), 1)
        publisher.settle(wait=False)

    return child.paced(send, rate, count)


def consume() -> None:
    noted = recorder()

    def handle(body: bytes) -> None:
        noted.started(json.loads(body))
        noted.handled()

    wire.consume(url(), queue(), handle)


def _body() -> bytes:
    return json.dumps(payload()).encode()
