"""Hosts: the running bots worker processes, each a row with capacity, heartbeat and whether it is being drained."""

import os
import socket
import uuid
from collections.abc import Set
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from bots.accounts.states import BARRED
from bots.chats.wanted import bots_wanted
from bots.models import Bot, Host
from messaging.database.clock import database_clock
from messaging.database.locks import rows_delete

# Seconds without a heartbeat after which a worker gets no more bots, and after which its row is deleted.
SILENT_SECONDS = 15
FORGOTTEN_SECONDS = 600


def host_name(worker: str) -> str:
    """A name for this process that is unique, even if a worker is restarted at once."""
    return f"{worker} {socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"[:120]


def worker_of(name: str) -> str:
    """The Celery worker to which the host of this name belongs. It has the same name after a restart."""
    return name.partition(" ")[0]


def host_beat(*, name: str, role: str, capacity: int, draining: bool) -> bool:
    """Store a heartbeat. Returns whether an operator is draining the worker."""
    values = {"role": role, "capacity": capacity, "draining": draining, "heartbeat_at": Now()}
    host, _ = Host.objects.update_or_create(name=name, defaults=values)
    return host.drain_requested


def host_drain(*, name: str) -> bool:
    """Request that a worker releases its bots and starts no others. False if this is requested already."""
    return bool(Host.objects.filter(name=name, drain_requested=False).update(drain_requested=True))


def host_undrain(*, name: str) -> bool:
    """Let a drained worker run bots again. False if it was not drained."""
    return bool(Host.objects.filter(name=name, drain_requested=True).update(drain_requested=False))


def host_leave(*, name: str) -> None:
    Host.objects.filter(name=name).delete()


def hosts_beating() -> list[str]:
    """The names of all hosts with a recent heartbeat, also of those that are being drained."""
    recent = Now() - timedelta(seconds=SILENT_SECONDS)
    return list(Host.objects.filter(heartbeat_at__gt=recent).values_list("name", flat=True))


def hosts_alive(role: str) -> QuerySet[Host]:
    """The hosts with a recent heartbeat that take bots of this role."""
    recent = Now() - timedelta(seconds=SILENT_SECONDS)
    return Host.objects.filter(role=role, draining=False, drain_requested=False, heartbeat_at__gt=recent)


def hosts_open() -> int:
    """The number of hosts of any role that have a recent heartbeat and are not being drained."""
    recent = Now() - timedelta(seconds=SILENT_SECONDS)
    return Host.objects.filter(draining=False, drain_requested=False, heartbeat_at__gt=recent).count()


def host_state(host: Host, now: datetime) -> str:
    """The host's state in words, for operators."""
    if host.heartbeat_at <= now - timedelta(seconds=SILENT_SECONDS):
        return f"silent since {host.heartbeat_at:%H:%M:%S} UTC"
    if host.drain_requested:
        return "drained by an operator"
    return "takes no accounts now" if host.draining else "takes accounts"


def hosts_forget() -> int:
    """Delete the rows of hosts without a heartbeat for FORGOTTEN_SECONDS. Returns their number."""
    old = Now() - timedelta(seconds=FORGOTTEN_SECONDS)
    return rows_delete(Host.objects.filter(heartbeat_at__lt=old))


def no_longer_wanted(*, role: str, bot_ids: Set[UUID]) -> set[UUID]:
    """The bots among these that should no longer be connected."""
    if not bot_ids:
        return set()
    wanted = bots_wanted(role=role, now=database_clock())
    may = Bot.objects.filter(pk__in=bot_ids, enabled=True, role=role).exclude(state__in=BARRED)
    return set(bot_ids) - (set(may.values_list("pk", flat=True)) & wanted)
