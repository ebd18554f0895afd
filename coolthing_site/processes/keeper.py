"""Runs processes in the foreground, shows their output, and restarts each process that ends by itself.

Like compose's `restart: unless-stopped`, it restarts a process after any exit code, with a growing delay. SIGINT,
SIGTERM or SIGHUP ends all processes.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from coolthing_site.processes.foreground import LastingOutput, on_end_signals
from coolthing_site.processes.procfile import STOP_SECONDS, signal_session

# Seconds before a restart. The delay doubles each time; after a minute without an end it starts at FIRST_DELAY again.
FIRST_DELAY, LONGEST_DELAY, STEADY_SECONDS = 1.0, 30.0, 60.0
# After so many ends in a row the last lines of the process's output are repeated: they are hard to find among the rest.
ENDS_EXPLAINED, LINES_REPEATED = 5, 10
_LOOK_SECONDS = 0.1

# Arguments: the process's name, its pid, how it ended, and the seconds until its restart.
OnEnd = Callable[[str, int, str, float], None]


def how_it_ended(code: int) -> str:
    """A `subprocess` exit code in words: "exit code 1", "killed by SIGKILL"."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


class _Child:
    """A process of the Procfile, with all its restarts."""

    def __init__(self, name: str, command: str, colour: str) -> None:
        self.name = name
        self.command = command
        self.colour = colour
        self.process: subprocess.Popen[bytes] | None = None
        self.ends_in_a_row = 0
        self.start_at = 0.0
        self.started_at = 0.0
        self.last_lines: deque[bytes] = deque(maxlen=LINES_REPEATED)

    def has_ended(self) -> bool:
        """Whether the process has ended. Its id stays reserved until `reap`, which needs it to signal the session."""
        assert self.process is not None
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def reap(self) -> int:
        """Returns the exit code. Kills the rest of the session, which would work beside the restarted process."""
        assert self.process is not None
        signal_session(self.process, signal.SIGKILL)
        code = self.process.wait()
        self.process = None
        return code

    def delay(self, now: float) -> float:
        """The seconds until the restart of a process that has ended at `now`."""
        if now - self.started_at >= STEADY_SECONDS:
            self.ends_in_a_row = 0
        self.ends_in_a_row += 1
        return float(min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(self.ends_in_a_row - 1, 10)))


class Keeper:
    """`run()` starts all commands and returns after SIGINT, SIGTERM or SIGHUP.

    When `run()` returns or raises an exception, all processes have ended.
    """

    def __init__(
        self, commands: Mapping[str, str], *, environment: Mapping[str, str], directory: Path, on_end: OnEnd
    ) -> None:
        colours = get_colours()
        self._children = [_Child(name, command, next(colours)) for name, command in commands.items()]
        self._environment = dict(environment)
        self._directory = directory
        self._on_end = on_end
        self._lines: queue.SimpleQueue[tuple[_Child, bytes]] = queue.SimpleQueue()
        self._printer = Printer(LastingOutput(sys.stdout), width=max(map(len, [*commands, "system"])))
        self._ending = False

    def run(self) -> None:
        on_end_signals(self._end)
        try:
            while not self._ending:
                for child in self._children:
                    self._look_after(child)
                self._print_lines()
        finally:
            self._end_all()

    def _end(self, *_: Any) -> None:
        self._ending = True

    def _look_after(self, child: _Child) -> None:
        if self._ending:
            return
        if child.process is None:
            if time.monotonic() >= child.start_at:
                self._start(child)
        elif child.has_ended():
            self._restart_later(child, child.process.pid)

    def _start(self, child: _Child) -> None:
        child.process = subprocess.Popen(
            f"exec {child.command}",
            shell=True,
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        child.started_at = time.monotonic()
        threading.Thread(target=self._read, args=(child, child.process.stdout), daemon=True).start()
        self._print_system(f"{child.name} started (pid={child.process.pid})")

    def _read(self, child: _Child, output: Any) -> None:
        with output:
            for line in output:
                self._lines.put((child, line))

    def _restart_later(self, child: _Child, pid: int) -> None:
        how = how_it_ended(child.reap())
        now = time.monotonic()
        delay = child.delay(now)
        child.start_at = now + delay
        self._print_system(f"{child.name} ended by itself ({how}); restarting it in {delay:.0f} s")
        if child.ends_in_a_row >= ENDS_EXPLAINED:
            self._print_system(
                f"{child.name} has ended {child.ends_in_a_row} times in a row; the last lines of its output:"
            )
            for line in child.last_lines:
                self._print_system(f"    {line.decode(errors='replace').rstrip()}")
        self._on_end(child.name, pid, how, delay)

    def _end_all(self) -> None:
        """Send SIGTERM to each process, and after STOP_SECONDS SIGKILL to the rest of their sessions."""
        self._print_system("ending all processes")
        try:
            self._terminate([child for child in self._children if child.process is not None])
        finally:
            for child in self._children:
                if child.process is not None:
                    child.reap()
        self._print_lines()

    def _terminate(self, running: list[_Child]) -> None:
        for child in running:
            assert child.process is not None
            signal_session(child.process, signal.SIGTERM, only_leader=True)
        deadline = time.monotonic() + STOP_SECONDS
        while running and time.monotonic() < deadline:
            self._print_lines()
            running = self._still_running(running)
        for child in running:
            self._print_system(f"{child.name} has not ended within {STOP_SECONDS:.0f} s; killing it")

    def _still_running(self, before: Sequence[_Child]) -> list[_Child]:
        for child in before:
            if child.has_ended():
                self._print_system(f"{child.name} stopped ({how_it_ended(child.reap())})")
        return [child for child in before if child.process is not None]

    def _print_lines(self) -> None:
        """Print the lines that arrive within the next _LOOK_SECONDS."""
        deadline = time.monotonic() + _LOOK_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            try:
                child, line = self._lines.get(timeout=left)
            except queue.Empty:
                return
            child.last_lines.append(line)
            self._print(child.name, child.colour, line)

    def _print_system(self, line: str) -> None:
        self._print("system", None, line)

    def _print(self, name: str, colour: str | None, data: bytes | str) -> None:
        self._printer.write(Message("line", data, datetime.now().astimezone(), name, colour))
