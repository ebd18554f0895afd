"""Runs one step of a login at Telegram.

The step ends when Telegram responds, an operator cancels the login, the process ends or no page shows the QR code any
more.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db.models.functions import Now

from bots.accounts.unknown_errors import unknown_errors_report
from bots.logins.claims import Claim, ClaimLost
from bots.worker.executor import in_own_thread
from messaging.database.clock import database_clock
from messaging.database.errors import DATABASE_ERRORS
from telegram.logins.types import LoginError, too_many

T = TypeVar("T")

# Seconds for one step of a login including the connection. An operator waits for it.
STEP_SECONDS = 30
# Seconds for which an operator can scan a QR code.
QR_SECONDS = 300.0
# Seconds for which a QR code is renewed while no page shows it. For a hidden tab a browser sends a request once a
# minute.
UNSEEN_SECONDS = 90.0
# Seconds between checks whether a page shows the QR code.
SEEN_LOOK_SECONDS = 5.0

UNSEEN = "The QR code was withdrawn because no page showed it any more. Show a new code when the phone is at hand."
SLOW = "Telegram did not answer in time. Check this machine's network connection and try again."


class TooSoon(LoginError):
    """Telegram asked to wait until `wait_until` (the database's clock). Trying again before that prolongs the wait."""

    def __init__(self, wait_until: datetime, *, reason: str = "") -> None:
        super().__init__(too_many(wait_until), reason=reason)
        self.wait_until = wait_until


def at_telegram(step: Coroutine[Any, Any, T], *, claim: Claim | None = None, limit: float = STEP_SECONDS) -> T:
    """Run a step of `telegram.logins.client` in its own event loop, and renew `claim` meanwhile.

    Do not call it in a transaction. The connection is closed at the end in any case. `limit` is in seconds. Raises
    LoginError: TooSoon if Telegram asks to wait, and ClaimLost.
    """

    async def limited() -> T:
        async with asyncio.timeout(limit):
            return await (step if claim is None else while_claimed(step, claim))

    try:
        return asyncio.run(limited())
    except TimeoutError:
        raise LoginError(SLOW) from None
    except LoginError as error:
        if error.wait_seconds is None:
            raise
        now = database_clock() if claim is None else claim.insist(database_clock)
        raise TooSoon(now + timedelta(seconds=error.wait_seconds), reason=error.reason) from error
    finally:
        # A database error must not lose the step's result. The unknown errors are recorded at a later call then.
        with suppress(*DATABASE_ERRORS):
            unknown_errors_report()


async def while_claimed(step: Coroutine[Any, Any, T], claim: Claim) -> T:
    """The step's result. Raises ClaimLost if the claim is lost first, after the step has cleaned up."""
    return await _before(step, claim.until_lost(), ClaimLost())


async def while_seen(showing: Coroutine[Any, Any, T], claim: Claim) -> T:
    """The result of showing a QR code. Raises LoginError when no page shows the code any more."""
    return await _before(showing, _until_unseen(claim), LoginError(UNSEEN))


async def _before(step: Coroutine[Any, Any, T], end: Coroutine[Any, Any, None], error: LoginError) -> T:
    work, ended = asyncio.ensure_future(step), asyncio.ensure_future(end)
    try:
        await asyncio.wait([work, ended], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise error
    finally:
        for task in (work, ended):
            task.cancel()
        await asyncio.gather(work, ended, return_exceptions=True)


async def _until_unseen(claim: Claim) -> None:
    while not await in_own_thread(_unseen, claim):
        await asyncio.sleep(SEEN_LOOK_SECONDS)


def _unseen(claim: Claim) -> bool:
    try:
        return claim.rows.filter(seen_at__lt=Now() - timedelta(seconds=UNSEEN_SECONDS)).exists()
    except DATABASE_ERRORS:
        return False
