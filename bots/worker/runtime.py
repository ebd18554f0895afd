"""The runtime of one worker process: one event loop in a thread of its own, a session per bot, one sender for all."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseFailure

from bots.accounts.incidents import incident_report
from bots.accounts.services import bot_facts
from bots.accounts.unknown_errors import unknown_errors_report
from bots.models import Bot
from bots.roles import handler_of
from bots.worker.executor import in_db
from bots.worker.hosts import host_beat, host_leave, no_longer_wanted
from bots.worker.leases import lease_release, lease_take
from bots.worker.recorder import Recorder
from bots.worker.sending.sender import Sender
from bots.worker.session import RunningSession

# Seconds between heartbeats, and between checks whether the bots of this process are still needed.
BEAT_SECONDS = 3.0
# Seconds between checks whether an operator drains the worker; the heartbeat reads that from the database.
LOOK_SECONDS = 0.5
# Seconds that the sender may take to finish sending when the process ends.
SENDER_LIMIT = 20.0
# Seconds to wait for optional writes.
NOTE_LIMIT = 5.0
# Seconds before a part of the runtime that failed is started again.
RESTART_SECONDS = 1.0

log = logging.getLogger(__name__)


class Runtime:
    """Implements `sending.protocols.LiveRuntime`.

    Call `start` once. `run_bot` may be called in many threads. `drain`, then `close`, end the runtime.
    """

    def __init__(self, *, role: str, name: str, capacity: int) -> None:
        self.role = role
        self.name = name
        self.capacity = capacity
        self.sessions: dict[UUID, RunningSession] = {}
        # All of `sessions`, and those that are still ending and have lost their bot, maybe to a later session here.
        self._hosted: set[RunningSession] = set()
        # The number of bots whose leases this process is taking.
        self._starting = 0
        # Of all sessions: what their bots read is recorded together.
        self._recorder = Recorder()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="bots-loop", daemon=True)
        # `_ending`: the process ends. `_drained`: an operator drains the worker (Host.drain_requested).
        self._ending = threading.Event()
        self._drained = False
        self._slots = threading.BoundedSemaphore(capacity)
        self._drain: asyncio.Event | None = None
        self._started = threading.Event()

    def start(self) -> None:
        """Start the thread and wait until the event loop runs."""
        self._thread.start()
        self._started.wait()

    def drain(self) -> None:
        """Take no more bots and release those of this process. Returns at once; safe in a signal handler."""
        self._ending.set()
        if self._drain is not None:
            with suppress(RuntimeError):  # The loop has ended already.
                self.loop.call_soon_threadsafe(self._drain.set)

    def close(self, timeout: float = 30) -> None:
        """Drain, wait until every session has ended, and end the loop."""
        self.drain()
        self._thread.join(timeout)

    def run_bot(self, bot_id: UUID) -> None:
        """Own the bot until its session ends. Returns at once if the lease or a slot is not free."""
        if self._releases_bots or not self._slots.acquire(blocking=False):
            # Let the supervision send it to another worker in its next round.
            Bot.objects.filter(pk=bot_id).update(dispatched_at=None)
            return
        try:
            asyncio.run_coroutine_threadsafe(self._own(bot_id), self.loop).result()
        finally:
            self._slots.release()

    async def _own(self, bot_id: UUID) -> None:
        """Run the bot's session on the event loop.

        Database calls go through the executor's few connections: the many threads of `run_bot` would open one each.
        """
        self._starting += 1
        try:
            session = await self._begin(bot_id)
        finally:
            self._starting -= 1
        if session is not None:
            await self._host(session)

    async def _begin(self, bot_id: UUID) -> RunningSession | None:
        if self._releases_bots:
            return None
        lease = await in_db(lease_take, bot_id=bot_id, owner=self.name)
        if lease is None:
            return None
        try:
            facts = await in_db(bot_facts, bot_id=bot_id)
            handler = handler_of(facts.role)
            if handler is None:
                raise LookupError(f"no handler is registered for the role {facts.role}")
        except Exception as error:
            log.exception("bot %s cannot be started", bot_id)
            reason = f"account {bot_id} cannot be started: {error}"
            await in_db(incident_report, key=f"session:{bot_id}", reason=reason)
        else:
            if not self._releases_bots:
                return RunningSession(lease, facts, handler, self._recorder)
        await in_db(lease_release, bot_id=bot_id, epoch=lease.epoch)
        return None

    async def _host(self, session: RunningSession) -> None:
        self.sessions[session.bot_id] = session
        self._hosted.add(session)
        try:
            await session.run()
        finally:
            self._hosted.discard(session)
            if self.sessions.get(session.bot_id) is session:
                del self.sessions[session.bot_id]

    def is_open(self) -> bool:
        """Whether the worker takes new bots and logins: it is not being drained, and the process is not ending."""
        return not self._releases_bots

    # The work on the event loop.

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._main())
        finally:
            self.loop.close()

    @property
    def _releases_bots(self) -> bool:
        return self._drained or self._ending.is_set()

    async def _main(self) -> None:
        self._drain = asyncio.Event()
        beat = asyncio.create_task(self._again(self._beat, self._drain, "heartbeat"))
        self._started.set()
        while not self._ending.is_set():
            await self._serve()
            await self._until(lambda: not self._drained)
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)
        await self._quietly(in_db(host_leave, name=self.name))

    async def _serve(self) -> None:
        """Run bots until they have to be released, then release them."""
        stop_sender = asyncio.Event()
        sender = asyncio.create_task(self._again(lambda: Sender(self).run(stop_sender), stop_sender, "sender"))
        await self._until(lambda: self._drained)
        await self._quietly(self._heartbeat())
        # First the sender: it still needs the sessions' connections to settle what it is sending.
        stop_sender.set()
        await asyncio.wait([sender], timeout=SENDER_LIMIT)
        for session in list(self._hosted):
            session.stop()
        while self._hosted or self._starting:
            await asyncio.sleep(0.05)
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition()` is true, or the process ends."""
        assert self._drain is not None
        while not condition() and not self._ending.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._drain.wait()

    async def _heartbeat(self) -> bool:
        return await in_db(
            host_beat, name=self.name, role=self.role, capacity=self.capacity, draining=self._releases_bots
        )

    async def _beat(self) -> None:
        while True:
            began = time.monotonic()
            self._set_drained(await self._heartbeat())
            await in_db(unknown_errors_report)
            for bot_id in await in_db(no_longer_wanted, role=self.role, bot_ids=set(self.sessions)):
                if (session := self.sessions.get(bot_id)) is not None:
                    session.stop()
            await asyncio.sleep(max(0.1, began + BEAT_SECONDS - time.monotonic()))

    def _set_drained(self, wanted: bool) -> None:
        if wanted != self._drained:
            log.warning("%s: %s", self.name, "drained by an operator" if wanted else "takes bots again")
        self._drained = wanted

    async def _again(self, work: Any, stop: asyncio.Event, what: str) -> None:
        """Run a part of the runtime, and start it again after an error. The sessions continue meanwhile."""
        while not stop.is_set():
            try:
                await work()
            except DatabaseFailure as error:
                log.warning("the %s of %s waits for the database: %s", what, self.name, type(error).__name__)
            except Exception:
                log.exception("the %s of %s failed", what, self.name)
            if not stop.is_set():
                await asyncio.sleep(RESTART_SECONDS)

    async def _quietly(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            async with asyncio.timeout(NOTE_LIMIT):
                await work
        except (DatabaseFailure, TimeoutError) as error:
            log.warning("the row of host %s could not be updated: %s", self.name, type(error).__name__)
