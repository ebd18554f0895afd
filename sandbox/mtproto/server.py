"""The MTProto server: accepts connections, and sends them the changes of the world."""

import asyncio

from sandbox.mtproto.connection import ClientConnection
from sandbox.mtproto.dispatch import Dispatcher
from sandbox.mtproto.encryption.server_key import ServerKey
from sandbox.mtproto.server_state import ServerState
from sandbox.mtproto.updates.push import Pusher
from sandbox.world.faults import FaultBook
from sandbox.world.notices import Notice, WorldReset
from sandbox.world.world import World


class MtprotoServer(ServerState):
    """The server. After `start`, `host` and `port` are the address on which it listens."""

    def __init__(self, world: World, server_key: ServerKey, *, faults: FaultBook, host: str, port: int) -> None:
        super().__init__(world, server_key, faults=faults, host=host, port=port)
        self.dispatcher = Dispatcher(self)
        self._pusher = Pusher(self)
        self._listener: asyncio.Server | None = None
        self._unwatch = world.watch(self._noticed)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._connection, self.host, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._unwatch()
        if self._listener:
            self._listener.close()
        self.drop_everyone()
        if self._listener:
            await self._listener.wait_closed()

    def _connection(self) -> ClientConnection:
        return ClientConnection(self, self.dispatcher)

    def _noticed(self, notice: Notice) -> None:
        if isinstance(notice, WorldReset):
            self.log_everyone_out()
        else:
            self._pusher.push(notice)
