"""Claims on logins: one thread of one process works on a login, and renews its claim while it talks to Telegram.

The row's times are the database's clock; the owner counts on its own monotonic clock, from before the query that took
or renewed the claim, so it always stops earlier than anybody else may start.
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

# Seconds that a claim lasts without being renewed: so long a login waits for a worker that was killed.
LEASE_SECONDS = 20.0
# Seconds between two renewals, which also notice that somebody has cancelled the login.
LOOK_SECONDS = 1.0
# Seconds between two tries to write down how a step has ended, while the database is away.
RETRY_SECONDS = 0.2
# Seconds for which what an operator asked for is worth doing: a code does not last much longer.
ASK_SECONDS = 180.0
# What another worker simply goes on with: no input of the operator is needed again.
RESUMED = frozenset({Ask.QR, Ask.LOG_OUT})

INTERRUPTED = (
    "Interrupted: the worker that talked to Telegram was stopped. Do this step again; "
    "if Telegram refuses the code then, start again with a new one."
)
NOT_TAKEN = (
    "No bots worker had a free slot for this within three minutes. "
    "See under Workers whether one runs and takes bots, then try again."
)


class ClaimLost(LoginError):
    """The claim ended before the step: cancelled, taken over, or the process is to stop."""

    def __init__(self) -> None:
        super().__init__(INTERRUPTED)


@dataclass
class Claim:
    """`deadline` is on time.monotonic(): from then on the login may be somebody else's. `stop` ends the process."""

    bot_id: UUID
    token: UUID
    deadline: float
    stop: threading.Event = field(default_factory=threading.Event)
    # Whether another worker goes on with it when this one stops.
    resumable: bool = False

    @property
    def rows(self) -> QuerySet[PendingLogin]:
        """The login, as long as it is this claim's."""
        return PendingLogin.objects.filter(pk=self.bot_id, claim=self.token)

    def renew(self) -> bool:
        """False when the login is not this claim's any more."""
        before = time.monotonic()
        if not self.rows.filter(busy_until__gt=Now()).update(busy_until=Now() + _lease()):
            return False
        self.deadline = before + LEASE_SECONDS
        return True

    async def until_lost(self) -> None:
        """Returns when the claim is lost or the process is to stop; renews it meanwhile.

        A database that is away or hangs is not the login's trouble, as long as nobody else can have taken it.
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
        """What `work` returns, which writes how a step has ended; again and again while the database is away."""
        while True:
            try:
                return work()
            except DATABASE_ERRORS:
                if connection.in_atomic_block or time.monotonic() > self.deadline:
                    raise
                connection.close()
                time.sleep(RETRY_SECONDS)

    def end(self) -> None:
        """Let the login go; what was asked for is done."""
        self.insist(lambda: self.rows.update(**FREE))

    def hand_back(self) -> None:
        """Let the login go for another worker to go on with."""
        self.insist(lambda: self.rows.update(claim=None, busy_until=None, worker="", asked_at=Now()))


@dataclass(frozen=True)
class Job:
    """What an operator asked for on a page, claimed by a worker."""

    bot_id: UUID
    ask: str
    by: str
    claim: Claim
    # What they typed: a phone number, a code, a password, the text of a session.
    given: str = field(default="", repr=False)


FREE: dict[str, Any] = {"claim": None, "busy_until": None, "worker": "", "asked": "", "given": ""}
UNOWNED = Q(busy_until__isnull=True) | Q(busy_until__lte=Now())


def _lease() -> timedelta:
    return timedelta(seconds=LEASE_SECONDS)


def claim_take(*, bot_id: UUID, owner: str, begin: bool) -> Claim | None:
    """Own the login for one step of a terminal; None when somebody else works on it or it is not there.

    What a page has asked for goes first, unless the terminal begins anew.
    """
    before = time.monotonic()
    rows = PendingLogin.objects.filter(UNOWNED, pk=bot_id)
    token = uuid.uuid4()
    changes = FREE | {"claim": token, "busy_until": Now() + _lease(), "worker": owner}
    taken = (rows if begin else rows.filter(asked="")).update(**changes)
    return Claim(bot_id, token, before + LEASE_SECONDS) if taken else None


def claim_next(*, owner: str, stop: threading.Event) -> Job | None:
    """Own the login that has waited longest for a worker; what was typed is in the row no more."""
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
    """What a worker may take: asked for, not too long ago, and nobody's."""
    since = Now() - timedelta(seconds=ASK_SECONDS)
    new = Q(busy_until__isnull=True, asked_at__gt=since)
    # Its worker has gone, however long that one had shown a QR code.
    left = Q(busy_until__lte=Now(), busy_until__gt=since, asked__in=RESUMED)
    return ~Q(asked="") & Q(expires_at__gt=Now()) & (new | left)


def lapsed() -> QuerySet[PendingLogin]:
    """Logins of which something was asked that nobody will do: the worker has gone, or none has come."""
    return PendingLogin.objects.filter(UNOWNED).exclude(asked="").exclude(_due())


def claim_lapse(*, bot_id: UUID) -> str:
    """Write that down for one of them, and return what was asked for: "" when nothing has lapsed."""
    with transaction.atomic():
        row = lapsed().select_for_update().filter(pk=bot_id).only("asked", "busy_until").first()
        if row is None:
            return ""
        why = NOT_TAKEN if row.busy_until is None else INTERRUPTED
        PendingLogin.objects.filter(pk=bot_id).update(**FREE, problem=why)
    return row.asked


def logins_lapse() -> None:
    """Write down which logins no worker does any more: theirs has gone, or none has taken them."""
    waiting = list(lapsed().values_list("pk", flat=True))
    for_each(waiting, lambda bot_id: claim_lapse(bot_id=bot_id), what="login")


def logins_forget() -> None:
    """Delete the logins that have expired."""
    rows_delete(PendingLogin.objects.filter(expires_at__lte=Now()))


def claims_alive() -> int:
    """How many logins are being worked on now."""
    return PendingLogin.objects.filter(busy_until__gt=Now()).exclude(worker="").count()
