"""Records of the Procfile's processes in the database: which live, which are silent, which ended and how.

A process that has died cannot report it, so each one that lives looks after the others (`silence_check`). What one
notices is noted by a conditional UPDATE, so it is reported once.
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

# These know nothing of the database. `make up` restarts them as it does the others, and records that they ended.
WITHOUT_HEARTBEAT = frozenset({"flower", SANDBOX})
NO_HEARTBEAT = "no heartbeat"
STOPPED = "stopped"
# Rows are kept for so long: the panel counts the ends of the last hour.
KEPT = timedelta(days=1)
_INCIDENT = "process:"


@dataclass(frozen=True)
class Identity:
    """`name` is unique to one start of one process; `kind` is its name in the Procfile."""

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
    """The service, as the wire contract names it, that a process of the Procfile works for."""
    queue = re.search(r"-Q (\w+)", procfile().get(kind, ""))
    return topology.SERVICES[queue[1]] if queue else "admin"


def silent_after() -> timedelta:
    return timedelta(seconds=settings.PROCESS_SILENT_SECONDS)


def process_beat(*, identity: Identity) -> None:
    """The process lives. One UPDATE, except the first time and after its silence was reported."""
    known = Process.objects.filter(name=identity.name, silence_noted=False, ended_at__isnull=True)
    if known.update(heartbeat_at=Now()):
        return
    values = {"kind": identity.kind, "host": identity.host, "pid": identity.pid, "heartbeat_at": Now()}
    back = {"silence_noted": False, "ended_at": None, "ended_by_itself": False, "how": ""}
    Process.objects.update_or_create(name=identity.name, defaults={**values, **back})
    rows_delete(Process.objects.filter(heartbeat_at__lt=Now() - KEPT))


def process_stopped(*, name: str) -> None:
    """It ends because it was asked to."""
    Process.objects.filter(name=name, ended_at__isnull=True).update(ended_at=Now(), how=STOPPED)


def processes_left_behind(*, host: str) -> int:
    """Nothing of what ran on this host runs any more, and nobody need hear of it: the host, or `make up`, was ended."""
    left = Process.objects.filter(host=host, ended_at__isnull=True)
    return rows_change(left, ended_at=Now(), how=STOPPED)


@transaction.atomic
def process_ended(*, kind: str, host: str, pid: int, how: str, delay: float) -> None:
    """It ended by itself and is started again after `delay` seconds: recorded, and reported if that is news."""
    now = database_clock()
    end = {"ended_at": now, "ended_by_itself": True, "how": how}
    # Asked to stop by a signal that did not come from `make up`, it has just recorded that it stops.
    its_last = Q(ended_at__isnull=True) | Q(ended_at__gte=now - silent_after())
    if not rows_change(Process.objects.filter(its_last, host=host, pid=pid, kind=kind), **end):
        # It ended before its first heartbeat.
        name = f"{kind} {host}:{pid}:{now:%H%M%S.%f}"
        Process.objects.create(name=name, kind=kind, host=host, pid=pid, started_at=now, heartbeat_at=now, **end)
    reason = (
        f"{kind} (pid {pid} on {host}) ended by itself at {told(now)}: {how}. "
        f"`make up` starts it again in {delay:.0f} s; its output says why it ended"
    )
    _report(kind, reason)


def silence_check() -> None:
    """Report, once, each process that has been silent for too long, and end the incidents of those that run again."""
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
    """Those whose heartbeat is recent."""
    return Process.objects.filter(ended_at__isnull=True, heartbeat_at__gte=Now() - silent_after())


@transaction.atomic
def _note_silence(row: Process, unless_noted: QuerySet[Process]) -> None:
    if unless_noted.update(silence_noted=True) and not _was_replaced(row):
        _report(row.kind, _silence(row))


def _end_replaced(silent: QuerySet[Process]) -> None:
    """A silent process in whose place another one was started has died: its host restarted it."""
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
    """Nothing of this kind is silent, and the last one that ended by itself did so a while ago."""
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
    running = f"{others} other {row.kind} processes run" if others else f"no other {row.kind} process runs"
    return (
        f"{row} has sent no heartbeat since {told(row.heartbeat_at)}; {running}. "
        "It is frozen, killed or cut off: look at its output, and kill it if it is frozen"
    )


def _replacement(ended: Iterable[Process]) -> str:
    each = ", ".join(f"{row} (last heartbeat {told(row.heartbeat_at)})" for row in ended)
    return f"ended without being asked to, and another was started in each one's place: {each}"


def told(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
