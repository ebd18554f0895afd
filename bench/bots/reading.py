"""Measures what an update costs a bots worker, beside Telethon alone with the same updates."""

import json
import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from django.db.models import Sum

from bench.bots.processes import cpu_seconds
from bench.bots.progress import rate
from bench.bots.readers import Readers
from bench.bots.telegram import Telegram
from bench.bots.worker import Worker
from bench.world import BenchError, wait_for
from bots.models import Bot, Cursor, Role
from coolthing_site.processes.procfile import ProcessGroup
from parser.models import Hit

BARE = "bare"
START_SECONDS, UPDATES_SECONDS = 60.0, 180.0


@dataclass(frozen=True)
class Reading:
    """Milliseconds of processor time per update, of the worker and of Telethon alone; both at saturation."""

    updates: int
    hits: int
    updates_per_second: float
    bare_updates_per_second: float
    update_cpu_ms: float
    bare_update_cpu_ms: float
    update_cpu_ratio: float


def measure(
    worker: Worker, processes: ProcessGroup, telegram: Telegram, readers: Readers, *, updates: int, directory: Path
) -> Reading:
    """Send all messages while both processes are frozen; then each of them alone handles them."""
    Bot.objects.filter(role=Role.PARSER).update(enabled=False)
    Bot.objects.filter(pk__in=[bot.pk for bot in readers.bots]).update(enabled=True)
    worker.start()
    worker.bring_online(len(readers.bots))
    bare = Bare(processes, readers, directory)
    before, hits = _read_so_far(readers), Hit.objects.count()
    worker.freeze()
    bare.freeze()
    try:
        telegram.send(readers.messages(updates))
    finally:
        worker.thaw()
    meter = worker.meter()
    per_second, handled = rate(lambda: _read_so_far(readers) - before, updates, seconds=UPDATES_SECONDS)
    spent = meter.spent().worker
    worker.assert_healthy()
    worker.stop()
    found = Hit.objects.count() - hits
    if handled < updates or found != readers.hits_in(updates):
        raise BenchError(f"{handled} of {updates} updates and {found} of {readers.hits_in(updates)} hits")
    bare_per_second, bare_spent = bare.thaw(updates)
    return Reading(
        updates=updates,
        hits=found,
        updates_per_second=round(per_second, 1),
        bare_updates_per_second=round(bare_per_second, 1),
        update_cpu_ms=round(1000 * spent / updates, 3),
        bare_update_cpu_ms=round(1000 * bare_spent / updates, 3),
        update_cpu_ratio=round(spent / bare_spent, 2),
    )


class Bare:
    """The process of Telethon alone, with all its clients connected."""

    def __init__(self, processes: ProcessGroup, readers: Readers, directory: Path) -> None:
        keys, self._count = directory / "bare-keys.json", directory / "bare-count"
        keys.write_text(json.dumps(readers.bare_keys))
        command = [sys.executable, "-m", "bench.bots.bare", str(keys), str(self._count)]
        processes.start(BARE, shlex.join(command))
        wait_for(self._count.exists, what="bare clients", seconds=START_SECONDS, processes=processes)
        self._child = processes.children[BARE]

    def freeze(self) -> None:
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self, updates: int) -> tuple[float, float]:
        """Let it receive all updates. Returns updates per second, and the processor seconds for all of them."""
        before = cpu_seconds(self._child.pid)
        self._child.send_signal(signal.SIGCONT)
        per_second, received = rate(lambda: int(self._count.read_text()), updates, seconds=UPDATES_SECONDS)
        if received < updates:
            raise BenchError(f"Telethon alone received {received} of {updates} updates in {UPDATES_SECONDS:.0f} s")
        return per_second, cpu_seconds(self._child.pid) - before


def _read_so_far(readers: Readers) -> int:
    """A supergroup's ids are consecutive: each message moves a cursor by one."""
    cursors = Cursor.objects.filter(bot__in=[bot.pk for bot in readers.bots], peer_id__lt=0)
    return cursors.aggregate(sum=Sum("last_message_id"))["sum"] or 0
