"""Finds the client's address, for the limits of logins and of API requests."""

import ipaddress
import logging
import re
from collections.abc import Sequence
from functools import cache

from django.conf import settings
from django.http import HttpRequest

log = logging.getLogger(__name__)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# A provider gives each customer a network of this size, so a client can use any address in it.
IPV6_PREFIX = 64
_WITH_PORT = re.compile(r"^(?:\[([^\]]*)\]|([^:]*))(?::\d{1,5})?$")


def client_address(request: HttpRequest) -> str | None:
    """The client's address, or for IPv6 its /64 network. None if the web server does not know it.

    `X-Forwarded-For` counts only if TRUSTED_PROXIES contains the peer. It is read from its end, where trusted proxies
    append addresses. The client may have sent any text before that.
    """
    client = parsed(request.META.get("REMOTE_ADDR", ""))
    trusted, forwarded = settings.TRUSTED_PROXIES, request.META.get("HTTP_X_FORWARDED_FOR", "")
    if forwarded and settings.HTTPS and not trusted:
        _warn_once()
    for hop in reversed(forwarded.split(",")):
        if client is None or not is_in(client, trusted):
            break
        before = parsed(hop)
        if before is None:
            break
        client = before
    return None if client is None else str(counting_address(client))


@cache
def _warn_once() -> None:
    log.warning(
        "requests come through a proxy, but TRUSTED_PROXIES is empty: failed logins of one client lock out all clients"
    )


def counting_address(address: Address) -> Address:
    """The address or network under which requests from this address are counted."""
    if address.version == 4:
        return address
    return ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False).network_address


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def parsed(text: str) -> Address | None:
    """An address, with or without a port: some proxies write 192.0.2.1:5000 or [2001:db8::1]:5000."""
    host = _WITH_PORT.sub(r"\1\2", text.strip())
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
