"""The sender of one bots worker: claims and sends its bots' deliveries, and recovers those that were left in `sending`.

It runs one round of claims at a time. Each bot sends one message at a time; different bots send concurrently.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

from bots.deliveries.claiming import claim, forget_waits, judge_unowned
from bots.deliveries.outcomes import LOST_BEFORE, put_back
from bots.deliveries.outgoing import Outgoing
from bots.deliveries.recovery import stranded, take_over
from bots.gate.facts import BotOwner, Key
from bots.worker.executor import in_db
from bots.worker.sending import attempts
from bots.worker.sending.protocols import LiveRuntime, LiveSession
from bots.worker.sending.recheck_timer import RecheckTimer
from campaigns.policy.notices import DELIVERIES_CHANNEL, QUEUED
from messaging.database.listen import listen

# Seconds between rounds without a notification, and between searches for deliveries that were left in `sending`.
POLL = 0.3
STRANDED_POLL = 1.0
# Seconds before a stranded delivery is checked again: doubled each time, at most the second value.
LOOK_FIRST, LOOK_MOST = 1.0, 30.0
# Seconds that current attempts may take when the worker stops. The bots' next owners settle the others.
DRAIN_LIMIT = 15.0
# Seconds to wait for the listener's end; if it hangs in a connection attempt, it ends with the process.
LISTENER_LIMIT = 2.0
# Seconds to wait after a round that failed, for example because the database is unavailable.
FAILURE_PAUSE = 1.0

log = logging.getLogger(__name__)


class Sender:
    """The sender. Call `run` once, on the runtime's event loop."""

    def __init__(self, runtime: LiveRuntime) -> None:
        self._runtime = runtime
        self._notified = asyncio.Event()
        self._rules_changed = False
        # bot → the epoch under which the waits of its deliveries were last reset.
        self._known_epochs: dict[UUID, int] = {}
        self._recheck = RecheckTimer()
        # bot → the delivery that it is sending or recovering.
        self._sending: dict[UUID, UUID] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # stranded delivery → when (monotonic) to check it again, and the pause after that.
        self._looks: dict[UUID, tuple[float, float]] = {}
        self._next_stranded = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set. Then claim nothing more and give current attempts DRAIN_LIMIT seconds to settle."""
        silence = threading.Event()
        listener = threading.Thread(target=self._listen, args=(silence,), name="deliveries-listen", daemon=True)
        listener.start()
        try:
            while not stop.is_set():
                if not await self._safe_round():
                    await self._rest(stop)
        finally:
            silence.set()
            await self._drain()
            await asyncio.to_thread(listener.join, LISTENER_LIMIT)

    def _listen(self, silence: threading.Event) -> None:
        def on_notify(_channel: str, payload: str) -> None:
            try:
                self._runtime.loop.call_soon_threadsafe(self._on_notification, payload)
            except RuntimeError:  # The loop is closed: the process ends.
                silence.set()

        listen([DELIVERIES_CHANNEL], on_notify, silence)

    def _on_notification(self, payload: str) -> None:
        # RULES_CHANGED, or LISTEN has begun (again) and earlier notifications were lost.
        self._rules_changed |= payload != QUEUED
        self._notified.set()

    async def _rest(self, stop: asyncio.Event) -> None:
        """Wait for a notification or `stop`, at most POLL seconds."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._notified, stop)]
        await asyncio.wait(waits, timeout=POLL, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _safe_round(self) -> bool:
        """Run a round. True if the gate checked any delivery, so that the next round follows at once."""
        self._notified.clear()
        try:
            return await self._round()
        except Exception:
            log.exception("a round of the sender failed")
            await asyncio.sleep(FAILURE_PAUSE)
            return False

    async def _round(self) -> bool:
        if self._rules_changed:
            self._rules_changed = False
            self._recheck.due_now_all()
            await in_db(forget_waits, list(self._runtime.sessions))
        await self._reset_waits_of_new_bots()
        await self._look_after_stranded()
        owners = self._owners()
        if not owners:
            return False
        not_due = self._recheck.not_due()
        # If a bot's first delivery has just had to wait, another may be allowed: check several of them.
        first_only = owners.keys() - self._recheck.bots()
        batch = await in_db(claim, owners, skip=not_due, first_only=first_only)
        for bot_id, delivery_ids in batch.waiting.items():
            self._recheck.start(bot_id, delivery_ids)
        for bot_id in batch.joining:
            if (session := self._runtime.sessions.get(bot_id)) is not None:
                session.check_chats_now()
        for out in batch.outgoing:
            self._start(out.bot_id, out.id, self._send(out))
        return batch.judged > 0

    async def _reset_waits_of_new_bots(self) -> None:
        """Reset the waits of bots that are new here: this process received no notifications of earlier rule changes."""
        here = {bot_id: session.epoch for bot_id, session in self._runtime.sessions.items()}
        if new := [bot_id for bot_id, epoch in here.items() if self._known_epochs.get(bot_id) != epoch]:
            await in_db(forget_waits, new)
        self._known_epochs = here

    def _owners(self) -> dict[UUID, BotOwner]:
        """The bots that can send at this moment."""
        return {
            bot_id: BotOwner(session.epoch, frozenset(session.chats))
            for bot_id, session in self._runtime.sessions.items()
            if session.ready and session.lease_valid() and bot_id not in self._sending
        }

    def _start(self, bot_id: UUID, delivery_id: UUID, work: Coroutine[Any, Any, None]) -> None:
        self._sending[bot_id] = delivery_id
        task = asyncio.create_task(self._guard(bot_id, delivery_id, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, bot_id: UUID, delivery_id: UUID, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            log.exception("delivery %s of bot %s was left sending", delivery_id, bot_id)
        finally:
            del self._sending[bot_id]
            # Deliveries that waited behind it may be allowed now.
            self._recheck.due_now(bot_id)
            self._notified.set()

    async def _send(self, out: Outgoing) -> None:
        session = self._session(out)
        self._look_later(out.id)
        if session is not None:
            await attempts.send(session, out)
        else:
            await in_db(put_back, out, LOST_BEFORE)

    def _session(self, out: Outgoing) -> LiveSession | None:
        """The session under whose epoch the delivery was claimed; None if it has ended meanwhile."""
        session = self._runtime.sessions.get(out.bot_id)
        return session if session is not None and session.epoch == out.epoch else None

    async def _look_after_stranded(self) -> None:
        now = time.monotonic()
        if now < self._next_stranded:
            return
        self._next_stranded = now + STRANDED_POLL
        await self._record_waits_of_disconnected()
        owners = self._owners()
        keys = await in_db(stranded, list(owners), leaving=list(self._sending.values())) if owners else []
        self._looks = {found.id: self._looks[found.id] for found in keys if found.id in self._looks}
        for key in keys:
            due, _ = self._looks.get(key.id, (0.0, 0.0))
            if key.bot_id not in self._sending and now >= due:
                self._start(key.bot_id, key.id, self._recover(key, owners))

    async def _record_waits_of_disconnected(self) -> None:
        """Store why the due deliveries of this process's bots that cannot send now wait."""
        away = [bot_id for bot_id, session in self._runtime.sessions.items() if not session.ready]
        if away:
            await in_db(judge_unowned, away)

    async def _recover(self, key: Key, owners: dict[UUID, BotOwner]) -> None:
        self._look_later(key.id)
        found = await in_db(take_over, key, owners)
        session = self._session(found.out) if found is not None else None
        if found is not None and session is not None:
            self._look_later(key.id, at_least=await attempts.recover(session, found))

    def _look_later(self, delivery_id: UUID, *, at_least: float = 0.0) -> None:
        _, pause = self._looks.get(delivery_id, (0.0, LOOK_FIRST))
        if at_least:
            self._looks[delivery_id] = (time.monotonic() + at_least, pause)
        else:
            self._looks[delivery_id] = (time.monotonic() + pause, min(pause * 2, LOOK_MOST))

    async def _drain(self) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=DRAIN_LIMIT)
            for task in late:
                task.cancel()
