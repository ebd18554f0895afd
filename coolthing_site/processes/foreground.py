"""Helpers for a command in the foreground: only one may run, its ports must be free, signals end it, and it survives an
output that nobody reads any more.
"""

import fcntl
import io
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

from django.core.management.base import CommandError

UNAVAILABLE = 2  # exit code, as `bin/services` has it: something outside our reach is in the way


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Inside, no other process comes past this with the same file; it is told whose turn it is."""
    with path.open("a+") as file:
        try:
            # Not flock: that would be inherited by the processes started here, and outlive this one with them.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            raise CommandError(
                f"`make up` runs here already (pid {file.read()}); Ctrl-C there ends it", returncode=UNAVAILABLE
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def require_free(ports: Mapping[str, int]) -> None:
    """Refuse before anything is started when another program has one of these loopback ports (0: any free one)."""
    for name, port in ports.items():
        if not _is_free(port):
            raise CommandError(
                f"port {port} ({name}) is taken by another program: end that, or set {name} in .env",
                returncode=UNAVAILABLE,
            )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection that has just ended does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def on_end_signals(handler: Callable[..., object]) -> None:
    """Call `handler` for Ctrl-C, for SIGTERM, and when the terminal is closed, unless `nohup` has that ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def interrupt(*_: Any) -> NoReturn:
    """A handler that lets whatever is under way clean up, as Ctrl-C does."""
    raise KeyboardInterrupt


class LastingOutput(io.TextIOBase):
    """Writes to a stream, line by line, for as long as somebody reads it.

    After that (`| head`, a closed terminal) writing does nothing and raises nothing.
    """

    def __init__(self, stream: TextIO | io.TextIOBase) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # Also for what is left in buffers: Python flushes them at its end.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        return len(text)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()
