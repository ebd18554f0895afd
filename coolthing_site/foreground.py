"""What `make up` checks before it starts anything: that no other one runs here, and that its ports are free."""

import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

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
