"""Runs processes in the foreground: shows what they print, and starts one again that ends by itself.

As compose's `restart: unless-stopped` does: whatever the exit code, with a growing delay. SIGINT, SIGTERM or SIGHUP
ends all of them.
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

# Seconds before a process is started again: doubling, and the first again once it has run for a minute.
FIRST_DELAY, LONGEST_DELAY, STEADY_SECONDS = 1.0, 30.0, 60.0
# After so many ends in a row the last lines that it printed are repeated: among all the others nobody finds them.
ENDS_EXPLAINED, LINES_REPEATED = 5, 10
_LOOK_SECONDS = 0.1

# Arguments: the process's name, its pid, how it ended, and seconds until it is started again.
OnEnd = Callable[[str, int, str, float], None]


def how_it_ended(code: int) -> str:
    """An exit code as `subprocess` gives it, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


class _Kept:
    """One process of the Procfile through all its restarts."""

    def __init__(self, name: str, command: str, colour: str) -> None:
        self.name = name
        self.command = command
        self.colour = colour
        self.child: subprocess.Popen[bytes] | None = None
        self.ends_in_a_row = 0
        self.start_at = 0.0
        self.started_at = 0.0
        self.last_lines: deque[bytes] = deque(maxlen=LINES_REPEATED)

    def has_ended(self) -> bool:
        """Its process id stays taken until `reap`, so that it can still name its session."""
        assert self.child is not None
        return os.waitid(os.P_PID, self.child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def reap(self) -> int:
        """The exit code. Kills what is left of its session: children of its would work beside the next one."""
        assert self.child is not None
        signal_session(self.child, signal.SIGKILL)
        code = self.child.wait()
        self.child = None
        return code

    def delay(self, now: float) -> float:
        """Seconds until the next start, after an end at this moment."""
        if now - self.started_at >= STEADY_SECONDS:
            self.ends_in_a_row = 0
        self.ends_in_a_row += 1
        return float(min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(self.ends_in_a_row - 1, 10)))


class Keeper:
    """`run()` starts all commands and returns after SIGINT, SIGTERM or SIGHUP. Also when it raises, none of them runs
    any more."""

    def __init__(
        self, commands: Mapping[str, str], *, environment: Mapping[str, str], directory: Path, on_end: OnEnd
    ) -> None:
        colours = get_colours()
        self._kept = [_Kept(name, command, next(colours)) for name, command in commands.items()]
        self._environment = dict(environment)
        self._directory = directory
        self._on_end = on_end
        self._lines: queue.SimpleQueue[tuple[_Kept, bytes]] = queue.SimpleQueue()
        self._printer = Printer(LastingOutput(sys.stdout), width=max(map(len, [*commands, "system"])))
        self._ending = False

    def run(self) -> None:
        on_end_signals(self._end)
        try:
            while not self._ending:
                for kept in self._kept:
                    self._look_after(kept)
                self._print_lines()
        finally:
            self._end_all()

    def _end(self, *_: Any) -> None:
        self._ending = True

    def _look_after(self, kept: _Kept) -> None:
        if self._ending:
            return
        if kept.child is None:
            if time.monotonic() >= kept.start_at:
                self._start(kept)
        elif kept.has_ended():
            self._restart_later(kept, kept.child.pid)

    def _start(self, kept: _Kept) -> None:
        kept.child = subprocess.Popen(
            f"exec {kept.command}",
            shell=True,
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        kept.started_at = time.monotonic()
        threading.Thread(target=self._read, args=(kept, kept.child.stdout), daemon=True).start()
        self._say(f"{kept.name} started (pid={kept.child.pid})")

    def _read(self, kept: _Kept, output: Any) -> None:
        with output:
            for line in output:
                self._lines.put((kept, line))

    def _restart_later(self, kept: _Kept, pid: int) -> None:
        how = how_it_ended(kept.reap())
        now = time.monotonic()
        delay = kept.delay(now)
        kept.start_at = now + delay
        self._say(f"{kept.name} ended by itself ({how}); it is started again in {delay:.0f} s")
        if kept.ends_in_a_row >= ENDS_EXPLAINED:
            self._say(f"{kept.name} has ended {kept.ends_in_a_row} times in a row; the last lines it printed:")
            for line in kept.last_lines:
                self._say(f"    {line.decode(errors='replace').rstrip()}")
        self._on_end(kept.name, pid, how, delay)

    def _end_all(self) -> None:
        """SIGTERM to each, and SIGKILL to what is left of their sessions after STOP_SECONDS."""
        self._say("ending every process")
        try:
            self._ask_to_end([kept for kept in self._kept if kept.child is not None])
        finally:
            for kept in self._kept:
                if kept.child is not None:
                    kept.reap()
        self._print_lines()

    def _ask_to_end(self, running: list[_Kept]) -> None:
        for kept in running:
            assert kept.child is not None
            signal_session(kept.child, signal.SIGTERM, only_leader=True)
        deadline = time.monotonic() + STOP_SECONDS
        while running and time.monotonic() < deadline:
            self._print_lines()
            running = self._still_running(running)
        for kept in running:
            self._say(f"{kept.name} does not end within {STOP_SECONDS:.0f} s: it is killed")

    def _still_running(self, before: Sequence[_Kept]) -> list[_Kept]:
        for kept in before:
            if kept.has_ended():
                self._say(f"{kept.name} stopped ({how_it_ended(kept.reap())})")
        return [kept for kept in before if kept.child is not None]

    def _print_lines(self) -> None:
        """Those of the next moment."""
        deadline = time.monotonic() + _LOOK_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            try:
                kept, line = self._lines.get(timeout=left)
            except queue.Empty:
                return
            kept.last_lines.append(line)
            self._print(kept.name, kept.colour, line)

    def _say(self, line: str) -> None:
        self._print("system", None, line)

    def _print(self, name: str, colour: str | None, data: bytes | str) -> None:
        self._printer.write(Message("line", data, datetime.now().astimezone(), name, colour))
