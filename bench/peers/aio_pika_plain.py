"""Plain aio-pika: a robust connection, one confirm awaited for each publish, an acknowledgement for each message."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika

from bench import effect
from bench.child import Send, queue, url
from bench.recorder import recorder

PREFETCH = 200


@asynccontextmanager
async def publisher() -> AsyncIterator[Send]:
    connection = await aio_pika.connect_robust(url())
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        name = queue()

        async def send(message: dict[str, Any]) -> None:
            await channel.default_exchange.publish(
                aio_pika.Message(
                    json.dumps(message).encode(),
                    content_type="application/json",
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                ),
                routing_key=name,
            )

        yield send


def consume() -> None:
    asyncio.run(_consume())


async def _consume() -> None:
    connection = await aio_pika.connect_robust(url())
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        source = await channel.get_queue(queue())
        await source.consume(_handle)
        await asyncio.Future()


async def _handle(arrived: aio_pika.abc.AbstractIncomingMessage) -> None:
    async with arrived.process():
        message = json.loads(arrived.body)
        recorder().started(message)
        await effect.apply_async(message)
        recorder().handled()
