"""FastStream over RabbitMQ: a broker's `publish`, a subscriber that takes a dict."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

from bench import effect
from bench.child import Send, queue, url
from bench.recorder import recorder

PREFETCH = 200

broker = RabbitBroker(url(), default_channel=Channel(prefetch_count=PREFETCH), logger=None)
app = FastStream(broker, logger=None)
source = RabbitQueue(queue(), queue_type=QueueType.QUORUM, durable=True)


@broker.subscriber(source, ack_policy=AckPolicy.REJECT_ON_ERROR)
async def handle(message: dict[str, Any]) -> None:
    recorder().started(message)
    await effect.apply_async(message)
    recorder().handled()


@asynccontextmanager
async def publisher() -> AsyncIterator[Send]:
    async with broker:

        async def send(message: dict[str, Any]) -> None:
            await broker.publish(message, queue=source, persist=True)

        yield send
