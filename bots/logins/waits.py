"""What a login waits for beside Telegram's answer: that somebody cancels it, that the process ends, that no page shows
its QR code any more."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from django.db.models.functions import Now

from bots.logins.claims import Claim, ClaimLost
from bots.worker.executor import in_own_thread
from messaging.database.errors import DATABASE_ERRORS
from telegram.logins.types import LoginError

T = TypeVar("T")

# For how long a QR code is kept up to date while no page shows it. A browser asks once a minute for a hidden tab.
UNSEEN_SECONDS = 90.0
# Seconds between two looks whether a page shows it.
SEEN_LOOK_SECONDS = 5.0

UNSEEN = "The QR code was put away because nobody looked at it. Show it again when the phone is at hand."


async def while_claimed(step: Coroutine[Any, Any, T], claim: Claim) -> T:
    """The step's result. Raises ClaimLost when the claim is lost first; the step has cleaned up by then."""
    return await _before(step, claim.until_lost(), ClaimLost())


async def while_seen(showing: Coroutine[Any, Any, T], claim: Claim) -> T:
    """The result of showing a QR code. Raises LoginError once no page shows it any more."""
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
