"""What tests of all rooms share: waiting with a deadline, and processes that are gone when the test is."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")
_POLL_SECONDS = 0.05


def wait_until(check: Callable[[], T | None], timeout: float = 60.0, what: str = "") -> T:
    """The first true value of `check()`, polled; fails after `timeout` seconds with the last value."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'the condition'} did not come true in {timeout:.0f} s; last: {value!r}")
        time.sleep(_POLL_SECONDS)


class Process:
    """A process of the product with its output in a file. It leads a group of its own, children included."""

    def __init__(self, argv: tuple[str, ...], env: Mapping[str, str], log: Path) -> None:
        self.argv, self._log = argv, log
        programs = {"manage.py": ["manage.py"], "celery": ["-m", "celery"]}
        # A test run that is killed cannot end its processes itself: the kernel does (setpriv is part of util-linux).
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        command = [*guard, sys.executable, *programs.get(argv[0], [argv[0]]), *argv[1:]]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **env, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for_log(self, text: str, timeout: float = 90.0) -> None:
        def found() -> bool:
            if text in self.log():
                return True
            if self._process.poll() is not None:
                raise AssertionError(
                    f"{self.argv} ended with {self._process.returncode} before {text!r}:\n{self.log()}"
                )
            return False

        wait_until(found, timeout, f"{text!r} in the output of {' '.join(self.argv)}")

    def children(self) -> list[int]:
        """Its direct children, oldest first."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def is_running(self) -> bool:
        return self._process.poll() is None

    def catches(self, number: int) -> bool:
        """Whether a signal reaches the program: while it starts, the kernel would just end it."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)

    def wait(self, timeout: float = 60.0) -> int:
        return self._process.wait(timeout)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def stop(self, timeout: float = 60.0) -> int:
        """SIGTERM, as an operator would; its exit code."""
        if self.is_running():
            self.signal(signal.SIGTERM)
        return self._process.wait(timeout)

    def kill(self) -> None:
        """SIGKILL for the process and all its children; waits for the process."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(60)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
