"""Telethon's configuration: the server, the proxy, and the settings of a client."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from telethon.crypto import rsa
from telethon.network import ConnectionTcpFull, ConnectionTcpMTProxyRandomizedIntermediate

from telegram.connection.data_centres import LoggedInClient
from telegram.connection.missed_updates import NoticingClient
from telegram.connection.proxy_settings import Proxy, parse_proxy
from telegram.connection.session_store import StoredSession
from telegram.types import Credentials

# Seconds for one attempt at a TCP connection.
CONNECT_TIMEOUT = 10
# The data centre whose place another server (the sandbox) takes.
SERVER_DC = 2


@dataclass(frozen=True)
class Server:
    host: str
    port: int


@lru_cache(maxsize=4)
def _server(address: str, key_file: str) -> Server | None:
    if not address:
        return None
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ImproperlyConfigured(f"TELEGRAM_SERVER must be host:port, not {address!r}")
    try:
        rsa.add_key(Path(key_file).read_bytes(), old=False)
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"TELEGRAM_SERVER_KEY: no RSA public key (PKCS#1 PEM) in {key_file!r}") from error
    return Server(host, int(port))


def server() -> Server | None:
    """The server of TELEGRAM_SERVER, whose key is registered with Telethon; None for Telegram itself."""
    return _server(settings.TELEGRAM_SERVER, settings.TELEGRAM_SERVER_KEY)


def route(url: str) -> dict[str, Any]:
    """The proxy as arguments of Telethon's client. Raises ValueError, as `parse_proxy` does."""
    given = parse_proxy(url)
    if given is None:
        return {"connection": ConnectionTcpFull}
    if given.kind == "mtproxy":
        return {
            "connection": ConnectionTcpMTProxyRandomizedIntermediate,
            "proxy": (given.host, given.port, given.secret),
        }
    return {"connection": ConnectionTcpFull, "proxy": _socks(given)}


def _socks(given: Proxy) -> dict[str, Any]:
    return {
        "proxy_type": given.kind,
        "addr": given.host,
        "port": given.port,
        "rdns": True,
        "username": given.username or None,
        "password": given.password or None,
    }


def new_client(
    session: StoredSession, credentials: Credentials, *, receive_updates: bool, logged_in: bool
) -> NoticingClient:
    """A Telethon client that does not reconnect, wait for the end of flood waits or repeat requests by itself.

    Call this in the event loop that the client runs in. `logged_in`: the session is logged in, so the login moves with
    it when Telegram has moved the account to another data centre.
    """
    override = server()
    if override is not None:
        session.set_dc(SERVER_DC, override.host, override.port)
    kind = LoggedInClient if logged_in else NoticingClient
    return kind(
        session,
        credentials.api_id,
        credentials.api_hash,
        **route(credentials.proxy_url),
        timeout=CONNECT_TIMEOUT,
        auto_reconnect=False,
        # About one key exchange in 256 fails (Telethon drops a shared key's leading zero byte): connect again.
        connection_retries=2,
        request_retries=0,
        flood_sleep_threshold=0,
        raise_last_call_error=True,
        receive_updates=receive_updates,
        sequential_updates=True,
        device_model="CoolThing",
        app_version="1.0",
    )
