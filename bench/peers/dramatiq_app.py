"""dramatiq with confirmed deliveries. It has no setting for quorum queues: a subclass declares them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from bench import effect
from bench.child import Send, queue, url
from bench.recorder import recorder


class QuorumBroker(RabbitmqBroker):
    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        return {**super()._build_queue_arguments(queue_name), "x-queue-type": "quorum"}


broker = QuorumBroker(url=url(), confirm_delivery=True)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name=queue(), max_retries=0)
def handle(message: dict[str, Any]) -> None:
    recorder().started(message)
    effect.apply(message)
    recorder().handled()


@contextmanager
def publisher() -> Iterator[Send]:
    try:
        yield handle.send
    finally:
        broker.close()
