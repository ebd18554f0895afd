"""The processes of the product under chaos. Whoever is killed on purpose is started again, as systemd would do."""

import os
import random
import signal
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from messaging.broker import topology
from tests.chaos.bus import BATCH_QUEUE, SINGLE_QUEUE
from tests.support import Process, wait_until

_WORKER = ("celery", "-A", "tests.chaos.app", "worker", "--without-gossip", "--without-mingle")
_HOUSE_QUEUES = (
    topology.DEAD_LETTER_ARCHIVE_QUEUE,
    topology.UNROUTABLE_QUEUE,
    topology.MAINTENANCE_QUEUE,
    # It hears of dead letters.
    topology.NOTIFIER_QUEUE,
)
# A relay that publishes and one that stands by; a worker for each subscription; one for everything else; beat.
COMMANDS: dict[str, tuple[str, ...]] = {
    "relay-1": ("manage.py", "relay_events"),
    "relay-2": ("manage.py", "relay_events"),
    "single": (*_WORKER, "-n", "single@chaos", "--concurrency=2", "-Q", SINGLE_QUEUE),
    "batch": (*_WORKER, "-n", "batch@chaos", "--concurrency=2", "-Q", BATCH_QUEUE),
    "house": (*_WORKER, "-n", "house@chaos", "--concurrency=1", "-Q", ",".join(_HOUSE_QUEUES)),
    "beat": ("celery", "-A", "tests.chaos.app", "beat", "--pidfile="),
}
RELAYS = ("relay-1", "relay-2")
WORKERS = ("single", "batch", "house")
_ORDERLY_SECONDS = 90.0
_LAST_LINES = 100
_DUMP_SECONDS = 1.0


class Fleet:
    """`env` points every process at the servers. Logs are kept of each life of each process."""

    def __init__(self, env: Mapping[str, str], logs: Path) -> None:
        self._env = {**env, "LOG_LEVEL": "WARNING"}
        self._logs = logs
        self._lives: dict[str, list[Process]] = {}
        self._stopped: set[str] = set()

    def start_all(self) -> None:
        for name in COMMANDS:
            self.start(name, *COMMANDS[name])

    def start(self, name: str, *argv: str) -> Process:
        lives = self._lives.setdefault(name, [])
        process = Process(argv, self._env, self._logs / f"{name}-{len(lives)}.log")
        lives.append(process)
        return process

    def current(self, name: str) -> Process:
        return self._lives[name][-1]

    def dump_stacks(self) -> None:
        """Let each worker write down what its threads are doing; it goes to their logs."""
        for name in WORKERS:
            if self.current(name).is_running():
                self.current(name).signal(signal.SIGUSR1)
        time.sleep(_DUMP_SECONDS)

    def last_words(self) -> list[str]:
        """The end of each process's log, of all its lives."""
        lines = []
        for name, lives in self._lives.items():
            printed = "".join(life.log() for life in lives).splitlines()
            lines += [f"--- {name}, {len(lives)} lives", *printed[-_LAST_LINES:]]
        return lines

    def kill(self, name: str, *, alone: bool = False) -> None:
        """SIGKILL, and a new life at once. `alone`: its children are left to notice by themselves."""
        process = self.current(name)
        if alone:
            os.kill(process.pid, signal.SIGKILL)
        else:
            process.kill()
        self.start(name, *COMMANDS[name])

    def kill_child(self, name: str, rng: random.Random) -> int:
        """SIGKILL for one of a worker's pool processes; its id, or 0 while it has none."""
        process = self.current(name)
        children = process.children() if process.is_running() else []
        if not children:
            return 0
        victim = rng.choice(children)
        os.kill(victim, signal.SIGKILL)
        return victim

    def ended(self) -> list[str]:
        """Those that have ended though nobody ended them; those who only publish may end, but not with an error."""
        ended = [name for name in self._lives.keys() - self._stopped if not self.current(name).is_running()]
        return [name for name in ended if name in COMMANDS or self.current(name).wait()]

    def stop(self, names: Collection[str]) -> dict[str, int]:
        """SIGTERM for all of them at once, when those that were killed last have started again; name → exit code."""
        processes = [self.current(name) for name in names]
        wait_until(lambda: all(process.catches(signal.SIGTERM) for process in processes), what="all to have started")
        self._stopped.update(names)
        for process in processes:
            process.signal(signal.SIGTERM)
        deadline = time.monotonic() + _ORDERLY_SECONDS
        return {name: self.current(name).wait(max(0.1, deadline - time.monotonic())) for name in names}

    def kill_all(self) -> None:
        for lives in self._lives.values():
            for process in lives:
                process.kill()
