"""What a bot does while Telegram does not list its account's chats: record updates, and request the list again."""

import asyncio
import logging

from bots.accounts.flood_waits import (
    CHECK_MESSAGES,
    LIST_CHATS,
    connected_state_set,
    flood_wait_seconds,
    method_wait_record,
)
from bots.accounts.incidents import incident_report
from bots.accounts.states import bot_restrict, bot_set_state
from bots.models import Bot
from bots.worker.cursors import Reader
from bots.worker.executor import in_db
from telegram.errors import BotDead, BotRestricted, PassingError, RetryAfter, TelegramError, TransientError

# Seconds before the list is requested again if Telegram's error has no time.
REFUSED_SECONDS = 120.0

log = logging.getLogger(__name__)


async def list_refused(reader: Reader, error: TelegramError) -> float:
    """Record the error. Returns the seconds before the list may be requested again.

    Raises errors that end the connection again.
    """
    if isinstance(error, BotDead | TransientError) and not isinstance(error, PassingError):
        raise error
    log.warning("bot %s: its chats are listed later: %s", reader.bot_id, error.reason)
    if isinstance(error, RetryAfter):
        await in_db(method_wait_record, bot_id=reader.bot_id, error=error)
        return error.seconds
    if isinstance(error, BotRestricted):
        await in_db(bot_restrict, bot_id=reader.bot_id, reason=error.reason)
    report = f"Telegram does not list the chats of account {reader.bot_id} ({error.reason}); CoolThing tries again"
    await in_db(incident_report, key=f"list:{reader.bot_id}", reason=report)
    return REFUSED_SECONDS


async def listed_later(reader: Reader, error: TelegramError) -> None:
    """Wait until the list may be requested again, and show the reason as the account's state.

    Raises BotDead and TransientError.
    """
    seconds = await list_refused(reader, error)
    if isinstance(error, RetryAfter):
        await _wait(reader, seconds)
        return
    reason = f"Telegram does not list the account's chats: {error.reason}"
    await in_db(bot_set_state, bot_id=reader.bot_id, epoch=reader.epoch, state=Bot.State.WAITING, reason=reason)
    await asyncio.sleep(seconds)


async def wait_for_list(reader: Reader) -> None:
    """Wait until the flood wait from an earlier connection is over."""
    if left := await in_db(flood_wait_seconds, bot_id=reader.bot_id, methods=[LIST_CHATS]):
        await _wait(reader, left)


async def _wait(reader: Reader, seconds: float) -> None:
    await in_db(connected_state_set, bot_id=reader.bot_id, epoch=reader.epoch, bearable=[CHECK_MESSAGES])
    await asyncio.sleep(seconds)
