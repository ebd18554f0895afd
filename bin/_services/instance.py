"""This clone's instance: where its data lies, who runs it, its secrets, its ports, its lock."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import ports
from .console import Unavailable, say
from .environment import SERVICES_ENV

# Data of clones whose folder the service user cannot enter (a clone under /root, say).
OUTSIDE = Path("/var/lib/coolthing")
SERVICE_USER = "coolthing"


@dataclass(frozen=True)
class Instance:
    """`key` names the clone (by its path), `name` this life of its `.run` folder: key, dash, token."""

    clone: Path
    key: str
    name: str
    secrets: Mapping[str, str]
    user: str | None
    data: Path

    @property
    def run(self) -> Path:
        return self.clone / ".run"

    @property
    def env_file(self) -> Path:
        return self.clone / SERVICES_ENV

    def recorded_ports(self) -> dict[str, int]:
        try:
            recorded = json.loads((self.run / "ports.json").read_text())
            return {str(name): int(port) for name, port in recorded.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def assign_ports(self, keep: frozenset[str]) -> dict[str, int]:
        """The ports to use now, recorded; those in `keep` are not moved."""
        chosen = ports.choose(self.clone, recorded=self.recorded_ports(), keep=keep)
        write_private(self.run / "ports.json", json.dumps(chosen, indent=2) + "\n")
        return chosen

    def prepare(self) -> None:
        """Make the data folder and, for root, the user that owns what is in it."""
        for folder in (self.data.parent, self.data):
            folder.mkdir(mode=0o711, exist_ok=True)
        if self.user is not None:
            ensure_user(self.user)

    def folder(self, name: str) -> Path:
        """A folder of the service user inside the data folder."""
        path = self.data / name
        path.mkdir(mode=0o700, exist_ok=True)
        self.give(path)
        return path

    def give(self, path: Path) -> None:
        """Make the service user the owner, when that is somebody else."""
        if self.user is not None:
            shutil.chown(path, self.user, self.user)


def clone_key(clone: Path) -> str:
    return "ct" + hashlib.sha256(str(clone).encode()).hexdigest()[:10]


@contextlib.contextmanager
def locked(clone: Path) -> Iterator[None]:
    """One `start` or `stop` of a clone at a time; the others wait."""
    run = clone / ".run"
    try:
        run.mkdir(mode=0o711, exist_ok=True)
        handle = (run / "lock").open("w")
    except PermissionError:
        raise Unavailable(f"{run} belongs to another user: run this as that user, or remove the folder") from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another bin/services is at work here, waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def load(clone: Path) -> Instance | None:
    """The recorded instance; None before the first start."""
    try:
        record = json.loads((clone / ".run" / "secrets.json").read_text())
    except FileNotFoundError:
        return None
    except PermissionError:
        raise Unavailable(f"{clone / '.run'} belongs to another user: run this as that user") from None
    if record["clone"] != str(clone):
        raise Unavailable(
            f"{clone / '.run'} comes from {record['clone']} (copied or moved): "
            "stop its services there, then remove this .run folder"
        )
    return Instance(
        clone=clone,
        key=clone_key(clone),
        name=record["name"],
        secrets=record["secrets"],
        user=record["user"],
        data=Path(record["data"]),
    )


def load_or_create(clone: Path) -> Instance:
    """The instance, with its folders and secrets made on the first start. Call it under the lock."""
    existing = load(clone)
    if existing is None:
        _create(clone)
        existing = load(clone)
    assert existing is not None
    return existing


def _create(clone: Path) -> None:
    name = f"{clone_key(clone)}-{secrets.token_hex(4)}"
    is_root = os.geteuid() == 0
    run = clone / ".run"
    inside = not is_root or reachable(run)
    data = run / "data" if inside else OUTSIDE / name
    if not inside:
        say(f"other users cannot enter {clone}: data goes to {data}")
        for old in OUTSIDE.glob(f"{clone_key(clone)}-*"):
            say(f"data of a removed .run folder of this clone, nobody can use it any more: rm -r {old}")
        _link(run / "data", data)
    record = {
        "clone": str(clone),
        "name": name,
        "user": SERVICE_USER if is_root else None,
        "data": str(data),
        "secrets": new_secrets(),
    }
    write_private(run / "secrets.json", json.dumps(record, indent=2) + "\n")


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target)


def new_secrets() -> dict[str, str]:
    """Fresh credentials; all of them may stand in a URL unescaped."""
    return {
        "postgres_admin": secrets.token_hex(24),
        "postgres": secrets.token_hex(24),
        "rabbitmq": secrets.token_hex(24),
        "cookie": secrets.token_hex(24),
        "django": secrets.token_hex(40),
        # What cryptography's Fernet.generate_key() does.
        "fernet": base64.urlsafe_b64encode(os.urandom(32)).decode(),
    }


def reachable(path: Path) -> bool:
    """Whether users other than the owner can come to this path."""
    folders = [path, *path.parents] if path.is_dir() else list(path.parents)
    return all(folder.stat().st_mode & 0o001 for folder in folders)


def ensure_user(name: str) -> None:
    """The unprivileged system user that root hands the services to."""
    try:
        pwd.getpwnam(name)
        return
    except KeyError:
        pass
    say(f"creating the system user {name}")
    tool = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if tool is None:
        raise Unavailable(f"create a system user named {name} (useradd was not found), then start again")
    options = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
    subprocess.run([tool, *options, name], check=True, stdout=subprocess.DEVNULL)


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step, readable by its owner alone from the first moment."""
    temporary = path.with_name(path.name + ".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
