"""A bots worker as the Procfile runs it, with measurements of its process."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from subprocess import Popen

from django.db import connection
from django.utils import timezone

from bench.bots import processes as kernel
from bench.world import BenchError, wait_for
from bots.models import Bot, Host
from bots.worker.supervision import supervise
from coolthing_site.processes.beat_schedule import PERIODS
from coolthing_site.processes.procfile import ProcessGroup, procfile

BOOT_SECONDS = 60.0
# For all bots of the worker. The machine may be slow.
ONLINE_SECONDS = 180.0
# The period with which beat calls the supervisor.
SUPERVISE_SECONDS = PERIODS["bots.tasks.supervise_bots"]


@dataclass(frozen=True)
class Spent:
    """Seconds that have passed, and the processor time of the worker and the sandbox meanwhile."""

    seconds: float
    worker: float
    sandbox: float


class Worker:
    """The Procfile's process `ROLE_bots`. It runs the bots that the supervisor gives it."""

    def __init__(self, processes: ProcessGroup, role: str) -> None:
        self.role = role
        self._name = f"{role}_bots"
        self._processes = processes
        # The most connections to the database at the same time, while the bots came online.
        self.most_connections = 0

    def start(self) -> float:
        """Start the worker. Returns the seconds until it waits for bots."""
        began = time.monotonic()
        self._processes.start(self._name, procfile()[self._name])
        self._wait(lambda: Host.objects.filter(role=self.role).exists(), f"{self._name} worker", BOOT_SECONDS)
        return time.monotonic() - began

    def bring_online(self, count: int) -> float:
        """Let all bots connect and join their chats. Returns the seconds that this took."""
        began = time.monotonic()
        last = began - SUPERVISE_SECONDS

        def all_online() -> bool:
            nonlocal last
            self.most_connections = max(self.most_connections, _database_connections())
            if time.monotonic() - last >= SUPERVISE_SECONDS:
                last = time.monotonic()
                supervise(timezone.now())
            return self._online() >= count

        self._wait(all_online, f"{count} bots online", ONLINE_SECONDS)
        return time.monotonic() - began

    def assert_healthy(self) -> None:
        """Check that each bot is online, or was stopped in an orderly way."""
        fine = (Bot.State.ONLINE, Bot.State.OFFLINE)
        harmed = Bot.objects.filter(role=self.role).exclude(state__in=fine)
        if harmed:
            raise BenchError(f"{len(harmed)} bots failed, the first is {harmed[0].state}: {harmed[0].state_reason}")

    def _online(self) -> int:
        return Bot.objects.filter(role=self.role, state=Bot.State.ONLINE, lease_expires_at__isnull=False).count()

    def stop(self) -> None:
        self._processes.stop([self._name])
        del self._processes.children[self._name]

    def freeze(self) -> None:
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._child.send_signal(signal.SIGCONT)

    def rss_mb(self) -> float:
        return kernel.rss_mb(self._child.pid)

    def peak_rss_mb(self) -> float:
        return kernel.peak_rss_mb(self._child.pid)

    def threads(self) -> int:
        return kernel.threads(self._child.pid)

    def meter(self) -> "Meter":
        return Meter(self._child.pid, self._processes.children["sandbox"].pid)

    @property
    def _child(self) -> "Popen[bytes]":
        return self._processes.children[self._name]

    def _wait(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        wait_for(condition, what=what, seconds=seconds, processes=self._processes)


def _database_connections() -> int:
    """The number of connections, without our own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


class Meter:
    """Measures processor time from its creation."""

    def __init__(self, worker: int, sandbox: int) -> None:
        self._read = [partial(kernel.cpu_seconds, pid) for pid in (worker, sandbox)]
        self._began = (time.monotonic(), *(read() for read in self._read))

    def spent(self) -> Spent:
        now = (time.monotonic(), *(read() for read in self._read))
        return Spent(*(end - begin for begin, end in zip(self._began, now, strict=True)))
