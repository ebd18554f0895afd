"""The session of one bot, from the moment that this process takes it until it lets go: lease, connection, reading."""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseTrouble

from bots.accounts.incidents import trouble_over, trouble_tell
from bots.accounts.services import (
    BotFacts,
    bot_connected,
    bot_died,
    bot_must_wait,
    session_save,
)
from bots.accounts.states import bot_set_state
from bots.models import Bot
from bots.roles import RoleHandler
from bots.worker.cursors import Reader
from bots.worker.executor import in_db, in_lease_thread
from bots.worker.leases import Lease, LeaseLost, lease_release, lease_renew
from bots.worker.membership import Membership
from bots.worker.message_changes import Afterwards
from bots.worker.reading import Reading
from bots.worker.serving import Serving
from messaging.instrumentation.error_names import fault
from telegram.client import TelegramAccount
from telegram.connection.checked_proxy import credentials_to_connect
from telegram.errors import BotDead, PermanentError, RetryAfter, TelegramError

# Waits before connecting again: doubling between these, in seconds.
RECONNECT_FIRST, RECONNECT_MOST = 1.0, 30.0
# Seconds that the database gets for what is not worth waiting for: a session must end even when nothing answers.
NOTE_LIMIT = 5.0
# Between attempts to renew while the database does not answer.
RENEW_RETRY_SECONDS = 1.0

log = logging.getLogger(__name__)


class RunningSession:
    """`bots.worker.protocols.LiveSession`. `run` returns when it is over; whatever happens in it stays in it."""

    def __init__(self, lease: Lease, facts: BotFacts, handler: RoleHandler) -> None:
        self.bot_id = lease.bot_id
        self.epoch = lease.epoch
        self.account: TelegramAccount | None = None
        self.ready = False
        self._lease = lease
        self._facts = facts
        self._text = facts.session
        self._handler = handler
        reader = Reader(lease.bot_id, lease.epoch, handler)
        self._reading = Reading(reader)
        self._membership = Membership(self._reading)
        self._afterwards = Afterwards(reader)
        self._serving: Serving | None = None
        self._connected = False
        self._stop = asyncio.Event()
        self._sent_away = False

    # What others in this process may ask (bots.worker.protocols).

    @property
    def chats(self) -> Mapping[UUID, int]:
        return self._membership.chats

    def lease_valid(self) -> bool:
        return self._lease.valid() and not self._stop.is_set()

    def want_chats(self) -> None:
        if self._serving is not None:
            self._serving.want_chats()

    def report(self, error: TelegramError) -> None:
        if isinstance(error, BotDead) and self._serving is not None:
            self._serving.report(error)

    def stop(self) -> None:
        """Ask it to end."""
        self.ready = False
        self._stop.set()

    # Its life.

    async def run(self) -> None:
        """Own the bot until stopped, dead, refused by Telegram for now, or until the lease is lost."""
        broken = ""
        parts = [
            asyncio.create_task(self._keep_lease(), name=f"lease {self.bot_id}"),
            asyncio.create_task(self._live(), name=f"life {self.bot_id}"),
            asyncio.create_task(self._stop.wait(), name=f"stop {self.bot_id}"),
        ]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            broken = self._why(done)
        finally:
            self.ready = False
            for part in parts:
                part.cancel()
            await self._disconnect()
            await asyncio.gather(*parts, return_exceptions=True)
            await self._disconnect()
            await self._let_go(broken)

    def _why(self, done: Iterable[asyncio.Task[Any]]) -> str:
        """What broke the session, if it was nothing that it foresees."""
        for part in done:
            error = part.exception()
            if isinstance(error, LeaseLost):
                log.warning("bot %s: its lease is lost, it has been let go", self.bot_id)
            elif error is not None:
                frames = "".join(traceback.format_tb(error.__traceback__))
                log.error("bot %s: its session broke: %s\n%s", self.bot_id, fault(error), frames)
                return fault(error)
        return ""

    async def _keep_lease(self) -> None:
        """Renew until that fails for too long, or the bot is somebody else's. Raises LeaseLost."""
        due = time.monotonic() + settings.LEASE_RENEW_SECONDS
        while True:
            await asyncio.sleep(max(0.0, min(due, self._lease.stop_at) - time.monotonic()))
            left = self._lease.stop_at - time.monotonic()
            if left <= 0:
                raise LeaseLost(self.bot_id)
            try:
                async with asyncio.timeout(left):
                    deadline = await in_lease_thread(lease_renew, bot_id=self.bot_id, epoch=self.epoch)
            except (DatabaseTrouble, TimeoutError) as error:
                log.warning("bot %s: its lease was not renewed yet: %s", self.bot_id, type(error).__name__)
                due = time.monotonic() + RENEW_RETRY_SECONDS
                continue
            if deadline is None:
                raise LeaseLost(self.bot_id)
            self._lease.deadline = deadline
            due = deadline - settings.LEASE_TTL_SECONDS + settings.LEASE_RENEW_SECONDS
            with suppress(TimeoutError):
                # Neither a silent server nor a hanging database may keep this loop from letting go in time.
                async with asyncio.timeout(self._lease.stop_at - time.monotonic()):
                    await self._keep_alive()

    async def _keep_alive(self) -> None:
        """The server drops a frozen owner before the lease ends; an unanswered ping is a dead connection."""
        account = self.account
        if account is None or not account.connected:
            return
        try:
            await account.keep_alive(self._silence_allowed())
            await account.flush()
        except TelegramError:
            await account.disconnect()
        except DatabaseTrouble as error:
            log.warning("bot %s: its session was not saved: %s", self.bot_id, type(error).__name__)

    def _silence_allowed(self) -> int:
        """Whole seconds after which the server is to drop the connection: before the lease ends."""
        return max(1, int(self._lease.stop_at - time.monotonic()))

    async def _live(self) -> None:
        """Connect, serve, connect again. Returns when Telegram sends it away."""
        wait = RECONNECT_FIRST
        await self._set_state(Bot.State.STARTING, "")
        while True:
            self._connected = False
            try:
                await self._serve_once()
            except BotDead as error:
                await in_db(bot_died, bot_id=self.bot_id, epoch=self.epoch, error=error)
                return
            except RetryAfter as error:
                await in_db(bot_must_wait, bot_id=self.bot_id, epoch=self.epoch, error=error)
                self._sent_away = True
                return
            except (TelegramError, DatabaseTrouble) as error:
                reason = error.reason if isinstance(error, TelegramError) else "the database does not answer"
                log.warning("bot %s: the connection ended: %s", self.bot_id, reason)
                if isinstance(error, PermanentError) and not self._connected:
                    await self._cannot_connect(reason)
            finally:
                self.ready = False
            if self._connected:
                wait = RECONNECT_FIRST
            await self._disconnect()
            await self._note(
                bot_set_state,
                bot_id=self.bot_id,
                epoch=self.epoch,
                state=Bot.State.STARTING,
                reason=f"Connecting again: {reason}",
            )
            await asyncio.sleep(wait)
            wait = min(wait * 2, RECONNECT_MOST)

    async def _cannot_connect(self, reason: str) -> None:
        """Once until it connects: every attempt will fail until an operator changes something, such as a proxy."""
        reason = f"bot {self.bot_id} cannot connect: {reason}"
        await self._note(trouble_tell, key=f"session:{self.bot_id}", reason=reason)

    async def _serve_once(self) -> None:
        """Connect, and serve as long as the connection lasts. Always raises."""
        if not self._lease.valid():
            raise LeaseLost(self.bot_id)
        credentials = await credentials_to_connect(self._facts.credentials)
        account = TelegramAccount(credentials, self._text, self._save)
        serving = Serving(
            account=account,
            reading=self._reading,
            membership=self._membership,
            afterwards=self._afterwards,
            when_ready=self._become_ready,
            when_late=self._be_late,
        )
        self.account, self._serving = account, serving
        await account.connect()
        await account.keep_alive(self._silence_allowed())
        await in_db(bot_connected, bot_id=self.bot_id, epoch=self.epoch, me=await account.me())
        await serving.run()

    async def _become_ready(self) -> None:
        assert self.account is not None
        await self.account.flush()
        await in_db(trouble_over, key=f"session:{self.bot_id}")
        self.ready = self._connected = True

    def _be_late(self) -> None:
        self.ready = False

    async def _save(self, text: str) -> None:
        self._text = text
        await in_db(session_save, bot_id=self.bot_id, epoch=self.epoch, text=text)

    # Its end.

    async def _disconnect(self) -> None:
        account, self.account = self.account, None
        if account is None:
            return
        await account.disconnect()
        try:
            async with asyncio.timeout(NOTE_LIMIT):
                await account.flush()
        except (DatabaseTrouble, TimeoutError) as error:
            log.warning("bot %s: its session was not saved: %s", self.bot_id, type(error).__name__)

    async def _let_go(self, broken: str) -> None:
        """After the connection is closed. When the database does not answer, the lease simply runs out."""
        if broken:
            reason = f"the session of bot {self.bot_id} broke: {broken}"
            await self._note(trouble_tell, key=f"session:{self.bot_id}", reason=reason)
        if not self._sent_away:
            await self._note(bot_set_state, bot_id=self.bot_id, epoch=self.epoch, state=Bot.State.OFFLINE)
        await self._note(lease_release, bot_id=self.bot_id, epoch=self.epoch)

    async def _set_state(self, state: Bot.State, reason: str) -> None:
        await in_db(bot_set_state, bot_id=self.bot_id, epoch=self.epoch, state=state, reason=reason)

    async def _note(self, function: Callable[..., object], **values: object) -> None:
        """Write something down that is not worth failing for."""
        try:
            async with asyncio.timeout(NOTE_LIMIT):
                await in_db(function, **values)
        except (DatabaseTrouble, TimeoutError) as error:
            log.warning("bot %s: %s was not written down: %s", self.bot_id, function.__name__, type(error).__name__)
