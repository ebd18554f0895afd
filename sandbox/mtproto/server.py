"""The MTProto server: it accepts connections and shows them the world."""

import asyncio
import time

from sandbox.mtproto.authkeys import AuthKey, AuthKeys
from sandbox.mtproto.codes import LoginCodes
from sandbox.mtproto.connection import ClientConnection
from sandbox.mtproto.dispatch import Dispatcher
from sandbox.mtproto.keys import ServerKey
from sandbox.mtproto.passwords import Passwords
from sandbox.mtproto.push import Pusher
from sandbox.mtproto.tokens import LoginTokens
from sandbox.world.faults import FaultBook
from sandbox.world.notices import Notice, WorldReset
from sandbox.world.world import World


class MtprotoServer:
    """`host` and `port` are those it listens on once `start` has returned."""

    def __init__(self, world: World, server_key: ServerKey, *, faults: FaultBook, host: str, port: int) -> None:
        self.world = world
        self.server_key = server_key
        self.faults = faults
        self.host, self.port = host, port
        self.auth_keys = AuthKeys()
        self.codes = LoginCodes(clock=lambda: self.world.clock())
        self.tokens = LoginTokens(clock=lambda: self.world.clock())
        self.passwords = Passwords()
        # Logins on their way to another data centre: secret → user.
        self.exported_logins: dict[bytes, int] = {}
        self.connections: set[ClientConnection] = set()
        self.dispatcher = Dispatcher(self)
        self.wall_clock = time.time
        self._pusher = Pusher(self)
        self._last_message_id = 0
        self._listener: asyncio.Server | None = None
        self._unwatch = world.watch(self._noticed)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: ClientConnection(self), self.host, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._unwatch()
        if self._listener:
            self._listener.close()
        self.drop_everyone()
        if self._listener:
            await self._listener.wait_closed()

    def rivals(self, newcomer: ClientConnection, key: AuthKey) -> list[ClientConnection]:
        """Other open connections that have sent encrypted packets under the same key."""
        return [c for c in self.connections if c is not newcomer and c.key is key and not c.gone]

    def connections_of(self, user_id: int) -> list[ClientConnection]:
        return [c for c in self.connections if c.user_id == user_id]

    def next_message_id(self, *, answer: bool = False) -> int:
        """Server ids end in 1 when they answer a request and in 3 otherwise, and always grow."""
        now = self.wall_clock()
        value = (int(now) << 32) | (int((now % 1) * 2**30) << 2)
        self._last_message_id = max(value, self._last_message_id + 4)
        return self._last_message_id + (1 if answer else 3)

    def accept_token(self, token: bytes, user_id: int) -> None:
        """The user has scanned a QR code: whoever shows it is told, and logs in. Raises RpcFailure."""
        self._pusher.token_accepted(self.tokens.accept(token, user_id).key)

    def drop_everyone(self) -> None:
        for connection in list(self.connections):
            connection.drop()

    def _noticed(self, notice: Notice) -> None:
        if isinstance(notice, WorldReset):
            self.auth_keys.log_everyone_out()
            self.codes.clear()
            self.tokens.clear()
            self.exported_logins.clear()
            self.drop_everyone()
        else:
            self._pusher.push(notice)
