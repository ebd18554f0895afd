"""Helpers for a command in the foreground: a lock against a second instance, a check of its ports, handlers of signals,
and an output that survives the end of its reader.
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

UNAVAILABLE = 2  # exit code, as in `bin/services`: a cause outside CoolThing


@contextmanager
def single_instance(path: Path) -> Iterator[None]:
    """Lock `path` inside the context. Raises CommandError, with the process id, if another process has the lock."""
    with path.open("a+") as file:
        try:
            # Not flock: the child processes would inherit the lock and keep it after this process has ended.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            raise CommandError(
                f"`make up` is already running in this directory (pid {file.read()}); Ctrl-C in its terminal ends it",
                returncode=UNAVAILABLE,
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def require_free(ports: Mapping[str, int]) -> None:
    """Raises CommandError if another program uses one of these loopback ports. Port 0 stands for any free port."""
    for name, port in ports.items():
        if not _is_free(port):
            raise CommandError(
                f"another program uses port {port} ({name}): end that program, or set {name} in .env",
                returncode=UNAVAILABLE,
            )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection that has just ended does not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def on_end_signals(handler: Callable[..., object]) -> None:
    """Call `handler` on Ctrl-C, SIGTERM, and SIGHUP (the terminal was closed) unless `nohup` has disabled SIGHUP."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def interrupt(*_: Any) -> NoReturn:
    """A handler that raises KeyboardInterrupt, so that the running code cleans up as after Ctrl-C."""
    raise KeyboardInterrupt


class LastingOutput(io.TextIOBase):
    """Writes to a stream, line by line, until its reader ends (`| head`, a closed terminal).

    After that, writing has no effect and raises no error.
    """

    def __init__(self, stream: TextIO | io.TextIOBase) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # Also for the text that is still in buffers: Python flushes them when it ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        return len(text)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()
