"""Parses a proxy's settings. Does not import Telethon, because forms use it to check an operator's input."""

import binascii
import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

KINDS = ("socks5", "socks4", "http")
FORMS = (
    "enter a proxy as socks5://user:password@host:port, socks4://… or http://…, and an MTProxy as "
    "mtproxy://secret@host:port or as its link, https://t.me/proxy?server=…&port=…&secret=…"
)
# Bytes of an MTProxy's secret, without the byte in front that marks its kind.
SECRET_BYTES = 16


@dataclass(frozen=True)
class Proxy:
    """`kind` is socks5, socks4, http or mtproxy; `secret` (hexadecimal) is an MTProxy's."""

    kind: str
    host: str
    port: int
    username: str = ""
    password: str = ""
    secret: str = ""

    @property
    def url(self) -> str:
        """The proxy in the form that `parse_proxy` reads."""
        who = self.secret if self.kind == "mtproxy" else f"{quote(self.username, '')}:{quote(self.password, '')}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{who}@{host}:{self.port}"


def parse_proxy(url: str) -> Proxy | None:
    """Parse a proxy's URL; None for an empty text. Raises ValueError with a text that repeats no part of the input."""
    url = url.strip()
    if not url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(FORMS) from None
    if parts.scheme == "mtproxy":
        return _mtproxy(parts.hostname, port, unquote(parts.username or ""))
    if (parts.scheme, parts.netloc) == ("tg", "proxy") or parts.netloc in ("t.me", "telegram.me"):
        given = {name: values[0] for name, values in parse_qs(parts.query).items()}
        number = given.get("port", "")
        return _mtproxy(given.get("server"), int(number) if number.isdigit() else None, given.get("secret", ""))
    kind = parts.scheme.removesuffix("h")
    if kind not in KINDS or not parts.hostname or not port:
        raise ValueError(FORMS)
    return Proxy(kind, parts.hostname, port, unquote(parts.username or ""), unquote(parts.password or ""))


def _mtproxy(host: str | None, port: int | None, secret: str) -> Proxy:
    if not host or not port:
        raise ValueError(FORMS)
    key = _bytes(secret)
    if key[:1] == b"\xee" and len(key) > SECRET_BYTES:
        raise ValueError("CoolThing does not support fake TLS, which this MTProxy requires (its secret begins with ee)")
    if key[:1] == b"\xdd" and len(key) == SECRET_BYTES + 1:
        key = key[1:]
    if len(key) != SECRET_BYTES:
        raise ValueError("an MTProxy's secret has 32 hexadecimal digits, or 34 that begin with dd")
    return Proxy("mtproxy", host, port, secret=key.hex())


def _bytes(secret: str) -> bytes:
    if re.fullmatch(r"([0-9a-fA-F]{2})+", secret):
        return bytes.fromhex(secret)
    try:
        return urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    except (binascii.Error, ValueError):
        return b""
