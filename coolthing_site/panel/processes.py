"""The states of the Procfile's processes as the panel shows them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Q

from coolthing_site.models import Process
from coolthing_site.processes.records import WITHOUT_HEARTBEAT, expected_kinds, silent_after
from messaging.database.clock import database_clock
from panelkit.labels import moment_with_zone

COUNTED = timedelta(hours=1)
_TO_DO = "Look at its output. If the process is frozen, kill it; `make up` and docker compose restart ended processes."
_START = "Start it with `make up` or `docker compose up -d`."


@dataclass(frozen=True)
class Amiss:
    """Why a process of the Procfile needs attention; `state` is the value of a label."""

    kind: str
    state: str
    text: str


@dataclass(frozen=True)
class Figures:
    """The last day of one kind of process. `last` is the process that ended by itself last, within the last hour."""

    running: int
    silent: int
    seen: datetime
    silent_since: datetime | None
    ends: int
    last: Process | None


def process_state(row: Process, now: datetime) -> tuple[str, str]:
    """The value and the text of the state's label."""
    if row.ended_at is not None:
        return ("ended", f"ended by itself ({row.how})") if row.ended_by_itself else ("stopped", row.how)
    if row.heartbeat_at < now - silent_after():
        return "silent", "silent"
    return "running", "running"


def processes_amiss() -> list[Amiss]:
    """The processes that do not run, are silent, or ended by themselves in the last hour, in the Procfile's order."""
    figures = _figures(database_clock())
    kinds = [*expected_kinds(), *sorted(figures.keys() - set(expected_kinds()))]
    found = [_amiss(kind, figures[kind]) for kind in kinds if kind in figures]
    absent = ", ".join(kind for kind in expected_kinds() if kind not in figures)
    never = [Amiss("not started", "stopped", f"{absent}. {_START}")] if absent else []
    return [process for process in found if process is not None] + never


def _amiss(kind: str, figures: Figures) -> Amiss | None:
    if figures.silent_since is not None:
        which = "It has" if figures.silent == 1 else f"{figures.silent} of them have"
        others = (
            f"Other running {kind} processes: {figures.running}" if figures.running else f"No other {kind} process runs"
        )
        since = moment_with_zone(figures.silent_since)
        return Amiss(kind, "silent", f"{which} sent no heartbeat since {since}. {others}. {_TO_DO}")
    if figures.last is not None and figures.last.ended_at is not None:
        times = "" if figures.ends == 1 else f" It has ended by itself {figures.ends} times in the last hour."
        last = f"{moment_with_zone(figures.last.ended_at)} ({figures.last.how})"
        now = "It runs again." if figures.running else f"It does not run now. {_TO_DO}"
        if kind in WITHOUT_HEARTBEAT:
            now = "It is restarted. It sends no heartbeats, so CoolThing does not know whether it runs now."
        return Amiss(kind, "ended", f"It ended by itself at {last}.{times} {now}")
    if not figures.running and kind in expected_kinds():
        return Amiss(kind, "stopped", f"It has not run since {moment_with_zone(figures.seen)}. {_START}")
    return None


def _figures(now: datetime) -> dict[str, Figures]:
    alive, recent = Q(ended_at__isnull=True), Q(heartbeat_at__gte=now - silent_after())
    ended = Q(ended_by_itself=True, ended_at__gte=now - COUNTED)
    lasts = Process.objects.filter(ended).order_by("kind", "-ended_at").distinct("kind")
    last: dict[str, Process] = {row.kind: row for row in lasts}
    rows: Any = Process.objects.values("kind").annotate(
        running=Count("pk", filter=alive & recent),
        silent=Count("pk", filter=alive & ~recent),
        seen=Max("heartbeat_at"),
        silent_since=Max("heartbeat_at", filter=alive & ~recent),
        ends=Count("pk", filter=ended),
    )
    figures = {}
    for row in rows.order_by():
        kind = row.pop("kind")
        figures[kind] = Figures(**row, last=last.get(kind))
    return figures
