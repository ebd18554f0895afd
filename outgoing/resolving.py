"""From a host to the addresses that may be connected to. Free of Django.

A host's addresses are looked up once, all of them are checked, and the connection goes to one of them: a second look-up
may give another answer, which the owner of the name decides.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from outgoing.addresses import Address, Allowed, literal, plain_host

# Of one name; more are nobody's.
MOST_ADDRESSES = 16
WHY = (
    "the host is not on the public Internet; an administrator allows hosts and networks of your own in "
    "OUTGOING_ALLOWED_HOSTS, a setting in `.env`"
)
# As socket.getaddrinfo.
Lookup = Callable[..., list[tuple[Any, ...]]]


class OutgoingRefused(OSError):
    """An address that nobody has allowed. The text names neither the host nor what it resolved to."""

    def __init__(self) -> None:
        super().__init__(WHY)


def check(host: str, addresses: Iterable[Address], allowed: Allowed) -> None:
    """Raises OutgoingRefused when one of them may not be connected to: which one is taken would be chance."""
    if not all(allowed.may_connect(host, address) for address in addresses):
        raise OutgoingRefused


def check_literal(host: str, allowed: Allowed) -> None:
    """Without asking anybody: raises OutgoingRefused for an address that is refused, and for this machine's names."""
    address, name = literal(host), plain_host(host)
    if address is not None:
        check(host, [address], allowed)
    elif (name == "localhost" or name.endswith(".localhost")) and not allowed.names & {name}:
        check(name, [ip_address("127.0.0.1")], allowed)


async def resolve(host: str, port: int, allowed: Allowed) -> list[str]:
    """The addresses of `host`, in the resolver's order. Raises OSError: it has none, or OutgoingRefused."""
    return checked(host, await _looked_up(plain_host(host), port), allowed)


async def _looked_up(host: str, port: int) -> list[tuple[Any, ...]]:
    """`socket.getaddrinfo` in a thread that nobody waits for: a look-up cannot be cancelled, and `asyncio.run` would
    wait at its end for one in the loop's own threads, whatever the caller's deadline is."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()

    def settle(found: list[tuple[Any, ...]] | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(found or [])
        else:
            answer.set_exception(error)

    def look_up() -> None:
        found, error = None, None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as problem:
            error = problem
        # The loop may have ended.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, found, error)

    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    return await answer


def checked(host: str, found: list[tuple[Any, ...]], allowed: Allowed) -> list[str]:
    """The addresses in an answer of `getaddrinfo`, each once. Raises OSError."""
    addresses = list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))
    if not addresses:
        raise OSError("the host has no address")
    check(host, addresses, allowed)
    return [str(address) for address in addresses[:MOST_ADDRESSES]]


def guarded_lookup(lookup: Lookup, allowed: Allowed) -> Lookup:
    """A `socket.getaddrinfo` whose every answer is checked: for a process that connects through others' code."""

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[tuple[Any, ...]]:
        found = lookup(host, port, *args, **kwargs)
        checked(host.decode() if isinstance(host, bytes) else str(host or ""), found, allowed)
        return found

    return getaddrinfo
