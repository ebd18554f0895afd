"""The connection of one login step and its requests, with Telegram's errors as LoginErrors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from telethon import TelegramClient
from telethon import errors as rpc
from telethon.tl import types

from outgoing.resolving import OutgoingRefused
from telegram.calls import REQUEST_TIMEOUT, call, close, guarded
from telegram.connection.checked_proxy import ProxyNotFound, through_checked_proxy
from telegram.connection.config import new_client
from telegram.connection.proxy_settings import Proxy, parse_proxy
from telegram.connection.session_store import StoredSession
from telegram.errors import TelegramError, TransientError
from telegram.logins.types import PASSWORD_NEEDED, LoginError, PasswordNeeded, login_error
from telegram.types import Credentials, Me
from telegram.usernames import username_in

# Seconds for the connection, including the proxy and the key exchange; and for the check whether a proxy answers.
CONNECT_LIMIT = 15
PROBE_LIMIT = 3

_UNREACHABLE = "PROXY_UNREACHABLE"
_NO_PROXY = "The proxy does not answer. Check its host and port in the account's settings, or remove the proxy."
_MOVED = (rpc.PhoneMigrateError, rpc.NetworkMigrateError, rpc.UserMigrateError)


@asynccontextmanager
async def connected(
    session: StoredSession, credentials: Credentials, *, receive_updates: bool = False, logged_in: bool = False
) -> AsyncIterator[TelegramClient]:
    """A connected client of `session`, which is complete when the client is closed at the end.

    `logged_in`: the session is logged in already. Raises LoginError, and PasswordNeeded (with the present session) if
    the account has a password.
    """
    try:
        credentials = await through_checked_proxy(credentials)
    except OutgoingRefused as refused:
        raise LoginError(f"The proxy cannot be used: {refused}.", reason="PROXY_REFUSED") from refused
    except ProxyNotFound as error:
        raise LoginError(_NO_PROXY, reason=_UNREACHABLE) from error
    except ValueError as error:
        raise LoginError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    try:
        client = new_client(session, credentials, receive_updates=receive_updates, logged_in=logged_in)
    except ValueError as error:
        raise LoginError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    try:
        await _connect(client, credentials)
        yield client
    except LoginError as error:
        if error.reason != PASSWORD_NEEDED:
            raise
        await close(client)
        raise PasswordNeeded(session.dumps()) from None
    finally:
        await close(client)


async def answer_to(client: TelegramClient, request: Any) -> Any:
    """Send a request, again in another data centre if necessary, and return Telegram's answer. Raises LoginError."""
    try:
        return await call(client, request)
    except TelegramError as error:
        if not isinstance(error.__cause__, _MOVED) and error.reason != "AUTH_RESTART":
            raise login_error(error) from error
    # The session belongs to the other data centre already, but the request was not repeated.
    try:
        if not client.is_connected():
            await guarded(client.connect(), CONNECT_LIMIT)
        return await call(client, request)
    except TelegramError as error:
        raise login_error(error) from error


async def logged_in(client: TelegramClient, user: Any) -> Me:
    """The account that has just logged in, after its update state is in the session."""
    if not isinstance(user, types.User) or user.bot:
        raise LoginError("This is the session of a Bot API bot. Log in with the phone number of a user account.")
    try:
        await guarded(client._on_login(user), REQUEST_TIMEOUT)
    except TelegramError as error:
        raise login_error(error) from error
    return Me(user.id, username_in(user), user.phone or "")


async def move_to(client: TelegramClient, dc_id: int) -> None:
    """Continue in another data centre, with a new key."""
    try:
        await guarded(client._switch_dc(dc_id), CONNECT_LIMIT)
    except TelegramError as error:
        raise login_error(error) from error


async def _connect(client: TelegramClient, credentials: Credentials) -> None:
    try:
        await guarded(client.connect(), CONNECT_LIMIT)
    except TransientError as error:
        proxy = parse_proxy(credentials.proxy_url)
        raise (await _proxy_error(proxy, error) if proxy else login_error(error)) from error
    except TelegramError as error:
        raise login_error(error) from error


async def _proxy_error(proxy: Proxy, error: TransientError) -> LoginError:
    """The LoginError that shows whether the proxy cannot be reached, or Telegram through the proxy."""
    try:
        async with asyncio.timeout(PROBE_LIMIT):
            _, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.close()
    except (OSError, TimeoutError):
        return LoginError(_NO_PROXY, reason=_UNREACHABLE)
    return LoginError(
        "The proxy answers, but Telegram cannot be reached through it. "
        "Check its user name, password or secret in the account's settings, or use another proxy.",
        reason="PROXY_REFUSES",
    )
