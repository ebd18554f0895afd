"""The sandbox in a process of its own. Its accounts are logged in, so they only have to connect."""

import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from bench.world import BenchError, wait_for
from coolthing_site.demo.environment import free_ports
from coolthing_site.local_world.sandbox_control import SandboxControl
from coolthing_site.processes.procfile import SANDBOX, ProcessGroup, sandbox_environment
from sandbox.mtproto.encryption.authkeys import AuthKeys
from sandbox.state import StateFile
from sandbox.world.world import World
from telegram.connection.session_store import session_of_key

KEY_BYTES = 256
# Messages per request. The sandbox does nothing else during a request.
SENT_AT_ONCE = 200
START_SECONDS = 60.0
# The product uses only the data centre of this address; the address itself comes from TELEGRAM_SERVER.
ADDRESS = (2, "127.0.0.1", 1)


class Telegram:
    """Telegram for the benchmark. Create accounts and chats first, then call `start`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._world, self._keys = World(), AuthKeys()
        mtproto, http = free_ports(2)
        self.environment = sandbox_environment(mtproto_port=mtproto, http_port=http, key_dir=directory)
        self._control = SandboxControl(f"http://127.0.0.1:{http}")

    def person(self, name: str) -> int:
        return self._world.add_user(first_name=name.title(), username=name).id

    def account(self, name: str, phone: str) -> tuple[int, str]:
        """The id of a new account, and the string of a session that is logged in."""
        user = self._world.add_user(first_name=name.title(), username=name, phone=phone)
        key = self._keys.create(os.urandom(KEY_BYTES))
        self._keys.bind(key, user.id)
        return user.id, session_of_key(ADDRESS, key.key)

    def chat(self, name: str, members: Iterable[int]) -> int:
        """The marked id of a new supergroup."""
        chat = self._world.add_chat(kind="supergroup", title=name.title(), username=name, members=members)
        return chat.id

    def start(self, processes: ProcessGroup) -> None:
        state = self._directory / "sandbox.state"
        StateFile(state, self._world, self._keys).save()
        port = {name: self.environment[f"SANDBOX_{name}_PORT"] for name in ("MTPROTO", "HTTP")}
        processes.start(
            SANDBOX,
            shlex.join(
                [
                    sys.executable, "-m", "sandbox", "--state", str(state), "--key-dir", str(self._directory),
                    "--mtproto-port", port["MTPROTO"], "--http-port", port["HTTP"],
                ]
            ),
        )  # fmt: skip
        wait_for(self._control.is_up, what="sandbox", seconds=START_SECONDS, processes=processes)

    def send(self, messages: Sequence[tuple[int, int, str]]) -> None:
        """Let people send messages: (sender, chat, text), in this order."""
        rest = iter(messages)
        while batch := list(islice(rest, SENT_AT_ONCE)):
            self._control.post("/say", [{"user": user, "peer": peer, "text": text} for user, peer, text in batch])

    def sent_by_accounts(self) -> list[dict[str, Any]]:
        """The ledger's entries that clients have sent, without those of `send`."""
        return [entry for entry in self._control.get("/ledger") if entry["by"] == "account"]

    def assert_no_repeats(self, entries: Sequence[dict[str, Any]]) -> None:
        repeated = sum(entry["repeats"] for entry in entries)
        if repeated:
            raise BenchError(f"{repeated} messages were sent more than once")
