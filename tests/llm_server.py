"""The sandbox's LLM endpoint in a thread, for the real openai client."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from sandbox.llm import Fault, FaultKind, SandboxLLM, add_llm_routes


@dataclass
class LlmServer:
    """`url` is the client's base URL. Faults and requests are read and written from the test's thread."""

    llm: SandboxLLM = field(default_factory=SandboxLLM)
    url: str = ""

    def fail(self, kind: FaultKind, times: int = 1, seconds: float = 1.0) -> None:
        self.llm.add_fault(Fault(kind=kind, times=times, seconds=seconds))

    @property
    def asked(self) -> int:
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
