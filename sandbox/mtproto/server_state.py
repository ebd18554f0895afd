"""The state that all connections share: the world, the keys, the unfinished logins and the open connections."""

import time
from typing import Any, Protocol

from telethon.tl import types

from sandbox.mtproto.encryption.authkeys import AuthKey, AuthKeys
from sandbox.mtproto.encryption.server_key import ServerKey
from sandbox.mtproto.logins.codes import LoginCodes
from sandbox.mtproto.logins.passwords import Passwords
from sandbox.mtproto.logins.tokens import LoginTokens
from sandbox.world.faults import FaultBook
from sandbox.world.world import World


class Client(Protocol):
    """The interface of a connection for the code that answers its requests and sends it updates."""

    server: "ServerState"
    opened_at: float
    key: AuthKey | None
    wants_updates: bool
    gone: bool

    @property
    def user_id(self) -> int | None: ...

    @property
    def can_push(self) -> bool: ...

    def send(self, message: Any, *, content: bool = False) -> None: ...

    def send_bytes(self, body: bytes, *, content: bool, answer: bool) -> None: ...

    def drop(self) -> None: ...

    def drop_after(self, seconds: float) -> None: ...


class ServerState:
    """The server's state. Clients connect to `host` and `port`."""

    def __init__(self, world: World, server_key: ServerKey, *, faults: FaultBook, host: str, port: int) -> None:
        self.world = world
        self.server_key = server_key
        self.faults = faults
        self.host, self.port = host, port
        self.auth_keys = AuthKeys()
        self.codes = LoginCodes(clock=lambda: self.world.clock())
        self.tokens = LoginTokens(clock=lambda: self.world.clock())
        self.passwords = Passwords()
        # Logins that move to another data centre: secret → user.
        self.exported_logins: dict[bytes, int] = {}
        self.connections: set[Client] = set()
        # The connection whose request is being answered.
        self.answering: Client | None = None
        self.wall_clock = time.time
        self._last_message_id = 0

    def rivals(self, newcomer: Client, key: AuthKey) -> list[Client]:
        """Other open connections that have sent encrypted packets under the same key."""
        return [c for c in self.connections if c is not newcomer and c.key is key and not c.gone]

    def connections_of(self, user_id: int) -> list[Client]:
        return [c for c in self.connections if c.user_id == user_id]

    def next_message_id(self, *, answer: bool = False) -> int:
        """Server ids end in 1 when they answer a request and in 3 otherwise, and always grow."""
        now = self.wall_clock()
        value = (int(now) << 32) | (int((now % 1) * 2**30) << 2)
        self._last_message_id = max(value, self._last_message_id + 4)
        return self._last_message_id + (1 if answer else 3)

    def accept_token(self, token: bytes, user_id: int) -> None:
        """Accept a QR code that the user has scanned, and notify the client that shows it. Raises RpcFailure."""
        key = self.tokens.accept(token, user_id).key
        update = types.UpdateShort(types.UpdateLoginToken(), int(self.wall_clock()))
        # No user is logged in with this key yet, so the update goes to the connections of the key.
        for connection in list(self.connections):
            if connection.key is key:
                connection.send_bytes(bytes(update), content=True, answer=False)

    def drop_everyone(self) -> None:
        for connection in list(self.connections):
            connection.drop()

    def log_everyone_out(self) -> None:
        """Remove all logins, finished and unfinished, and end all connections."""
        self.auth_keys.log_everyone_out()
        self.codes.clear()
        self.tokens.clear()
        self.exported_logins.clear()
        self.drop_everyone()
