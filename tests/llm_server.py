"""The sandbox's LLM endpoint in a thread, and endpoints that do what none should, for the real openai client."""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from sandbox.llm.endpoint import FaultKind, LLMFault, SandboxLLM, add_llm_routes


@dataclass
class LlmServer:
    """`url` is the client's base URL. Faults and requests are read and written from the test's thread."""

    llm: SandboxLLM = field(default_factory=SandboxLLM)
    url: str = ""

    def fail(self, kind: FaultKind, times: int = 1, seconds: float = 1.0) -> None:
        self.llm.add_fault(LLMFault(kind=kind, times=times, seconds=seconds))

    @property
    def request_count(self) -> int:
        return len(self.llm.requests)


@contextmanager
def llm_server() -> Iterator[LlmServer]:
    server, loop, ready = LlmServer(), asyncio.new_event_loop(), threading.Event()

    async def serve() -> web.AppRunner:
        app = web.Application()
        add_llm_routes(app, server.llm)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.url = f"http://{host}:{port}/v1"
        return runner

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(serve())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


@dataclass
class HostileServer:
    """Reads each request and lets `answer` do as it likes with the socket. Counts the requests, and the most requests
    at once."""

    answer: Callable[[socket.socket], None]
    url: str = ""
    request_count: int = 0
    at_once: int = 0
    _open: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection:
            _read_request(connection)
            with self._lock:
                self.request_count, self._open = self.request_count + 1, self._open + 1
                self.at_once = max(self.at_once, self._open)
            try:
                self.answer(connection)
            except OSError:
                pass  # The client has gone, which is what some answers are for.
            finally:
                with self._lock:
                    self._open -= 1


@contextmanager
def hostile_server(answer: Callable[[socket.socket], None]) -> Iterator[HostileServer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HostileServer(answer, url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        threading.Thread(target=server.serve, args=(listener,), daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)


def _read_request(connection: socket.socket) -> None:
    with connection.makefile("rb") as lines:
        length = 0
        while (line := lines.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        lines.read(length)


def http(body: bytes | object, status: str = "200 OK", **headers: str) -> Callable[[socket.socket], None]:
    """A whole answer; anything but bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n"
    head += "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return lambda connection: connection.sendall(head.encode() + b"\r\n" + raw)


def completion(content: object, **fields: object) -> dict[str, object]:
    """A chat completion with this content; what is no text is its JSON."""
    text = content if isinstance(content, str | None) else json.dumps(content)
    message = {"role": "assistant", "content": text}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **fields}


def says(*messages: str, action: str = "reply", reason: str = "a test") -> dict[str, object]:
    return {"messages": list(messages), "action": action, "reason": reason}


def reset_in_the_middle(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    # Closed with unsent data thrown away: the client sees a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drips(interval: float, head: bytes = b"") -> Callable[[socket.socket], None]:
    """One byte after the other for ever; with `head` after it, else in the middle of a header."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(head or b"HTTP/1.1 200 OK\r\nX-Slow: ")
        # Ends at once when the client closes; until then it only waits.
        connection.settimeout(interval)
        while True:
            connection.sendall(b" ")
            try:
                if connection.recv(1) == b"":
                    return
            except TimeoutError:
                continue

    return drip
