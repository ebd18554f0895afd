"""Checks the address of an operator's proxy before a connection through it (`outgoing`)."""

import asyncio
import socket
from dataclasses import replace

from outgoing.allowed import allowed_hosts
from outgoing.resolving import OutgoingRefused, resolve
from telegram.connection.proxy_settings import parse_proxy
from telegram.errors import PermanentError, TransientError
from telegram.types import Credentials

# Seconds to resolve the proxy's name.
RESOLVE_LIMIT = 10


class ProxyNotFound(OSError):
    """The proxy's name cannot be resolved."""


async def through_checked_proxy(credentials: Credentials) -> Credentials:
    """The same credentials with the proxy's checked address instead of its name, which Telethon would resolve again.

    Raises ValueError (`telegram.connection.proxy_settings`), OutgoingRefused and ProxyNotFound.
    """
    proxy = parse_proxy(credentials.proxy_url)
    if proxy is None:
        return credentials
    try:
        async with asyncio.timeout(RESOLVE_LIMIT):
            addresses = await resolve(proxy.host, proxy.port, allowed_hosts())
    except (socket.gaierror, TimeoutError, UnicodeError) as error:
        raise ProxyNotFound("the proxy's host cannot be found") from error
    return replace(credentials, proxy_url=replace(proxy, host=addresses[0]).url)


async def credentials_to_connect(credentials: Credentials) -> Credentials:
    """Like `through_checked_proxy`, for a session. Raises only TelegramErrors."""
    try:
        return await through_checked_proxy(credentials)
    except (OutgoingRefused, ValueError) as error:
        raise PermanentError(f"the proxy cannot be used: {error}") from error
    except ProxyNotFound as error:
        raise TransientError(str(error)) from error
