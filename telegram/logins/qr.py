"""Detects when a QR code is scanned: Telegram sends an update to the client that shows the code."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from telethon import TelegramClient, events
from telethon.tl import types


@contextmanager
def scans(client: TelegramClient) -> Iterator[asyncio.Event]:
    """An event that is set whenever Telegram reports that the client's token was accepted."""
    scanned = asyncio.Event()

    async def on_update(_update: object) -> None:
        scanned.set()

    accepted = events.Raw(types.UpdateLoginToken)
    client.add_event_handler(on_update, accepted)
    try:
        yield scanned
    finally:
        client.remove_event_handler(on_update, accepted)


async def until_scanned(scanned: asyncio.Event, seconds: float) -> None:
    """Wait until the code is scanned, at most `seconds`."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await scanned.wait()
    except TimeoutError:
        pass
