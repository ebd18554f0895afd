"""A RabbitMQ node and a PostgreSQL server that this run alone uses, and may stop, crash and starve.

They are run by the code behind `bin/services`, from a folder under the system's temporary one. A run that is killed
leaves them behind; the next one ends them.
"""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import ROOT, is_alive

sys.path.insert(0, str(ROOT / "bin"))

from _services import environment, install, instance, ports, processes
from _services.postgres import Postgres
from _services.rabbitmq import RabbitMQ

_PREFIX = "coolthing-chaos-"
_CTL_SECONDS = 60.0


class Servers:
    """Both servers of one folder. `env` is what a process needs to use them directly, past any proxy."""

    def __init__(self, folder: Path) -> None:
        is_root = os.geteuid() == 0
        key = instance.clone_key(folder)
        self._instance = instance.Instance(
            clone=ROOT,
            key=key,
            name=f"{key}-{secrets.token_hex(4)}",
            secrets=instance.new_secrets(),
            user=instance.SERVICE_USER if is_root else None,
            data=folder / "data",
        )
        self._instance.prepare()
        self.ports = ports.choose(folder, recorded={})
        self.env = environment.own_variables(self.ports, self._instance.secrets)
        self._rabbitmq, self._postgres = RabbitMQ(self._instance), Postgres(self._instance)

    def start(self) -> None:
        """Both at once; returns when the database can be used. The broker takes some seconds more."""
        self._rabbitmq.launch(self.ports)
        self.start_database()

    def await_broker(self) -> None:
        self._rabbitmq.wait(self.ports)

    def stop_broker(self) -> None:
        self._rabbitmq.stop()

    def crash_broker(self) -> None:
        """The node's process is killed, as by a power cut."""
        processes.end(self._rabbitmq.pids(), first=signal.SIGKILL, patience=10.0)

    def start_broker(self) -> None:
        self._rabbitmq.launch(self.ports)
        self.await_broker()

    def stop_database(self) -> None:
        """Sessions are ended, then the server."""
        self._postgres.stop()

    def crash_database(self) -> None:
        """No checkpoint, no farewell: the next start recovers from the log of transactions."""
        processes.end(self._postgres.pids(), first=signal.SIGQUIT, patience=10.0)

    def start_database(self) -> None:
        self._postgres.launch(self.ports)
        self._postgres.wait(self.ports)

    def rabbitmqctl(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(install.require_rabbitmq() / "rabbitmqctl"), *arguments],
            env={**os.environ, **self._rabbitmq.environment(self.ports)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_CTL_SECONDS,
            check=True,
        )
        return done.stdout


@contextmanager
def own_servers() -> Iterator[Servers]:
    """Both servers, started and empty, for as long as the context lasts."""
    root = Path(tempfile.gettempdir())
    for folder in root.glob(f"{_PREFIX}*"):
        match = re.fullmatch(rf"{_PREFIX}(\d+)", folder.name)
        if match is not None and not is_alive(int(match[1])):
            _remove(folder)
    folder = root / f"{_PREFIX}{os.getpid()}"
    folder.mkdir(mode=0o711)
    try:
        servers = Servers(folder)
        servers.start()
        yield servers
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """End whatever runs there, and delete it all."""
    found = processes.running(instance.clone_key(folder))
    processes.end([item.pid for item in found], first=signal.SIGKILL, patience=10.0)
    shutil.rmtree(folder, ignore_errors=True)
