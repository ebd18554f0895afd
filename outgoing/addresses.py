"""Which addresses of the network are the public Internet's. Pure, free of Django.

Sources: IANA's special-purpose registries, https://www.iana.org/assignments/iana-ipv4-special-registry and
https://www.iana.org/assignments/iana-ipv6-special-registry. Written out, because `ipaddress` answers differently from
one Python to the next.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_V4_CLOSED = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carriers' NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local: the clouds' metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# Of IPv6 only this part is global unicast. Outside of it are loopback, IPv4-mapped and IPv4-compatible addresses, NAT64
# (64:ff9b::/96 and 64:ff9b:1::/48), unique local, link-local, site-local and multicast ones.
_V6_OPEN = IPv6Network("2000::/3")
_V6_CLOSED = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")


def is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _V4_CLOSED)
    if address.scope_id is not None:
        return False
    return address in _V6_OPEN and not any(address in network for network in _V6_CLOSED)


def plain_host(host: str) -> str:
    """The one way in which a host is written here: lower case, no brackets, no dot at the end."""
    return host.strip().strip("[]").rstrip(".").lower()


def literal(host: str) -> Address | None:
    """The address that `host` is; None for a name."""
    try:
        return ip_address(plain_host(host))
    except ValueError:
        return None


@dataclass(frozen=True)
class Allowed:
    """What an administrator allows beside the public Internet: networks, and names with whatever they resolve to."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> "Allowed":
        """Of names, addresses and networks (10.1.0.0/16). Raises ValueError with the entry that is none of them."""
        names, networks = set(), []
        for entry in entries:
            try:
                networks.append(ip_network(entry.strip().strip("[]")))
            except ValueError:
                name = plain_host(entry)
                # Digits and dots alone are a mistyped address.
                if not _NAME.fullmatch(name) or re.fullmatch(r"[\d.]+", name):
                    raise ValueError(entry) from None
                names.add(name)
        return cls(frozenset(names), tuple(networks))

    def may_connect(self, host: str, address: Address) -> bool:
        """Whether `address`, which `host` resolved to, may be connected to."""
        return is_public(address) or plain_host(host) in self.names or any(address in net for net in self.networks)
