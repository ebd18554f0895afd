"""Everything that a demo leaves behind or shows while it runs, as text, and the secrets that must not be in it."""

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from tests.support import ROOT
from vault.keys import cipher

DEMO_DIR = ROOT / ".run" / "demo"
POLL_SECONDS = 1.0
# Shorter texts ("Hello!") may be in a log by chance.
TELLING_TEXT = 16
SECRET_VARIABLES = (
    "TELEGRAM_API_HASH",
    "OPENAI_API_KEY",
    "DJANGO_SECRET_KEY",
    "FIELD_ENCRYPTION_KEYS",
    "METRICS_TOKEN",
)
SECRET_URLS = ("DATABASE_URL", "DATABASE_DIRECT_URL", "RABBITMQ_URL", "RABBITMQ_MANAGEMENT_URL", "FLOWER_BROKER_API")


@dataclass
class Played:
    """A demo that has ended: its output, its environment, and the tasks that Flower showed meanwhile."""

    code: int
    output: str
    environment: Mapping[str, str]
    flower: dict[str, Any] = field(default_factory=dict)

    @property
    def database(self) -> "psycopg.Connection[Any]":
        url = urlsplit(self.environment["DATABASE_DIRECT_URL"])._replace(scheme="postgresql")
        return psycopg.connect(url.geturl())

    def logs(self) -> Iterator[tuple[str, str]]:
        """What its processes printed. The sandbox's is not ours: it plays Telegram."""
        for log in sorted((DEMO_DIR / "logs").glob("*.log")):
            if log.stem != "sandbox":
                yield log.name, log.read_text(errors="replace")
        yield "the demo's own output", self.output

    def rows(self) -> Iterator[tuple[str, str]]:
        """Every row of every table, as text."""
        with self.database as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            for (table,) in tables:
                found = connection.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table)))
                yield f"table {table}", "\n".join(text for (text,) in found)

    def secrets(self) -> dict[str, str]:
        """Secret → what it is."""
        found = {self.environment[name]: name for name in SECRET_VARIABLES if self.environment.get(name)}
        for name in SECRET_URLS:
            password = urlsplit(self.environment.get(name, "")).password
            if password:
                found |= {password: f"the password of {name}", unquote(password): f"the password of {name}"}
        found[self.environment["FLOWER_BASIC_AUTH"].partition(":")[2]] = "Flower's password"
        with self.database as connection:
            for (token,) in connection.execute("SELECT phone FROM bots_bot"):
                found[_plain(token).removeprefix("+")] = "a phone"
            for (token,) in connection.execute("SELECT data FROM bots_botsession"):
                found |= dict.fromkeys(_key_forms(_plain(token)), "a session's key")
        return {secret: what for secret, what in found.items() if len(secret) >= 8}

    def texts(self) -> set[str]:
        """What was said and heard, as far as it would be recognised in a log."""
        query = "SELECT text FROM bots_delivery UNION SELECT text FROM parser_hit UNION SELECT text FROM leads_message"
        with self.database as connection:
            return {text for (text,) in connection.execute(query) if len(text) >= TELLING_TEXT}


def play(*options: str, timeout: float) -> Played:
    """Run `manage.py demo` to its end; meanwhile keep what Flower knows of the tasks."""
    demo = subprocess.Popen(
        [sys.executable, "manage.py", "demo", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    played = Played(-1, "", {})
    deadline = time.monotonic() + timeout
    try:
        while played.code == -1 and time.monotonic() < deadline:
            try:
                played.output, _ = demo.communicate(timeout=POLL_SECONDS)
                played.code = demo.returncode
            except subprocess.TimeoutExpired:
                _look(demo.pid, played)
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(60)
    return played


def _look(pid: int, played: Played) -> None:
    flower = next((child for child in _children(pid) if b"flower" in _read(child, "cmdline")), None)
    if flower is None:
        return
    if not played.environment:
        pairs = _read(flower, "environ").decode(errors="replace").split("\0")
        played.environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if played.environment:
        played.flower |= _tasks(played.environment)


def _tasks(environment: Mapping[str, str]) -> dict[str, Any]:
    """By task id; empty while Flower is not up yet."""
    request = urllib.request.Request(f"http://127.0.0.1:{environment['FLOWER_PORT']}/api/tasks?limit=20000")
    login = b64encode(environment["FLOWER_BASIC_AUTH"].encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return dict(json.load(answer))
    except (OSError, urllib.error.URLError, ValueError):
        return {}


def _children(pid: int) -> list[int]:
    return [int(child) for child in _read(pid, f"task/{pid}/children").split()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _plain(token: str) -> str:
    return cipher().decrypt(token.encode()).decode() if token else ""


def _key_forms(session: str) -> list[str]:
    """The key as a log could show it: in base64, in hexadecimal, as Python's bytes."""
    key = b64decode(json.loads(session)["key"])
    return [b64encode(key).decode(), key.hex(), re.sub(r"^b['\"]|['\"]$", "", repr(key))]
