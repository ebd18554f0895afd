"""Hearing of it when somebody scans a QR code."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from telethon import TelegramClient, events
from telethon.tl import types


@contextmanager
def scans(client: TelegramClient) -> Iterator[asyncio.Event]:
    """An event that is set whenever Telegram says that the client's token was accepted."""
    told = asyncio.Event()

    async def tell(_update: object) -> None:
        told.set()

    scanned = events.Raw(types.UpdateLoginToken)
    client.add_event_handler(tell, scanned)
    try:
        yield told
    finally:
        client.remove_event_handler(tell, scanned)


async def until_told(told: asyncio.Event, seconds: float) -> None:
    """Until it is set, or for so long."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await told.wait()
    except TimeoutError:
        pass
