"""Sends requests with a time limit, and raises failures as `telegram.errors`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from telethon import TelegramClient

from telegram.error_mapping import map_error
from telegram.errors import TransientError

# Seconds. An answer that takes longer belongs to a connection that is gone.
REQUEST_TIMEOUT = 30

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger(__name__)


async def guarded(awaitable: Awaitable[R], limit: float = REQUEST_TIMEOUT) -> R:
    """Await and return the result; raise errors as TelegramError.

    If the awaitable is cancelled although the caller is not, the connection is lost: Telethon cancels pending requests
    when it disconnects.
    """
    task = asyncio.current_task()
    try:
        async with asyncio.timeout(limit):
            return await awaitable
    except asyncio.CancelledError:
        if task is not None and task.cancelling():
            raise
        raise TransientError("CONNECTION_LOST") from None
    except Exception as error:
        raise map_error(error) from error


def within(
    limit: float,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """Decorate an operation of several requests with one time limit in seconds, after which it raises TelegramError."""

    def limited(operation: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        @wraps(operation)
        async def run(*args: P.args, **kwargs: P.kwargs) -> R:
            return await guarded(operation(*args, **kwargs), limit)

        return run

    return limited


async def call(client: TelegramClient, request: Any) -> Any:
    """Send one request and return Telethon's answer to it."""
    # During a flood wait Telethon would refuse the method in all other chats too. The callers obey flood waits.
    client._flood_waited_requests.clear()
    return await guarded(client(request))


async def close(client: TelegramClient, limit: float = 3) -> None:
    """Disconnect. The socket is closed when this returns, whatever the server or a proxy does."""
    connection = client._sender._connection
    try:
        async with asyncio.timeout(limit):
            await client.disconnect()
    except Exception as error:
        log.info("a connection ended with %s", type(error).__name__)
    writer = getattr(connection, "_writer", None)
    if writer is not None:
        writer.transport.abort()
