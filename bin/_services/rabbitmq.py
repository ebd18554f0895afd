"""The private RabbitMQ node with its own epmd: loopback only, its own cookie, user and virtual host."""

from __future__ import annotations

import base64
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from . import install, processes
from .console import Failed, say
from .environment import USER, VHOST
from .instance import Instance, write_private

START_SECONDS = 120.0
STOP_SECONDS = 60.0
BOOTING_STOP_SECONDS = 10.0
PLUGINS = "[rabbitmq_management,rabbitmq_prometheus].\n"
CONFIGURATION = """\
listeners.tcp.local = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {prometheus}
default_vhost = {vhost}
default_user = {user}
default_pass = {password}
default_user_tags.administrator = true
default_permissions.configure = .*
default_permissions.read = .*
default_permissions.write = .*
# The default is 50 MB; below this the broker blocks publishers instead of dying on a full disk.
disk_free_limit.absolute = 200MB
log.console = false
log.file.level = info
"""
LOOPBACK_DISTRIBUTION = "-kernel inet_dist_use_interface {127,0,0,1}"
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"


class RabbitMQ:
    """Start, wait for, and stop the node of one instance."""

    name = "rabbitmq"

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.home = instance.data / "rabbitmq"
        self.log = self.home / "log" / "console.log"

    def pids(self) -> list[int]:
        return [item.pid for item in self._processes() if item.name == "beam.smp"]

    def launch(self, ports: Mapping[str, int]) -> None:
        """Begin to start; `wait` tells when it can be used."""
        programs = install.require_rabbitmq()
        self._write_files(ports)
        env = self.environment(ports) | {processes.MARKER: self.instance.name}
        if not any(item.name == "epmd" for item in self._processes()):
            address = ["-address", "127.0.0.1", "-port", str(ports["epmd"])]
            self._spawn([_epmd(), *address], env)
        say(f"starting RabbitMQ on 127.0.0.1:{ports['amqp']}, management on :{ports['management']}")
        self._spawn([str(programs / "rabbitmq-server")], env)

    def wait(self, ports: Mapping[str, int]) -> None:
        """Return once AMQP answers and our user may use the management API."""
        deadline = time.monotonic() + START_SECONDS
        seen = False
        while time.monotonic() < deadline:
            if self.ready(ports):
                return
            running = bool(self._processes())
            if seen and not self.pids() and not running:
                break
            seen = seen or running
            time.sleep(processes.POLL_SECONDS)
        raise Failed(f"RabbitMQ did not start: see {self.log.parent}")

    def ready(self, ports: Mapping[str, int]) -> bool:
        return _speaks_amqp(ports["amqp"]) and self._whoami(ports["management"])

    def stop(self) -> None:
        """Orderly shutdown of the node, then of its epmd and whatever else it started."""
        # A node that is still booting does not react to the signal; it holds nothing that could be lost.
        patience = STOP_SECONDS if self._has_booted() else BOOTING_STOP_SECONDS
        processes.end(self.pids(), first=signal.SIGTERM, patience=patience)
        rest = [item.pid for item in self._processes()]
        processes.end(rest, first=signal.SIGTERM, patience=5.0)

    def _has_booted(self) -> bool:
        recorded = self.instance.recorded_ports()
        return "amqp" in recorded and _speaks_amqp(recorded["amqp"])

    def environment(self, ports: Mapping[str, int]) -> dict[str, str]:
        """What rabbitmq-server and rabbitmqctl need to find this node and no other."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.home),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(ports["epmd"]),
            "RABBITMQ_NODENAME": f"{self.instance.name}@localhost",
            "RABBITMQ_DIST_PORT": str(ports["distribution"]),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": LOOPBACK_DISTRIBUTION,
            # rabbitmqctl must not start an epmd that nobody would stop.
            "RABBITMQ_CTL_ERL_ARGS": f"{LOOPBACK_DISTRIBUTION} -start_epmd false",
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_PID_FILE": str(self.home / "rabbitmq.pid"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(self.home / "feature_flags"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.home / "generated"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            # The system's own settings in /etc/rabbitmq are not ours.
            "RABBITMQ_CONFIG_FILES": str(self.home / "conf.d" / "*.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.home / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self.home / "rabbitmq-env.conf"),
        }

    def exec_ctl(self, ports: Mapping[str, int], arguments: list[str]) -> None:
        """Become rabbitmqctl against this node."""
        program = str(install.require_rabbitmq() / "rabbitmqctl")
        os.execve(program, [program, *arguments], {**os.environ, **self.environment(ports)})

    def _processes(self) -> list[processes.Process]:
        found = processes.running(self.instance.key)
        return [item for item in found if item.name != "postgres" and item.instance == self.instance.name]

    def _spawn(self, command: list[str], env: Mapping[str, str]) -> None:
        processes.spawn(command, env=env, cwd=self.home, log=self.log, user=self.instance.user)

    def _write_files(self, ports: Mapping[str, int]) -> None:
        for folder in ("rabbitmq", "rabbitmq/log", "rabbitmq/mnesia", "rabbitmq/generated"):
            self.instance.folder(folder)
        configuration = CONFIGURATION.format(
            **ports, user=USER, vhost=VHOST, password=self.instance.secrets["rabbitmq"]
        )
        files = {
            "rabbitmq.conf": configuration,
            "enabled_plugins": PLUGINS,
            "advanced.config": "[].\n",
            "rabbitmq-env.conf": "",
            ".erlang.cookie": self.instance.secrets["cookie"],
        }
        for name, text in files.items():
            write_private(self.home / name, text)
            self.instance.give(self.home / name)

    def _whoami(self, port: int) -> bool:
        credentials = base64.b64encode(f"{USER}:{self.instance.secrets['rabbitmq']}".encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/api/whoami", headers={"Authorization": f"Basic {credentials}"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _speaks_amqp(port: int) -> bool:
    """Whether the broker answers the protocol header with a frame (type 1: a method)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(AMQP_HEADER)
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


def _epmd() -> str:
    """Erlang's port mapper; outside Debian it may lie only in Erlang's own folders."""
    found = Path("/usr/bin/epmd")
    if found.exists():
        return str(found)
    shown = subprocess.run(
        ["erl", "-noshell", "-eval", "io:put_chars(code:root_dir()), halt()."],
        capture_output=True,
        text=True,
        check=True,
    )
    return str(next(Path(shown.stdout).glob("erts-*/bin/epmd")))
