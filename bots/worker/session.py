"""The session of one bot in this process, from taking the lease to releasing it: lease, connection, reading."""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseFailure

from bots.accounts.incidents import incident_close, incident_report
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
from bots.worker.executor import in_db, in_lease_thread, own_share
from bots.worker.leases import Lease, LeaseLost, lease_release, lease_renew
from bots.worker.membership import Membership
from bots.worker.message_changes import MessageChanges
from bots.worker.reading import Reading
from bots.worker.recorder import Recorder
from bots.worker.serving import Serving
from messaging.instrumentation.error_names import fault
from telegram.client import TelegramAccount
from telegram.connection.checked_proxy import credentials_to_connect
from telegram.errors import BotDead, PermanentError, RetryAfter, TelegramError

# Waits before connecting again: doubling between these, in seconds.
RECONNECT_FIRST, RECONNECT_MOST = 1.0, 30.0
# Seconds to wait for optional writes: a session must end even if the database does not answer.
NOTE_LIMIT = 5.0
# Seconds between attempts to renew the lease while the database does not answer.
RENEW_RETRY_SECONDS = 1.0

log = logging.getLogger(__name__)


class RunningSession:
    """Implements `sending.protocols.LiveSession`. `run` returns when the session is over; it handles all errors."""

    def __init__(self, lease: Lease, facts: BotFacts, handler: RoleHandler, recorder: Recorder) -> None:
        self.bot_id = lease.bot_id
        self.epoch = lease.epoch
        self.account: TelegramAccount | None = None
        self.ready = False
        self._lease = lease
        self._facts = facts
        self._text = facts.session
        self._handler = handler
        reader = Reader(lease.bot_id, lease.epoch, handler)
        self._reading = Reading(reader, recorder)
        self._membership = Membership(self._reading)
        self._changes = MessageChanges(reader)
        self._serving: Serving | None = None
        self._connected = False
        self._stop = asyncio.Event()
        self._must_wait = False

    # The interface for the sender (sending.protocols).

    @property
    def chats(self) -> Mapping[UUID, int]:
        return self._membership.chats

    def lease_valid(self) -> bool:
        return self._lease.valid() and not self._stop.is_set()

    def check_chats_now(self) -> None:
        if self._serving is not None:
            self._serving.check_chats_now()

    def report(self, error: TelegramError) -> None:
        if isinstance(error, BotDead) and self._serving is not None:
            self._serving.report(error)

    def stop(self) -> None:
        """Let the session end. Returns at once."""
        self.ready = False
        self._stop.set()

    # Running.

    async def run(self) -> None:
        """Own the bot until `stop`, until the account is dead or must wait as a whole, or until the lease is lost."""
        failure = ""
        own_share()
        parts = [
            asyncio.create_task(self._keep_lease(), name=f"lease {self.bot_id}"),
            asyncio.create_task(self._serve(), name=f"connection {self.bot_id}"),
            asyncio.create_task(self._stop.wait(), name=f"stop {self.bot_id}"),
        ]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            failure = self._failure(done)
        finally:
            self.ready = False
            for part in parts:
                part.cancel()
            await self._disconnect()
            await asyncio.gather(*parts, return_exceptions=True)
            await self._disconnect()
            await self._release(failure)

    def _failure(self, done: Iterable[asyncio.Task[Any]]) -> str:
        """The unexpected error that ended the session; empty if there was none."""
        for part in done:
            error = part.exception()
            if isinstance(error, LeaseLost):
                log.warning("bot %s: its lease is lost, it was released", self.bot_id)
            elif error is not None:
                frames = "".join(traceback.format_tb(error.__traceback__))
                log.error("bot %s: its session failed: %s\n%s", self.bot_id, fault(error), frames)
                return fault(error)
        return ""

    async def _keep_lease(self) -> None:
        """Renew the lease. Raises LeaseLost when that has failed for too long, or another process owns the bot."""
        due = time.monotonic() + settings.LEASE_RENEW_SECONDS
        while True:
            await asyncio.sleep(max(0.0, min(due, self._lease.stop_at) - time.monotonic()))
            left = self._lease.stop_at - time.monotonic()
            if left <= 0:
                raise LeaseLost(self.bot_id)
            try:
                async with asyncio.timeout(left):
                    deadline = await in_lease_thread(lease_renew, bot_id=self.bot_id, epoch=self.epoch)
            except (DatabaseFailure, TimeoutError) as error:
                log.warning("bot %s: its lease was not renewed yet: %s", self.bot_id, type(error).__name__)
                due = time.monotonic() + RENEW_RETRY_SECONDS
                continue
            if deadline is None:
                raise LeaseLost(self.bot_id)
            self._lease.deadline = deadline
            due = deadline - settings.LEASE_TTL_SECONDS + settings.LEASE_RENEW_SECONDS
            with suppress(TimeoutError):
                # Neither a silent server nor a hanging database may keep this loop from releasing the bot in time.
                async with asyncio.timeout(self._lease.stop_at - time.monotonic()):
                    await self._keep_alive()

    async def _keep_alive(self) -> None:
        """Ping the server. It disconnects a frozen owner before the lease ends; without an answer, disconnect."""
        account = self.account
        if account is None or not account.connected:
            return
        try:
            await account.keep_alive(self._silence_allowed())
            await account.flush()
        except TelegramError:
            await account.disconnect()
        except DatabaseFailure as error:
            log.warning("bot %s: its session was not saved: %s", self.bot_id, type(error).__name__)

    def _silence_allowed(self) -> int:
        """Whole seconds without a ping after which the server should disconnect: before the lease ends."""
        return max(1, int(self._lease.stop_at - time.monotonic()))

    async def _serve(self) -> None:
        """Connect, serve, connect again. Returns if the account is dead or must wait as a whole."""
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
                self._must_wait = True
                return
            except (TelegramError, DatabaseFailure) as error:
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
                reason=f"Reconnecting after an error: {reason}",
            )
            await asyncio.sleep(wait)
            wait = min(wait * 2, RECONNECT_MOST)

    async def _cannot_connect(self, reason: str) -> None:
        """Report that the bot cannot connect, once until it connects.

        Every attempt will fail until an operator changes something, such as the proxy.
        """
        reason = f"account {self.bot_id} cannot connect: {reason}"
        await self._note(incident_report, key=f"session:{self.bot_id}", reason=reason)

    async def _serve_once(self) -> None:
        """Connect, and serve as long as the connection lasts. Always ends with an exception."""
        if not self._lease.valid():
            raise LeaseLost(self.bot_id)
        credentials = await credentials_to_connect(self._facts.credentials)
        account = TelegramAccount(credentials, self._text, self._save)
        serving = Serving(
            account=account,
            reading=self._reading,
            membership=self._membership,
            changes=self._changes,
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
        await in_db(incident_close, key=f"session:{self.bot_id}")
        self.ready = self._connected = True

    def _be_late(self) -> None:
        self.ready = False

    async def _save(self, text: str) -> None:
        self._text = text
        await in_db(session_save, bot_id=self.bot_id, epoch=self.epoch, text=text)

    # Ending.

    async def _disconnect(self) -> None:
        account, self.account = self.account, None
        if account is None:
            return
        await account.disconnect()
        try:
            async with asyncio.timeout(NOTE_LIMIT):
                await account.flush()
        except (DatabaseFailure, TimeoutError) as error:
            log.warning("bot %s: its session was not saved: %s", self.bot_id, type(error).__name__)

    async def _release(self, failure: str) -> None:
        """Release the bot, after the connection is closed. If the database does not answer, the lease expires."""
        if failure:
            reason = f"the session of account {self.bot_id} failed: {failure}"
            await self._note(incident_report, key=f"session:{self.bot_id}", reason=reason)
        if not self._must_wait:
            await self._note(bot_set_state, bot_id=self.bot_id, epoch=self.epoch, state=Bot.State.OFFLINE)
        await self._note(lease_release, bot_id=self.bot_id, epoch=self.epoch)

    async def _set_state(self, state: Bot.State, reason: str) -> None:
        await in_db(bot_set_state, bot_id=self.bot_id, epoch=self.epoch, state=state, reason=reason)

    async def _note(self, function: Callable[..., object], **values: object) -> None:
        """Make an optional write. Errors of the database are only logged."""
        try:
            async with asyncio.timeout(NOTE_LIMIT):
                await in_db(function, **values)
        except (DatabaseFailure, TimeoutError) as error:
            log.warning("bot %s: %s was not stored: %s", self.bot_id, function.__name__, type(error).__name__)
