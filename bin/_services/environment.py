"""The variables that the services provide, and those of the environment or `.env` that replace them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DATABASE_KEYS = ("DATABASE_URL", "DATABASE_DIRECT_URL")
RABBITMQ_KEYS = ("RABBITMQ_URL", "RABBITMQ_MANAGEMENT_URL", "RABBITMQ_PROMETHEUS_URL")
DATABASE = "coolthing"
VHOST = "coolthing"
SERVICES_ENV = ".run/services.env"
USER = "coolthing"


@dataclass(frozen=True)
class Overrides:
    """What was given from outside; an empty mapping means that the service is ours to run."""

    database: Mapping[str, str]
    rabbitmq: Mapping[str, str]

    def merged(self, own: Mapping[str, str]) -> dict[str, str]:
        """The effective variables: a group given from outside replaces ours whole, never in part."""
        result = dict(own)
        for keys, given in ((DATABASE_KEYS, self.database), (RABBITMQ_KEYS, self.rabbitmq)):
            if given:
                result = {key: value for key, value in result.items() if key not in keys} | dict(given)
        return result


def parse_env(text: str) -> dict[str, str]:
    """`KEY=value` lines as `.env` files have them: comments, quotes and a leading `export` are understood."""
    values: dict[str, str] = {}
    for raw in text.splitlines():
        line = raw.strip().removeprefix("export ").strip()
        key, equals, value = line.partition("=")
        if not equals or line.startswith("#") or not key.strip().isidentifier():
            continue
        values[key.strip()] = _unquoted(value)
    return values


def _unquoted(value: str) -> str:
    stripped = value.strip()
    if stripped[:1] in ("'", '"') and stripped.find(stripped[0], 1) > 0:
        return stripped[1 : stripped.index(stripped[0], 1)]
    # In an unquoted value a comment begins only after a space: `#` may be part of a password.
    return re.split(r"\s#", value, maxsplit=1)[0].strip()


def read_overrides(environ: Mapping[str, str], dotenv: Mapping[str, str]) -> Overrides:
    """The process's environment outranks `.env`; an empty value counts as not set."""
    given = {key: value for key, value in {**dotenv, **environ}.items() if value}
    database = {key: given[key] for key in DATABASE_KEYS if key in given and "DATABASE_URL" in given}
    if database:
        database.setdefault("DATABASE_DIRECT_URL", database["DATABASE_URL"])
    rabbitmq = {key: given[key] for key in RABBITMQ_KEYS if key in given and "RABBITMQ_URL" in given}
    return Overrides(database=database, rabbitmq=rabbitmq)


def load_overrides(clone: Path) -> Overrides:
    """The overrides in force for a command run in this clone now."""
    # What `eval "$(bin/services env)"` has put into this shell was not given from outside.
    own = read_env(clone / SERVICES_ENV)
    environ = {key: value for key, value in os.environ.items() if own.get(key) != value}
    return read_overrides(environ, read_env(clone / ".env"))


def read_env(path: Path) -> dict[str, str]:
    """The variables of a file; none when there is no such file."""
    return parse_env(path.read_text(encoding="utf-8")) if path.is_file() else {}


def effective(own: Mapping[str, str], environ: Mapping[str, str], dotenv: Mapping[str, str]) -> dict[str, str]:
    """What the product's processes read: the environment outranks `.env`, which outranks what the services provide.

    Only what a file names: the rest of the environment is in the shell already.
    """
    named = dict(own) | {key: value for key, value in dotenv.items() if value}
    named |= {key: environ[key] for key in named if environ.get(key)}
    return read_overrides(environ, dotenv).merged(named)


def own_variables(ports: Mapping[str, int], secrets: Mapping[str, str]) -> dict[str, str]:
    """Everything that the private services and the local processes are reached by."""
    database = f"postgres://{USER}:{secrets['postgres']}@127.0.0.1:{ports['postgres']}/{DATABASE}"
    credentials = f"{USER}:{secrets['rabbitmq']}@127.0.0.1"
    return {
        "DATABASE_URL": database,
        "DATABASE_DIRECT_URL": database,
        "RABBITMQ_URL": f"pyamqp://{credentials}:{ports['amqp']}/{VHOST}",
        "RABBITMQ_MANAGEMENT_URL": f"http://{credentials}:{ports['management']}",
        "RABBITMQ_PROMETHEUS_URL": f"http://127.0.0.1:{ports['prometheus']}/metrics",
        "DJANGO_SECRET_KEY": secrets["django"],
        "FIELD_ENCRYPTION_KEYS": secrets["fernet"],
        "WEB_PORT": str(ports["web"]),
        "FLOWER_PORT": str(ports["flower"]),
        "SANDBOX_MTPROTO_PORT": str(ports["sandbox_mtproto"]),
        "SANDBOX_HTTP_PORT": str(ports["sandbox_http"]),
    }


def render(variables: Mapping[str, str], *, prefix: str = "") -> str:
    """Shell-quoted lines, which `.env` readers understand as well."""
    return "".join(f"{prefix}{key}={_quoted(value)}\n" for key, value in variables.items())


def _quoted(value: str) -> str:
    quoted = shlex.quote(value)
    return quoted if quoted.startswith("'") else f"'{quoted}'"
