"""Reads older messages of chats again when a room asks for it, a page at a time, while nothing newer has to be read.

Nothing is recorded here, and no cursor moves: the room looks at the messages in memory.
"""

import asyncio
import logging
from typing import NoReturn

from django.db import Error as DatabaseFailure

from bots.roles import PastPage, PastReader, past_reader
from bots.worker.executor import in_db
from bots.worker.leases import LeaseLost
from bots.worker.reading import Reading
from telegram.client import TelegramAccount
from telegram.errors import BotDead, PassingError, RetryAfter, TelegramError, TransientError

# Seconds between two pages of one account, and between two looks whether a page is wanted. A page has 100 messages.
PACE_SECONDS = 2.0
IDLE_SECONDS = 10.0
# Seconds before an account goes on after Telegram has refused a page for now.
PASSING_SECONDS = 60.0
# Seconds before the next attempt after an unexpected error.
FAILED_SECONDS = 600.0

log = logging.getLogger(__name__)


class PastReading:
    """One bot's reading of older messages during one connection."""

    def __init__(self, account: TelegramAccount, reading: Reading) -> None:
        self._account = account
        self._reading = reading

    async def run(self) -> NoReturn:
        """Raises an error that ends the connection."""
        while True:
            await self._reading.caught_up.wait()
            reader = past_reader()
            # Live messages come first.
            busy = bool(self._reading.inbox) or reader is None
            await asyncio.sleep(PACE_SECONDS if busy or reader is None else await self._read(reader))

    async def _read(self, reader: PastReader) -> float:
        """Read a page, if one is wanted. Returns the seconds to wait before the next one."""
        bot_id = self._reading.reader.bot_id
        try:
            page = await in_db(reader.next_page, bot_id=bot_id)
            return IDLE_SECONDS if page is None else await self._read_page(reader, page)
        except (TelegramError, LeaseLost, DatabaseFailure):
            raise
        except Exception:
            # Nothing depends on older messages: live reading must go on.
            log.exception("bot %s: reading older messages failed", bot_id)
            return FAILED_SECONDS

    async def _read_page(self, reader: PastReader, page: PastPage) -> float:
        try:
            found = await self._account.history_before(page.peer_id, before_id=page.before_id)
        except TelegramError as error:
            return await self._refused(reader, page, error)
        bot_id = self._reading.reader.bot_id
        try:
            await in_db(reader.page_read, bot_id=bot_id, page=page, found=found)
        except (TelegramError, LeaseLost, DatabaseFailure):
            raise
        except Exception as error:
            log.exception("bot %s: a page of older messages of %s could not be used", bot_id, page.peer_id)
            reason = f"an unexpected error, {type(error).__name__}: report it to the developers"
            await in_db(reader.page_refused, bot_id=bot_id, page=page, reason=reason)
        return PACE_SECONDS

    async def _refused(self, reader: PastReader, page: PastPage, error: TelegramError) -> float:
        if isinstance(error, BotDead | TransientError) and not isinstance(error, PassingError):
            raise error
        bot_id = self._reading.reader.bot_id
        log.warning("bot %s cannot read older messages of %s: %s", bot_id, page.peer_id, error.reason)
        if isinstance(error, RetryAfter):
            return error.seconds
        if not isinstance(error, PassingError):
            await in_db(reader.page_refused, bot_id=bot_id, page=page, reason=error.reason)
        return PASSING_SECONDS
