"""Leases: one process owns a bot at a time, since two connections with one auth key destroy the session.

The row's times are those of the database's clock. The owner measures with its own monotonic clock, from *before* the
query that took or renewed the lease, so it always stops before another process can start.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from bots.accounts.states import BARRED
from bots.models import Bot


class LeaseLost(Exception):
    """Another process owns the bot, or may own it."""


@dataclass
class Lease:
    """A process's lease of a bot. After `deadline`, on time.monotonic(), another process may own the bot."""

    bot_id: UUID
    owner: str
    epoch: int
    deadline: float

    @property
    def stop_at(self) -> float:
        """When to release the bot: early enough to close the connection before the deadline."""
        return self.deadline - min(5.0, settings.LEASE_TTL_SECONDS / 6)

    def valid(self) -> bool:
        return time.monotonic() < self.stop_at


def _ttl() -> timedelta:
    return timedelta(seconds=settings.LEASE_TTL_SECONDS)


def lease_take(*, bot_id: UUID, owner: str) -> Lease | None:
    """Become the bot's owner.

    None if the bot has an owner, is disabled, is in a BARRED state, or must wait as a whole account. `owner` identifies
    one process.
    """
    before = time.monotonic()
    free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=Now())
    free &= Q(blocked_until__isnull=True) | Q(blocked_until__lte=Now())
    with transaction.atomic():
        taken = (
            Bot.objects.filter(free, pk=bot_id, enabled=True)
            .exclude(state__in=BARRED)
            .update(
                lease_owner=owner,
                lease_epoch=F("lease_epoch") + 1,
                lease_expires_at=Now() + _ttl(),
                dispatched_at=None,
            )
        )
        if not taken:
            return None
        epoch = Bot.objects.values_list("lease_epoch", flat=True).get(pk=bot_id)
    return Lease(bot_id, owner, epoch, before + settings.LEASE_TTL_SECONDS)


def lease_renew(*, bot_id: UUID, epoch: int) -> float | None:
    """Renew the lease and return its new deadline on time.monotonic(). None if it has expired or has another owner."""
    before = time.monotonic()
    mine = Bot.objects.filter(pk=bot_id, lease_epoch=epoch, lease_expires_at__gt=Now())
    return before + settings.LEASE_TTL_SECONDS if mine.update(lease_expires_at=Now() + _ttl()) else None


def lease_release(*, bot_id: UUID, epoch: int) -> bool:
    """Release the bot at once. Call it only after the connection is closed. False if another process owns the bot."""
    mine = Bot.objects.filter(pk=bot_id, lease_epoch=epoch)
    return bool(mine.update(lease_owner="", lease_expires_at=None))


def lease_borrow(*, bot_id: UUID, owner: str, seconds: float) -> int | None:
    """Become the bot's owner for one short connection of a login, whatever the bot's state.

    Returns the epoch, for `lease_release`; None if the bot has an owner. The lease is not renewed: close the connection
    long before `seconds` are over.
    """
    free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=Now())
    with transaction.atomic():
        taken = Bot.objects.filter(free, pk=bot_id).update(
            lease_owner=owner, lease_epoch=F("lease_epoch") + 1, lease_expires_at=Now() + timedelta(seconds=seconds)
        )
        return Bot.objects.values_list("lease_epoch", flat=True).get(pk=bot_id) if taken else None


def is_driven(bot_id: UUID) -> bool:
    """Whether a process owns the bot now, by the database's clock."""
    return Bot.objects.filter(pk=bot_id, lease_expires_at__gt=Now()).exists()
