"""taskiq with taskiq-aio-pika: `kiq` of a task, acknowledged after its execution."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from taskiq_aio_pika import AioPikaBroker
from taskiq_aio_pika.queue import Queue, QueueType

from bench import effect
from bench.child import Send, queue, url
from bench.recorder import recorder

PREFETCH = 200

broker = AioPikaBroker(url(), qos=PREFETCH).with_queue(Queue(name=queue(), type=QueueType.QUORUM))


@broker.task(task_name="bench.handle")
async def handle(message: dict[str, Any]) -> None:
    recorder().started(message)
    await effect.apply_async(message)
    recorder().handled()


@asynccontextmanager
async def publisher() -> AsyncIterator[Send]:
    await broker.startup()
    try:
        yield handle.kiq
    finally:
        await broker.shutdown()
