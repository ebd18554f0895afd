"""A TCP proxy before the broker, which says what the broker says when it has run out of memory."""

import select
import socket
import struct
import threading
from typing import Self
from urllib.parse import urlsplit

_BLOCKED, _UNBLOCKED = (10, 60), (10, 61)
_TURN_SECONDS = 0.05


class BlockingProxy:
    """Between `block()` and `unblock()` it takes nothing from its client, as a broker with an alarm. Use `url`."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = target._replace(netloc=f"{target.username}:{target.password}@127.0.0.1:{port}").geturl()
        self._closing = threading.Event()
        self._blocked = threading.Event()
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._listener.close()

    def block(self) -> None:
        """Returns when nothing passes any more that the client, who must be connected, sends from now on."""
        self._told.clear()
        self._blocked.set()
        self._told.wait()

    def unblock(self) -> None:
        self._blocked.clear()

    def _run(self) -> None:
        """One client at a time, until the end of the test."""
        while not self._closing.is_set():
            if not select.select([self._listener], [], [], _TURN_SECONDS)[0]:
                continue
            client, _ = self._listener.accept()
            with client, socket.create_connection(self._target) as server:
                try:
                    self._serve(client, server)
                except OSError:
                    continue

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        reported = False
        while not self._closing.is_set():
            blocked = self._blocked.is_set()
            if blocked != reported:
                reported = blocked
                client.sendall(_method(*_BLOCKED, b"\x0dlow on memory") if blocked else _method(*_UNBLOCKED))
                if blocked:
                    self._told.set()
            for source in select.select([server] if blocked else [server, client], [], [], _TURN_SECONDS)[0]:
                data = source.recv(65_536)
                if not data:
                    return
                (client if source is server else server).sendall(data)


def _method(class_id: int, method_id: int, arguments: bytes = b"") -> bytes:
    content = struct.pack(">HH", class_id, method_id) + arguments
    return struct.pack(">BHI", 1, 0, len(content)) + content + b"\xce"
