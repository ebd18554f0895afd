"""A TCP proxy whose connections a test cuts, freezes or refuses: a network between a process and its server."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")
_CHUNK_BYTES = 65_536
_ANSWER_SECONDS = 10.0
# close() sends a reset instead of an orderly end: what is on the way is lost, as when a cable is pulled.
_RESET = struct.pack("ii", 1, 0)


class TcpProxy:
    """Listens on 127.0.0.1:`port` and passes everything on to a server. A context manager; any thread may call it."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy to {port}", daemon=True)
        self._open: set[asyncio.StreamWriter] = set()
        self._refusing = False
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_ANSWER_SECONDS)
        self._loop.close()

    def cut(self) -> int:
        """Reset all connections; how many there were. New ones are welcome."""
        return self._call(self._cut())

    def freeze(self) -> None:
        """From now on nothing passes, in neither direction. No end is told: connections stay open, new ones too."""
        self._call(self._set_flowing(False))

    def thaw(self) -> None:
        """What was held back passes, in order, and so does everything after it."""
        self._call(self._set_flowing(True))

    def refuse(self) -> None:
        """From now on each new connection is reset at once; those that are open stay as they are."""
        self._refusing = True

    def accept(self) -> None:
        self._refusing = False

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_ANSWER_SECONDS)

    async def _listen(self) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _set_flowing(self, flowing: bool) -> None:
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _cut(self) -> int:
        count = len(self._open) // 2
        for writer in list(self._open):
            _reset(writer)
        return count

    async def _close(self) -> None:
        self._server.close()
        await self._cut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            # The server is away: its port would refuse as well.
            _reset(writer)
            return
        pair = {writer, far_writer}
        self._open |= pair
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._open -= pair
            for end in pair:
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK_BYTES):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
