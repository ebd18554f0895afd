"""Claims on logins: one thread of one process works on a login and renews its claim while it talks to Telegram.

The times in the row are on the database's clock. The owner uses its own monotonic clock, and counts from before the
query that took or renewed the claim, so the owner always stops before another process may start.
"""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from bots.models import PendingLogin
from bots.worker.executor import in_own_thread
from messaging.database.errors import DATABASE_ERRORS
from messaging.database.locks import rows_delete
from messaging.rounds import for_each
from telegram.logins.types import LoginError

T = TypeVar("T")
Ask = PendingLogin.Ask

# Seconds that a claim lasts without a renewal, and that a login waits after its worker was killed.
LEASE_SECONDS = 20.0
# Seconds between renewals. A renewal also notices that an operator has cancelled the login.
LOOK_SECONDS = 1.0
# Seconds between tries to record the outcome of a step while the database is unavailable.
RETRY_SECONDS = 0.2
# Seconds for which an operator's request is worth carrying out: a code expires soon after.
ASK_SECONDS = 180.0
# Requests that another worker can resume without any input from the operator.
RESUMED = frozenset({Ask.QR, Ask.LOG_OUT})

INTERRUPTED = (
    "This step was interrupted because its worker was stopped. Repeat the step. "
    "If Telegram then refuses the code, request a new code."
)
NOT_TAKEN = (
    "No worker had a free slot for this login within three minutes. "
    "Check on the page Workers that a worker is running and takes accounts, then try again."
)


class ClaimLost(LoginError):
    """The claim ended before the step did: the login was cancelled or taken over, or the process is to stop."""

    def __init__(self) -> None:
        super().__init__(INTERRUPTED)


@dataclass
class Claim:
    """One worker's claim on one login.

    From `deadline` (on time.monotonic()) another worker may own the login. `stop` is set when the process is to stop.
    """

    bot_id: UUID
    token: UUID
    deadline: float
    stop: threading.Event = field(default_factory=threading.Event)
    # Whether another worker resumes the login when this worker stops.
    resumable: bool = False

    @property
    def rows(self) -> QuerySet[PendingLogin]:
        """The login's row, or no row if this claim does not own the login any more."""
        return PendingLogin.objects.filter(pk=self.bot_id, claim=self.token)

    def renew(self) -> bool:
        """Extend the claim. Returns False if this claim does not own the login any more."""
        before = time.monotonic()
        if not self.rows.filter(busy_until__gt=Now()).update(busy_until=Now() + _lease()):
            return False
        self.deadline = before + LEASE_SECONDS
        return True

    async def until_lost(self) -> None:
        """Renew the claim until it is lost or the process is to stop, then return.

        Database errors are ignored until the deadline, because no other worker can have taken the login before.
        """
        while not self.stop.is_set():
            left = self.deadline - LOOK_SECONDS - time.monotonic()
            try:
                async with asyncio.timeout(left):
                    if not await in_own_thread(self.renew):
                        return
            except TimeoutError:
                return
            except DATABASE_ERRORS:
                pass
            await asyncio.sleep(LOOK_SECONDS)

    def insist(self, work: Callable[[], T]) -> T:
        """Call `work`, which records the outcome of a step, and return its result.

        Retries while the database is unavailable. Raises the database's error after the deadline.
        """
        while True:
            try:
                return work()
            except DATABASE_ERRORS:
                if connection.in_atomic_block or time.monotonic() > self.deadline:
                    raise
                connection.close()
                time.sleep(RETRY_SECONDS)

    def end(self) -> None:
        """Release the login: the request has been carried out."""
        self.insist(lambda: self.rows.update(**FREE))

    def hand_back(self) -> None:
        """Release the login, for another worker to resume it."""
        self.insist(lambda: self.rows.update(claim=None, busy_until=None, worker="", asked_at=Now()))


@dataclass(frozen=True)
class Job:
    """An operator's request from a page, claimed by a worker."""

    bot_id: UUID
    ask: str
    by: str
    claim: Claim
    # The operator's input: a phone number, a code, a password or the text of a session.
    given: str = field(default="", repr=False)


FREE: dict[str, Any] = {"claim": None, "busy_until": None, "worker": "", "asked": "", "given": ""}
UNOWNED = Q(busy_until__isnull=True) | Q(busy_until__lte=Now())


def _lease() -> timedelta:
    return timedelta(seconds=LEASE_SECONDS)


def claim_take(*, bot_id: UUID, owner: str, begin: bool) -> Claim | None:
    """Claim the login for one step from a terminal.

    Returns None if another process works on the login, if no login exists, or if a page's request waits. With `begin` a
    new login replaces such a request.
    """
    before = time.monotonic()
    rows = PendingLogin.objects.filter(UNOWNED, pk=bot_id)
    token = uuid.uuid4()
    changes = FREE | {"claim": token, "busy_until": Now() + _lease(), "worker": owner}
    taken = (rows if begin else rows.filter(asked="")).update(**changes)
    return Claim(bot_id, token, before + LEASE_SECONDS) if taken else None


def claim_next(*, owner: str, stop: threading.Event) -> Job | None:
    """Claim the login that has waited longest for a worker, or return None.

    Deletes the operator's input from the row.
    """
    before = time.monotonic()
    token = uuid.uuid4()
    with transaction.atomic():
        waiting = PendingLogin.objects.select_for_update(skip_locked=True).filter(_due())
        found = waiting.order_by("asked_at").first()
        if found is None:
            return None
        changes: dict[str, Any] = {"claim": token, "busy_until": Now() + _lease(), "worker": owner, "given": ""}
        PendingLogin.objects.filter(pk=found.pk).update(**changes)
    claim = Claim(found.pk, token, before + LEASE_SECONDS, stop, resumable=found.asked in RESUMED)
    return Job(found.pk, found.asked, found.asked_by, claim, found.given)


def _due() -> Q:
    """Requests that a worker may take: not too old and without an owner."""
    since = Now() - timedelta(seconds=ASK_SECONDS)
    new = Q(busy_until__isnull=True, asked_at__gt=since)
    # The request was taken by a worker that has ended; that worker may have shown a QR code for any length of time.
    left = Q(busy_until__lte=Now(), busy_until__gt=since, asked__in=RESUMED)
    return ~Q(asked="") & Q(expires_at__gt=Now()) & (new | left)


def lapsed() -> QuerySet[PendingLogin]:
    """Logins with a request that no worker will carry out: its worker has ended, or none has taken it in time."""
    return PendingLogin.objects.filter(UNOWNED).exclude(asked="").exclude(_due())


def claim_lapse(*, bot_id: UUID) -> str:
    """If the login's request has lapsed, record this and return the request; otherwise return ""."""
    with transaction.atomic():
        row = lapsed().select_for_update().filter(pk=bot_id).only("asked", "busy_until").first()
        if row is None:
            return ""
        why = NOT_TAKEN if row.busy_until is None else INTERRUPTED
        PendingLogin.objects.filter(pk=bot_id).update(**FREE, problem=why)
    return row.asked


def logins_lapse() -> None:
    """Record the lapsed requests of all logins, with the reason."""
    waiting = list(lapsed().values_list("pk", flat=True))
    for_each(waiting, lambda bot_id: claim_lapse(bot_id=bot_id), what="login")


def logins_forget() -> None:
    """Delete the logins that have expired."""
    rows_delete(PendingLogin.objects.filter(expires_at__lte=Now()))


def claims_alive() -> int:
    """The number of logins that workers are working on."""
    return PendingLogin.objects.filter(busy_until__gt=Now()).exclude(worker="").count()
