"""The whole sandbox in one event loop: MTProto, the control API, the LLM endpoint and the people."""

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from sandbox.control.routes import add_control_routes
from sandbox.llm.endpoint import SandboxLLM, add_llm_routes
from sandbox.mtproto.encryption.server_key import load_or_create
from sandbox.mtproto.server import MtprotoServer
from sandbox.people import People, add_people_routes
from sandbox.scenario import Scenario
from sandbox.state import StateFile
from sandbox.world.faults import FaultBook
from sandbox.world.world import World

log = logging.getLogger(__name__)

SNAPSHOT_SECONDS = 2.0
Result = TypeVar("Result")


@dataclass(frozen=True)
class SandboxConfig:
    """Port 0 means a free port. `scenario` is a file, or a name in `sandbox/scenarios/`. It is applied only to an empty
    world. Its people send their lines once `POST /people/start` was called, `speed` times as fast as in the file.
    """

    key_dir: Path
    host: str = "127.0.0.1"
    mtproto_port: int = 0
    http_port: int = 0
    scenario: str | None = None
    speed: float = 1.0
    state: Path | None = None
    seed: int = 0


class Sandbox:
    """The running sandbox: in the caller's event loop by `async with`, in a thread of its own by `with`.

    From another thread, use `call` for everything that touches `world` or `faults`.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.world = World(seed=config.seed)
        self.faults = FaultBook()
        self.llm = SandboxLLM(clock=self.world.clock)
        self._key = load_or_create(config.key_dir)
        self.mtproto = MtprotoServer(
            self.world, self._key, faults=self.faults, host=config.host, port=config.mtproto_port
        )
        self._state = StateFile(config.state, self.world, self.mtproto.auth_keys) if config.state else None
        self._http_port = config.http_port
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def host(self) -> str:
        return self.config.host

    @property
    def mtproto_port(self) -> int:
        return self.mtproto.port

    @property
    def http_url(self) -> str:
        return f"http://{self.config.host}:{self._http_port}"

    @property
    def public_key_pem_path(self) -> Path:
        return self._key.public_path

    async def start(self) -> None:
        """Start to listen on both ports. Raises ScenarioError, StateUnreadable or OSError."""
        scenario = Scenario.load(self.config.scenario) if self.config.scenario else None
        if self._state:
            self._state.load()
        if scenario and not self.world.users:
            scenario.apply(self.world)
        try:
            await self.mtproto.start()
            await self._start_http(scenario)
        except OSError:
            await self.stop()
            raise
        if self._state:
            self._tasks.append(asyncio.create_task(self._keep_saving(self._state)))
        log.info("Telegram on %s:%s, control on %s", self.host, self.mtproto_port, self.http_url)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.mtproto.stop()
        if self._runner:
            await self._runner.cleanup()
        if self._state:
            self._state.save()

    def reset(self) -> None:
        """Remove all users, chats, messages and faults, the scenario's too, and log all accounts out."""
        self.world.reset()
        self.faults.clear()
        self.llm.reset()

    def call(self, function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        """Run the function in the sandbox's event loop, from another thread, and return its result."""
        if self._loop is None:
            raise RuntimeError("call is only for a sandbox that runs in a thread")

        async def inside() -> Result:
            return function(*args, **kwargs)

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result()

    async def _start_http(self, scenario: Scenario | None) -> None:
        app = web.Application()
        add_control_routes(app, self)
        add_llm_routes(app, self.llm)
        if scenario:
            people = People(self.world, scenario, speed=self.config.speed)
            add_people_routes(app, people)
            self._tasks.append(asyncio.create_task(people.run()))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.config.host, self.config.http_port)
        await site.start()
        self._http_port = self._runner.addresses[0][1]

    async def _keep_saving(self, state: StateFile) -> None:
        while True:
            await asyncio.sleep(SNAPSHOT_SECONDS)
            try:
                state.save()
            except OSError as error:
                log.warning("No snapshot could be written: %s", error)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.start(), self._loop).result()
        except BaseException:
            self._end_thread()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._loop
        try:
            asyncio.run_coroutine_threadsafe(self.stop(), self._loop).result()
        finally:
            self._end_thread()

    def _end_thread(self) -> None:
        assert self._loop and self._thread
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None


async def serve(config: SandboxConfig, ready: Callable[[Sandbox], None] | None = None) -> None:
    """Run the sandbox until SIGINT, SIGTERM or cancellation. Calls `ready` when it listens."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    async with Sandbox(config) as sandbox:
        if ready:
            ready(sandbox)
        await stop.wait()
