"""`python -m bench.bots.bare SESSIONS COUNT`: Telethon alone, the measure for what receiving an update must cost.

SESSIONS is a JSON file with a list of the keys of logged-in accounts (hexadecimal). Each gets a client with Telethon's
defaults and a handler that only counts. The process writes the number of messages that all handlers have received to
the file COUNT: once all clients are connected, and whenever the number has changed.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from telethon import TelegramClient, events
from telethon.crypto import AuthKey, rsa
from telethon.sessions import MemorySession

DATA_CENTRE = 2
WRITE_SECONDS = 0.05


class Count:
    def __init__(self) -> None:
        self.received = 0

    async def receive(self, _event: object) -> None:
        self.received += 1


def main() -> None:
    rsa.add_key(Path(os.environ["TELEGRAM_SERVER_KEY"]).read_bytes(), old=False)
    keys, path = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    asyncio.run(run([bytes.fromhex(key) for key in keys], path))


async def run(keys: list[bytes], path: Path) -> None:
    count = Count()
    clients = [await connected(key, count) for key in keys]
    written = -1
    while all(client.is_connected() for client in clients):
        if written != count.received:
            written = count.received
            path.with_suffix(".new").write_text(str(written))
            path.with_suffix(".new").replace(path)
        await asyncio.sleep(WRITE_SECONDS)
    raise SystemExit("a connection is lost")


async def connected(key: bytes, count: Count) -> TelegramClient:
    host, _, port = os.environ["TELEGRAM_SERVER"].rpartition(":")
    session = MemorySession()
    session.set_dc(DATA_CENTRE, host, int(port))
    session.auth_key = AuthKey(key)
    client = TelegramClient(session, int(os.environ["TELEGRAM_API_ID"]), os.environ["TELEGRAM_API_HASH"])
    client.add_event_handler(count.receive, events.NewMessage())
    await client.connect()
    await client.get_me()
    return client


if __name__ == "__main__":
    main()
