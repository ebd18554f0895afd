"""Processes of this clone: found by looking at /proc, so that no pid file can be stale."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MARKER = "COOLTHING_SERVICES"
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Process:
    pid: int
    name: str
    instance: str


def running(clone_key: str) -> list[Process]:
    """The processes that were started for a clone, whatever became of its `.run` folder.

    RabbitMQ and epmd carry the instance in their environment. PostgreSQL overwrites its environment with
    its process title, hence its `cluster_name` argument.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        instance = _instance_of(entry, clone_key)
        if instance:
            found.append(Process(int(entry.name), _name(entry), instance))
    return found


def _instance_of(entry: Path, clone_key: str) -> str:
    marks = (("environ", f"{MARKER}={clone_key}-"), ("cmdline", f"cluster_name={clone_key}-"))
    for file, mark in marks:
        try:
            fields = (entry / file).read_bytes().split(b"\0")
        except OSError:  # ended meanwhile, or another user's
            continue
        for field in fields:
            if field.startswith(mark.encode()):
                return field.decode().partition("=")[2]
    return ""


def _name(entry: Path) -> str:
    try:
        return (entry / "comm").read_text().strip()
    except OSError:
        return ""


def end(pids: Iterable[int], *, first: signal.Signals, patience: float) -> None:
    """Signal, wait for all to be gone, and kill those that outlast the patience (seconds)."""
    pids = list(pids)
    for sent, seconds in ((first, patience), (signal.SIGKILL, 10.0)):
        pids = [pid for pid in pids if _signal(pid, sent)]
        deadline = time.monotonic() + seconds
        while pids and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            pids = [pid for pid in pids if alive(pid)]


def _signal(pid: int, sent: signal.Signals) -> bool:
    try:
        os.kill(pid, sent)
    except ProcessLookupError:
        return False
    return True


def alive(pid: int) -> bool:
    """Whether it still runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def spawn(
    command: list[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    user: str | None,
) -> subprocess.Popen[bytes]:
    """A process that outlives us: own session, nothing inherited but its log."""
    with private_log(log) as output:
        return subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **as_user(user),
        )


def private_log(path: Path) -> BinaryIO:
    """A log file opened for appending, for its owner's eyes: statements with data may be in it."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def as_user(user: str | None) -> dict[str, Any]:
    """`subprocess` arguments that drop root for a user; none when we are not root."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "umask": 0o077}
