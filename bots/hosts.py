"""The bots workers, as the database knows them."""

from collections.abc import Set
from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from bots.models import Bot, Host
from bots.roles import handler_of
from bots.states import BARRED

# Seconds without a heartbeat after which a worker gets no more bots, and after which it is forgotten.
SILENT_SECONDS = 15
FORGOTTEN_SECONDS = 600


def host_beat(*, name: str, role: str, capacity: int, draining: bool) -> None:
    """The worker lives, and carries at most `capacity` bots."""
    values = {"role": role, "capacity": capacity, "draining": draining, "heartbeat_at": Now()}
    Host.objects.update_or_create(name=name, defaults=values)


def host_leave(*, name: str) -> None:
    Host.objects.filter(name=name).delete()


def hosts_alive(role: str) -> QuerySet[Host]:
    """The workers that take bots of this role."""
    recent = Now() - timedelta(seconds=SILENT_SECONDS)
    return Host.objects.filter(role=role, draining=False, heartbeat_at__gt=recent)


def hosts_forget() -> int:
    """Remove the rows of workers that died long ago."""
    old = Now() - timedelta(seconds=FORGOTTEN_SECONDS)
    return Host.objects.filter(heartbeat_at__lt=old).delete()[0]


def no_longer_wanted(*, role: str, bot_ids: Set[UUID]) -> set[UUID]:
    """Which of these bots should not be connected any more."""
    if not bot_ids:
        return set()
    handler = handler_of(role)
    wanted = handler.wanted(timezone.now()) if handler is not None else set()
    may = Bot.objects.filter(pk__in=bot_ids, enabled=True, role=role).exclude(state__in=BARRED)
    return set(bot_ids) - (set(may.values_list("pk", flat=True)) & wanted)
