"""The processes of the Procfile: their commands and environment, and groups that start and end together."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

from django.conf import settings
from honcho.environ import parse_procfile

STOP_SECONDS = 15.0  # a warm shutdown takes a few seconds; a process that needs longer than this is killed
SANDBOX = "sandbox"


def procfile() -> dict[str, str]:
    """Process name → shell command, in the Procfile's order."""
    text = (settings.BASE_DIR / "Procfile").read_text()
    return dict(parse_procfile(text).processes)


def base_environment() -> dict[str, str]:
    """This process's environment, with the variables that every child process needs as well."""
    venv_bin = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": f"{venv_bin}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
    }


def sandbox_environment(*, mtproto_port: int, http_port: int, key_dir: Path) -> dict[str, str]:
    """The variables that point Telethon and the openai client at a sandbox on these loopback ports.

    The sandbox accepts any API hash and key. Each call makes new ones, so that a test can find where they were sent.
    """
    return {
        "TELEGRAM_API_ID": "1",
        "TELEGRAM_API_HASH": secrets.token_hex(16),
        "TELEGRAM_SERVER": f"127.0.0.1:{mtproto_port}",
        "TELEGRAM_SERVER_KEY": str(key_dir / "telegram_server_key.pem"),
        "OPENAI_BASE_URL": f"http://127.0.0.1:{http_port}/v1",
        "OPENAI_API_KEY": f"sk-sandbox-{secrets.token_urlsafe(24)}",
        "SANDBOX_MTPROTO_PORT": str(mtproto_port),
        "SANDBOX_HTTP_PORT": str(http_port),
    }


class ProcessGroup:
    """Child processes that end together. Each has its own session, so that its own children can be ended with it."""

    def __init__(self, *, environment: Mapping[str, str], log_dir: Path) -> None:
        self.environment = dict(environment)
        self.log_dir = log_dir
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: str) -> None:
        """Run `command` in a shell. Its output goes to `log_dir/NAME.log`."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        with (self.log_dir / f"{name}.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                f"exec {command}",
                shell=True,
                cwd=settings.BASE_DIR,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self) -> dict[str, int]:
        """Name → exit code of every child that has ended."""
        codes = {name: child.poll() for name, child in self.children.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def tail(self, name: str, lines: int = 20) -> str:
        """The last lines of a child's output."""
        path = self.log_dir / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def stop(self, names: Iterable[str]) -> None:
        """Send SIGTERM to each child, wait, and kill the rest of its session, so that no process is left."""
        chosen = [self.children[name] for name in names]
        for child in chosen:
            signal_session(child, signal.SIGTERM, only_leader=True)
        deadline = time.monotonic() + STOP_SECONDS
        try:
            for child in chosen:
                try:
                    child.wait(timeout=max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    pass
        finally:
            # Also after a second Ctrl-C.
            for child in chosen:
                signal_session(child, signal.SIGKILL)
                child.wait()

    def __enter__(self) -> "ProcessGroup":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The sandbox last: the bots disconnect from it before it ends.
        self.stop([name for name in self.children if name != SANDBOX])
        self.stop([SANDBOX] if SANDBOX in self.children else [])


def signal_session(child: subprocess.Popen[bytes], number: signal.Signals, *, only_leader: bool = False) -> None:
    """Send a signal to a session's leader and, unless `only_leader`, to its children."""
    # A prefork worker ends its own children on SIGTERM; signalling them as well makes it report them as lost.
    try:
        if only_leader:
            child.send_signal(number)
        else:
            os.killpg(child.pid, number)
    except ProcessLookupError:
        pass
