"""Accounts are logged in through SOCKS5 and HTTP proxies that ask who one is."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from telegram.connection.checked_proxy import credentials_to_connect
from telegram.errors import PermanentError, TransientError
from telegram.logins import client
from telegram.logins.types import LoginError
from telegram.types import Credentials
from tests.telegram.accounts import code_of, point_at
from tests.telegram.sandbox_support import Town

USER, PASSWORD = "me", "p@ss"


class Refused(Exception):
    """The proxy does not let this client through."""


async def socks5(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
    """RFC 1928 with RFC 1929: where the client wants to go."""
    _, count = await reader.readexactly(2)
    assert 2 in await reader.readexactly(count)
    writer.write(b"\x05\x02")
    await reader.readexactly(1)
    user, password = [await _counted(reader), await _counted(reader)]
    good = (user, password) == (USER, PASSWORD)
    writer.write(b"\x01\x00" if good else b"\x01\x01")
    if not good:
        raise Refused
    _, command, _, kind = await reader.readexactly(4)
    assert command == 1
    host = await _counted(reader) if kind == 3 else ".".join(map(str, await reader.readexactly(4)))
    port = int.from_bytes(await reader.readexactly(2), "big")
    writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    return host, port


async def _counted(reader: asyncio.StreamReader) -> str:
    return (await reader.readexactly((await reader.readexactly(1))[0])).decode()


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
    """RFC 9110, CONNECT: where the client wants to go."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    wanted = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    if f"Basic {wanted}" not in head:
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        raise Refused
    method, target, _ = head.split("\r\n")[0].split()
    assert method == "CONNECT"
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    host, _, port = target.rpartition(":")
    return host, int(port)


Handshake = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[tuple[str, int]]]


@asynccontextmanager
async def proxy(handshake: Handshake) -> AsyncIterator[tuple[int, list[tuple[str, int]]]]:
    """A proxy on loopback: its port, and where it has led clients to."""
    led: list[tuple[str, int]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target = await handshake(reader, writer)
        except (Refused, asyncio.IncompleteReadError):
            writer.close()
            return
        led.append(target)
        there, here = await asyncio.open_connection(*target)
        await asyncio.gather(_pump(reader, here), _pump(there, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1], led


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture(autouse=True)
def sandbox(town: Town, settings: Any) -> None:
    point_at(settings, town.sandbox)


@pytest.mark.parametrize(("scheme", "handshake"), [("socks5", socks5), ("http", http)])
async def test_an_account_logs_in_through_a_proxy_with_a_password(
    town: Town, scheme: str, handshake: Handshake
) -> None:
    assert town.anna.phone
    async with proxy(handshake) as (port, led):
        through = Credentials(1, "sandbox", f"{scheme}://{USER}:p%40ss@127.0.0.1:{port}")
        sent = await client.request_code(through, town.anna.phone)
        _, me = await client.sign_in(through, sent, code_of(town.anna))
        assert me.user_id == town.anna.id
        assert set(led) == {(town.sandbox.host, town.sandbox.mtproto_port)}
        wrong = Credentials(1, "sandbox", f"{scheme}://{USER}:wrong@127.0.0.1:{port}")
        with pytest.raises(LoginError, match="The proxy answers") as refused:
            await client.request_code(wrong, town.anna.phone)
        assert "wrong" not in str(refused.value)


async def test_a_proxy_in_an_own_network_is_never_connected_to(settings: Any) -> None:
    settings.OUTGOING_ALLOWED_HOSTS = []
    async with proxy(socks5) as (port, led):
        through = Credentials(1, "sandbox", f"socks5://{USER}:p%40ss@localhost:{port}")
        with pytest.raises(LoginError, match="OUTGOING_ALLOWED_HOSTS") as refused:
            await client.request_code(through, "+9996620001")
        assert refused.value.reason == "PROXY_REFUSED" and "localhost" not in str(refused.value)
        with pytest.raises(PermanentError, match="OUTGOING_ALLOWED_HOSTS"):
            await credentials_to_connect(through)
        assert led == []


async def test_a_proxys_name_is_looked_up_once_and_its_address_is_connected_to() -> None:
    given = Credentials(1, "sandbox", f"socks5://{USER}:p%40ss@localhost:1080")
    assert (await credentials_to_connect(given)).proxy_url in (
        f"socks5://{USER}:p%40ss@127.0.0.1:1080", f"socks5://{USER}:p%40ss@[::1]:1080",
    )  # fmt: skip
    assert await credentials_to_connect(Credentials(1, "sandbox")) == Credentials(1, "sandbox")
    nowhere = Credentials(1, "sandbox", "socks5://nowhere.invalid:1080")
    with pytest.raises(TransientError):
        await credentials_to_connect(nowhere)
