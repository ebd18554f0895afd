"""Reads the environment strictly: a missing or malformed variable ends the process with a line that names it."""

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, urlsplit

import environ
from cryptography.fernet import Fernet

from outgoing.addresses import Allowed

T = TypeVar("T")
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


class Environment:
    """The process's environment, completed from `files`; earlier files take precedence. Empty values count as unset."""

    def __init__(self, *files: Path) -> None:
        self._env = environ.Env()
        for file in files:
            if file.exists():
                self._read(file)

    def _read(self, file: Path) -> None:
        known = set(self._env.ENVIRON)
        self._env.read_env(str(file), parse_comments=True)
        # An empty value in a file must not hide the next file's value.
        for name in self._env.ENVIRON.keys() - known:
            self._env.ENVIRON[name] = self._env.ENVIRON[name].strip()
            if not self._env.ENVIRON[name]:
                del self._env.ENVIRON[name]

    def text(self, name: str, default: str | None = None) -> str:
        # Read directly: django-environ would treat a value with a leading $ as the name of another variable.
        value = self._env.ENVIRON.get(name, "")
        if not value and default is None:
            fail(name, "is not set; .env.example explains it")
        return value or default or ""

    def text_or(self, name: str, default: Callable[[], str | None]) -> str:
        """Like `text`, with a default that is computed only if it is needed, because it may need other variables."""
        return self.text(name, "") or self.text(name, default())

    def whole(self, name: str, default: int, *, least: int = 0, most: int = 2**31) -> int:
        def cast(value: str) -> int:
            if not least <= int(value) <= most:
                raise ValueError(value)
            return int(value)

        return self._cast(name, cast, str(default), f"a whole number from {least} to {most}")

    def port(self, name: str, default: int, *, least: int = 1) -> int:
        return self.whole(name, default, least=least, most=65535)

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """One of `choices`, in upper or lower case."""

        def cast(value: str) -> str:
            if value.upper() not in choices:
                raise ValueError(value)
            return value.upper()

        return self._cast(name, cast, default, f"one of {', '.join(choices)}")

    def flag(self, name: str, default: bool) -> bool:
        def cast(value: str) -> bool:
            if value.lower() not in TRUE | FALSE:
                raise ValueError(value)
            return value.lower() in TRUE

        return self._cast(name, cast, str(default).lower(), "true or false")

    def listed(self, name: str, default: list[str]) -> list[str]:
        """Comma-separated values."""
        return [part.strip() for part in self.text(name, ",".join(default)).split(",") if part.strip()]

    def hosts(self, name: str) -> list[str]:
        """Comma-separated names, addresses and networks."""
        entries = self.listed(name, [])
        try:
            Allowed.of(entries)
        except ValueError as wrong:
            fail(
                name,
                f"must hold host names, addresses and networks such as 10.1.0.0/16: {str(wrong)!r} is none of these",
            )
        return entries

    def url(self, name: str, schemes: set[str], default: str | None = None) -> str:
        """A URL with one of `schemes` and a host. Errors never show the value, because it contains a password."""
        value = self.text(name, default)
        if value and not _is_address(value, schemes):
            fail(name, f"must look like {min(schemes)}://user:password@host:port/…")
        return value

    def address_from_parts(self, scheme: str, prefix: str, *, port: int, path: str = "/coolthing") -> str | None:
        """The URL of {prefix}_HOST for the user `coolthing` with {prefix}_PASSWORD. None without a host.

        The password is percent-encoded, which docker compose cannot do.
        """
        host = self.text(f"{prefix}_HOST", "")
        if not host:
            return None
        return f"{scheme}://coolthing:{quote(self.text(f'{prefix}_PASSWORD'), safe='')}@{host}:{port}{path}"

    def database(self, name: str, default: str | None = None) -> dict[str, Any]:
        """Django's settings of the PostgreSQL database at this URL."""
        url = self.url(name, {"postgres", "postgresql"}, default)
        return dict(self._env.db_url_config(url))

    def address(self, name: str) -> str:
        """host:port, or empty."""

        def cast(value: str) -> str:
            host, _, port = value.rpartition(":")
            if value and not (host and 0 < int(port) < 65536):
                raise ValueError(value)
            return value

        return self._cast(name, cast, "", "host:port")

    def networks(self, name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """Comma-separated addresses and networks, such as 127.0.0.1 and 10.0.0.0/8."""
        try:
            return [ipaddress.ip_network(part) for part in self.listed(name, [])]
        except ValueError:
            fail(name, "must hold IP addresses or networks such as 10.0.0.0/8, several separated by commas")

    def fernet_keys(self, name: str) -> list[str]:
        keys = self.listed(name, [])
        if not keys:
            fail(name, "is not set; `python -m vault` prints a key")
        try:
            for key in keys:
                Fernet(key)
        except ValueError:
            fail(name, "must hold URL-safe base64 of 32 bytes, several separated by commas")
        return keys

    def _cast(self, name: str, cast: Callable[[str], T], default: str, shape: str) -> T:
        try:
            return cast(self.text(name, default))
        except ValueError:
            fail(name, f"must be {shape}")


def _is_address(value: str, schemes: set[str]) -> bool:
    try:
        parts = urlsplit(value)
        # Reading an invalid port raises ValueError.
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def fail(name: str, reason: str) -> NoReturn:
    """End the process with a line that names the variable; a traceback would hide this line."""
    raise SystemExit(f"configuration: {name} {reason}")
