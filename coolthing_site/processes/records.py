"""Records of the Procfile's processes in the database: which are alive, which are silent, which ended and how.

A process that has died cannot report its end, so every live process checks the others (`silence_check`). A conditional
UPDATE records each silence, so that only one process reports it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from bots.accounts.incidents import incident_close, incident_report
from bots.models import Incident
from coolthing_site.models import Process
from coolthing_site.processes.procfile import SANDBOX, procfile
from messaging.broker import topology
from messaging.database.clock import database_clock
from messaging.database.locks import rows_change, rows_delete
from messaging.events import ServiceCrashedEvent
from messaging.publishing.outbox import publish_on_commit

# Processes without access to the database. `make up` restarts them like the others, and records their ends.
WITHOUT_HEARTBEAT = frozenset({"flower", SANDBOX})
NO_HEARTBEAT = "no heartbeat"
STOPPED = "stopped"
# How long rows are kept. The panel counts the ends of the last hour.
KEPT = timedelta(days=1)
_INCIDENT = "process:"


@dataclass(frozen=True)
class Identity:
    """`name` is unique to one start of a process; `kind` is the process's name in the Procfile."""

    name: str
    kind: str
    host: str
    pid: int


@cache
def expected_kinds() -> tuple[str, ...]:
    """The processes of the Procfile that send heartbeats."""
    return tuple(kind for kind in procfile() if kind not in WITHOUT_HEARTBEAT)


@cache
def service_of(kind: str) -> str:
    """The service of a process of the Procfile, as the wire contract names it."""
    queue = re.search(r"-Q (\w+)", procfile().get(kind, ""))
    return topology.SERVICES[queue[1]] if queue else "admin"


def silent_after() -> timedelta:
    return timedelta(seconds=settings.PROCESS_SILENT_SECONDS)


def process_beat(*, identity: Identity) -> None:
    """Record a heartbeat with one UPDATE, or more for the first heartbeat and the first after a reported silence."""
    known = Process.objects.filter(name=identity.name, silence_noted=False, ended_at__isnull=True)
    if known.update(heartbeat_at=Now()):
        return
    values = {"kind": identity.kind, "host": identity.host, "pid": identity.pid, "heartbeat_at": Now()}
    back = {"silence_noted": False, "ended_at": None, "ended_by_itself": False, "how": ""}
    Process.objects.update_or_create(name=identity.name, defaults={**values, **back})
    rows_delete(Process.objects.filter(heartbeat_at__lt=Now() - KEPT))


def process_stopped(*, name: str) -> None:
    """Record that the process ends because it was asked to."""
    Process.objects.filter(name=name, ended_at__isnull=True).update(ended_at=Now(), how=STOPPED)


def processes_left_behind(*, host: str) -> int:
    """Record, without a report, that no process runs on this host any more, because the host or `make up` was ended."""
    left = Process.objects.filter(host=host, ended_at__isnull=True)
    return rows_change(left, ended_at=Now(), how=STOPPED)


@transaction.atomic
def process_ended(*, kind: str, host: str, pid: int, how: str, delay: float) -> None:
    """Record and report that a process ended by itself and will be restarted in `delay` seconds."""
    now = database_clock()
    end = {"ended_at": now, "ended_by_itself": True, "how": how}
    # If a signal that did not come from `make up` ended it, it has just recorded that it stops.
    its_last = Q(ended_at__isnull=True) | Q(ended_at__gte=now - silent_after())
    if not rows_change(Process.objects.filter(its_last, host=host, pid=pid, kind=kind), **end):
        # It ended before its first heartbeat.
        name = f"{kind} {host}:{pid}:{now:%H%M%S.%f}"
        Process.objects.create(name=name, kind=kind, host=host, pid=pid, started_at=now, heartbeat_at=now, **end)
    reason = (
        f"{kind} (pid {pid} on {host}) ended by itself at {in_utc(now)}: {how}. "
        f"`make up` restarts it in {delay:.0f} s. See its output for the cause"
    )
    _report(kind, reason)


def silence_check() -> None:
    """Report each process that has been silent for too long, once, and end the incidents of those that run again."""
    silent = Process.objects.filter(ended_at__isnull=True, heartbeat_at__lt=Now() - silent_after())
    incidents = Incident.objects.filter(key__startswith=_INCIDENT)
    if not silent.exists() and not incidents.exists():
        return
    for row in silent.filter(silence_noted=False).order_by("name"):
        _note_silence(row, silent.filter(pk=row.pk, silence_noted=False))
    _end_replaced(silent.filter(silence_noted=True))
    for key in incidents.values_list("key", flat=True):
        if _runs_again(key.removeprefix(_INCIDENT)):
            incident_close(key=key)


def living() -> QuerySet[Process]:
    """The processes with a recent heartbeat."""
    return Process.objects.filter(ended_at__isnull=True, heartbeat_at__gte=Now() - silent_after())


@transaction.atomic
def _note_silence(row: Process, unless_noted: QuerySet[Process]) -> None:
    if unless_noted.update(silence_noted=True) and not _was_replaced(row):
        _report(row.kind, _silence(row))


def _end_replaced(silent: QuerySet[Process]) -> None:
    """Record the end of silent processes after whose last heartbeat another one of the same kind was started."""
    replaced = silent.filter(Exists(living().filter(kind=OuterRef("kind"), started_at__gt=OuterRef("heartbeat_at"))))
    with transaction.atomic():
        ended = [row for row in replaced.order_by("name") if _end(row, replaced) and not _is_reported(row.kind)]
        if ended:
            publish_on_commit(ServiceCrashedEvent(service=service_of(ended[0].kind), reason=_replacement(ended)))


def _end(row: Process, among: QuerySet[Process]) -> bool:
    end = {"ended_at": row.heartbeat_at, "ended_by_itself": True, "how": NO_HEARTBEAT}
    return bool(among.filter(pk=row.pk, heartbeat_at=row.heartbeat_at).update(**end))


def _is_reported(kind: str) -> bool:
    return Incident.objects.filter(key=_key(kind)).exists()


def _was_replaced(row: Process) -> bool:
    return living().filter(kind=row.kind, started_at__gt=row.heartbeat_at).exists()


def _runs_again(kind: str) -> bool:
    """Whether no process of this kind is silent, and none ended by itself within the last PROCESS_SILENT_SECONDS."""
    rows = Process.objects.filter(kind=kind)
    if rows.filter(ended_at__isnull=True, silence_noted=True).exists():
        return False
    if rows.filter(ended_by_itself=True, ended_at__gte=Now() - silent_after()).exists():
        return False
    return kind in WITHOUT_HEARTBEAT or living().filter(kind=kind).exists()


def _report(kind: str, reason: str) -> None:
    incident_report(key=_key(kind), reason=reason, event=ServiceCrashedEvent(service=service_of(kind), reason=reason))


def _key(kind: str) -> str:
    return f"{_INCIDENT}{kind}"


def _silence(row: Process) -> str:
    others = living().filter(kind=row.kind).count()
    running = f"{others} other {row.kind} {'process runs' if others == 1 else 'processes run'}"
    running = running if others else f"no other {row.kind} process runs"
    return (
        f"{row} has sent no heartbeat since {in_utc(row.heartbeat_at)}; {running}. "
        "It is frozen, has been killed, or cannot reach the database: look at its output, and kill it if it is frozen"
    )


def _replacement(ended: Iterable[Process]) -> str:
    each = ", ".join(f"{row} (last heartbeat {in_utc(row.heartbeat_at)})" for row in ended)
    return f"processes ended by themselves and were replaced by new ones: {each}"


def in_utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
