"""Which loopback ports this clone uses: derived from its path, so that clones rarely meet, and checked."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

# Below Linux's ephemeral range (32768…), above the well-known development ports.
FIRST_PORT = 18_000
LAST_PORT = 32_000
SLOT_SIZE = 16
SLOTS = (LAST_PORT - FIRST_PORT) // SLOT_SIZE

RABBITMQ_PORTS = ("amqp", "management", "prometheus", "distribution", "epmd")
POSTGRES_PORTS = ("postgres",)
PROCESS_PORTS = ("web", "flower", "sandbox_mtproto", "sandbox_http")
NAMES = RABBITMQ_PORTS + POSTGRES_PORTS + PROCESS_PORTS


def is_free(port: int) -> bool:
    """Whether nothing listens on the port, on loopback or on all addresses."""
    for address in ("127.0.0.1", "0.0.0.0"):
        with socket.socket() as probe:
            # As servers do: a connection in TIME_WAIT does not make the port taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def slots_for(clone: Path) -> Iterator[range]:
    """Every slot once, beginning with the clone's own."""
    digest = hashlib.sha256(str(clone).encode()).digest()
    first = int.from_bytes(digest[:8], "big") % SLOTS
    for step in range(SLOTS):
        start = FIRST_PORT + (first + step) % SLOTS * SLOT_SIZE
        yield range(start, start + SLOT_SIZE)


def choose(
    clone: Path,
    *,
    recorded: Mapping[str, int],
    keep: frozenset[str] = frozenset(),
    free: Callable[[int], bool] = is_free,
) -> dict[str, int]:
    """A port for every name.

    A recorded port stays while it is free or in `keep` (its owner is our own running process); the
    others come from the first slot that has all of them free.
    """
    chosen = {name: recorded[name] for name in NAMES if name in recorded}
    chosen = {name: port for name, port in chosen.items() if name in keep or free(port)}
    missing = [name for name in NAMES if name not in chosen]
    if not missing:
        return chosen
    for slot in slots_for(clone):
        wanted = {name: slot[NAMES.index(name)] for name in missing}
        if not set(wanted.values()) & set(chosen.values()) and all(map(free, wanted.values())):
            return {**chosen, **wanted}
    raise OSError(f"no free ports between {FIRST_PORT} and {LAST_PORT}")
