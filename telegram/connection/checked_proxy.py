"""Connects to an operator's proxy only at an address that was checked (`outgoing`)."""

import asyncio
import socket
from dataclasses import replace

from outgoing.allowed import allowed_hosts
from outgoing.resolving import OutgoingRefused, resolve
from telegram.connection.proxy_settings import parse_proxy
from telegram.errors import PermanentError, TransientError
from telegram.types import Credentials

# Seconds for its name.
RESOLVE_LIMIT = 10


class ProxyNotFound(OSError):
    """The proxy's name leads nowhere."""


async def through_checked_proxy(credentials: Credentials) -> Credentials:
    """The same credentials, whose proxy is named by its address: Telethon would resolve the name again.

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
    """As `through_checked_proxy`, for a session. Raises TelegramError."""
    try:
        return await through_checked_proxy(credentials)
    except (OutgoingRefused, ValueError) as error:
        raise PermanentError(f"the proxy cannot be used: {error}") from error
    except ProxyNotFound as error:
        raise TransientError(str(error)) from error
