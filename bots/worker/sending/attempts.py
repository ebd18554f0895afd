"""One attempt to send a claimed delivery, and one check of the outcome of an earlier attempt.

Both store the outcome, or leave the delivery in `sending` for another check.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar

from django.db import DatabaseError

from bots.deliveries import outcomes, recovery
from bots.deliveries.outgoing import Outgoing, ReplyLookup
from bots.worker.executor import in_db
from bots.worker.sending.protocols import LiveSession
from messaging.database.clock import database_clock
from telegram.client import TelegramAccount
from telegram.errors import (
    AlreadySent,
    BotDead,
    ChatUpgraded,
    PassingError,
    RetryAfter,
    TelegramError,
    TransientError,
)
from telegram.types import PersonTarget, SentMessage

# How often, and how many seconds apart, the bot's own number of a message is searched for before the delivery waits.
REPLY_LOOKUPS, REPLY_PAUSE = 4, 1.0
REPLY_WAIT = timedelta(seconds=3)
# A basic group's messages reach its members within seconds: a message that is not in the history after this time never
# arrives.
REPLY_VISIBLE_WITHIN = timedelta(minutes=2)
NEVER_VISIBLE = "The message to which this one replies never reached this account."
# If the message is not in the history, it is searched for again after this many seconds: the request may be on its way.
LOOKUP_PAUSE = 2.0
# Seconds before a delivery is tried again after a temporary error: doubled each time, at most the second value.
PASSING_FIRST, PASSING_MOST = 2, 60
# If a temporary error keeps the history from being read for this time, an operator must decide.
LOOK_UP_FOR = timedelta(hours=1)
# Seconds between attempts to write an outcome while the database fails.
_WRITE_PAUSES = (0.1, 0.5, 2.0, 5.0)

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)


class _NotVisible(Exception):
    """The message to reply to, which was sent at `sent_at`, has not reached this account."""

    def __init__(self, sent_at: datetime) -> None:
        self.sent_at = sent_at


async def send(session: LiveSession, out: Outgoing) -> None:
    """Send a delivery that was never sent before."""
    account = session.account
    if account is None or not session.lease_valid():
        await written(outcomes.put_back, out, outcomes.LOST_BEFORE)
        return
    try:
        known = await _identified(account, out)
        if known is None:
            return
        out = known
        reply_to = await _reply_to(account, out)
    except _NotVisible as missing:
        await _wait_for_visibility(out, missing.sent_at)
        return
    except TelegramError as error:
        await _not_sent(session, out, error)
        return
    # The lookup may have taken a while, but the message must be sent within the lease.
    if not session.lease_valid():
        await written(outcomes.put_back, out, outcomes.LOST_BEFORE)
        return
    try:
        sent = await account.send(out.target, out.text, random_id=out.random_id, reply_to=reply_to)
    except AlreadySent as error:
        await look_up(session, recovery.Recovery(out, None, repeat=False), error)
    except TransientError as error:
        if isinstance(error, PassingError) and error.refused:
            await _not_sent(session, out, error)
            return
        session.report(error)
        await written(outcomes.note_unanswered, out, error)
    except TelegramError as error:
        await _not_sent(session, out, error)
    else:
        await written(outcomes.record_sent, out, sent)


async def recover(session: LiveSession, found: recovery.Recovery) -> float:
    """Find out the outcome of an earlier attempt. Returns the least seconds before another check (0.0: default)."""
    if not found.repeat:
        return await look_up(session, found, None)
    account = session.account
    if account is None or not session.lease_valid():
        return 0.0
    try:
        known = await _identified(account, found.out)
        if known is None:
            return 0.0
        found, reply_to = replace(found, out=known), await _reply_to(account, known)
        sent = await account.send(known.target, known.text, random_id=known.random_id, reply_to=reply_to)
    except (TransientError, _NotVisible) as error:
        if isinstance(error, TransientError):
            session.report(error)
        return 0.0
    except TelegramError as error:
        # The first attempt may have been successful, whatever Telegram answers to the repeated request.
        return await look_up(session, found, error)
    await written(outcomes.record_sent, found.out, sent)
    return 0.0


async def look_up(session: LiveSession, found: recovery.Recovery, answer: TelegramError | None) -> float:
    """Settle the delivery by the chat's history. `answer` is Telegram's error for the repeated request, if any.

    Returns the least seconds before another check, as `recover` does.
    """
    account, out = session.account, found.out
    if account is None or not session.lease_valid():
        return 0.0
    try:
        message_id = await _find(account, out)
    except RetryAfter as error:
        return float(error.seconds)
    except (TransientError, BotDead) as error:
        session.report(error)
        if isinstance(error, PassingError) and await _looked_long_enough(out):
            await written(outcomes.record_unknown, out, _unreadable(error))
        return 0.0
    except TelegramError as error:
        await written(outcomes.record_unknown, out, _unreadable(error))
        return 0.0
    if message_id is not None:
        await written(outcomes.record_sent, out, SentMessage(message_id, out.first_attempt_at, out.destination_id))
    elif isinstance(answer, AlreadySent):
        await written(
            outcomes.record_unknown, out, "Telegram reports that the message was sent, but it is not in the history."
        )
    elif answer is not None:
        await _not_sent(session, out, answer)
    else:
        await written(recovery.record_not_sent, found)
    return 0.0


def _unreadable(error: TelegramError) -> str:
    return (
        f"Telegram did not answer, and the history cannot be read ({error.reason}): "
        "check in the chat whether the message was sent."
    )


async def _looked_long_enough(out: Outgoing) -> bool:
    return await in_db(database_clock) - out.first_attempt_at > LOOK_UP_FOR


async def _not_sent(session: LiveSession, out: Outgoing, error: TelegramError) -> None:
    """Store the outcome after an error before the message was sent."""
    if isinstance(error, PassingError):
        await written(_try_later, out, error)
    elif isinstance(error, TransientError):
        await written(outcomes.put_back, out, f"No connection to Telegram ({error.reason}).")
    else:
        await written(outcomes.record_refusal_of_telegram, out, error, await in_db(database_clock))
    if isinstance(error, BotDead | TransientError):
        session.report(error)
    elif isinstance(error, ChatUpgraded):
        session.check_chats_now()


def _try_later(out: Outgoing, error: PassingError) -> None:
    """Put the delivery back to try it again. The attempt counts, because the error may be lasting."""
    if out.attempts >= recovery.MAX_ATTEMPTS:
        outcomes.record_failed(out, kind=error.kind, reason=f"{error.reason} in {out.attempts} attempts.")
        return
    pause = min(PASSING_FIRST * 2 ** max(out.attempts - 1, 0), PASSING_MOST)
    reason = f"Telegram answered {error.reason}, which may be temporary: the message will be sent again."
    outcomes.put_back(out, reason, until=database_clock() + timedelta(seconds=pause), answered=False)


async def _wait_for_visibility(out: Outgoing, sent_at: datetime) -> None:
    now = await in_db(database_clock)
    if now - sent_at > REPLY_VISIBLE_WITHIN:
        await written(outcomes.record_failed, out, kind="permanent", reason=NEVER_VISIBLE)
        return
    reason = "The message to which this one replies has not reached this account yet."
    await written(outcomes.put_back, out, reason, until=now + REPLY_WAIT)


async def _identified(account: TelegramAccount, out: Outgoing) -> Outgoing | None:
    """The delivery with the id of a person of whom only the username was known.

    None if the delivery must not be sent and is settled, or has another owner.
    """
    target = out.target
    if not isinstance(target, PersonTarget) or target.user_id is not None:
        return out
    user_id = await account.person_id(target)
    if not await written(outcomes.recipient_identified, out, user_id, target.username):
        return None
    return replace(out, target=replace(target, user_id=user_id), destination_id=user_id)


async def _reply_to(account: TelegramAccount, out: Outgoing) -> int | None:
    """This account's number of the message to reply to."""
    if not isinstance(out.reply_to, ReplyLookup):
        return out.reply_to
    assert out.destination_id is not None
    wanted = out.reply_to
    for lookup in range(REPLY_LOOKUPS):
        if lookup:
            await asyncio.sleep(REPLY_PAUSE)
        found = await account.find_message(
            out.destination_id, from_user_id=wanted.author_id, text=wanted.text, since=wanted.sent_at
        )
        if found is not None:
            return found
    raise _NotVisible(wanted.sent_at)


async def _find(account: TelegramAccount, out: Outgoing) -> int | None:
    exclude = await in_db(recovery.known_ids, out)
    for lookup in range(2):
        if lookup:
            await asyncio.sleep(LOOKUP_PAUSE)
        found = await account.find_own_message(out.target, out.text, out.first_attempt_at, exclude)
        if found is not None:
            return found
    return None


async def written(write: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Write an outcome, several times if the database fails.

    If it cannot be written, this raises the error; the delivery stays in `sending` and is recovered later.
    """
    for pause in _WRITE_PAUSES:
        try:
            return await in_db(write, *args, **kwargs)
        except DatabaseError as error:
            log.warning("the outcome of a delivery could not be written, trying again: %s", error)
            await asyncio.sleep(pause)
    return await in_db(write, *args, **kwargs)
