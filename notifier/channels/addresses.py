"""Checks a channel's address, for the panel, for seed files and for the transports.

The reasons never contain the address, because it is a secret.
"""

from urllib.parse import urlsplit

from notifier.models import Channel
from outgoing.allowed import allowed_hosts
from outgoing.resolving import OutgoingRefused, check_literal
from outgoing.services import service_problem

# The most bytes of a file's name in common file systems.
LONGEST_NAME = 255
_NO_FILE = (
    "enter the name of a file in NOTIFICATION_FILES_DIR, such as team.jsonl, without folders and without a dot at the "
    "beginning"
)
_NO_URL = "enter the URL of the webhook, which begins with http:// or https://"


def address_problem(*, kind: str, address: str) -> str:
    """Why a channel of this kind cannot have this address; "" if it can.

    Nothing is resolved here: the host may still resolve to an address that is not allowed.
    """
    if kind == Channel.Kind.FILE:
        return "" if is_plain_name(address) else _NO_FILE
    if kind == Channel.Kind.WEBHOOK:
        return _url_problem(address)
    if kind == Channel.Kind.APPRISE:
        return service_problem(address, allowed_hosts())
    return f"there is no kind of channel called {kind}"


def is_plain_name(name: str) -> bool:
    """Whether this is a visible file name without a path."""
    if not name or name.startswith(".") or set(name) & set("/\\") or not name.isprintable():
        return False
    return len(name.encode()) <= LONGEST_NAME


def _url_problem(url: str) -> str:
    try:
        parts = urlsplit(url)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError:
        return _NO_URL
    if scheme not in ("http", "https") or not host:
        return _NO_URL
    try:
        check_literal(host, allowed_hosts())
    except OutgoingRefused as refused:
        return str(refused)
    return ""
