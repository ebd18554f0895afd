"""Delivers notifications: one module for each kind of channel.

A channel's address is a secret. No transport puts it, or any text that may contain it, into an error or a log line.
"""

from collections.abc import Callable, Mapping

from notifier.channels.addresses import address_problem
from notifier.channels.transports.apprise import notify
from notifier.channels.transports.errors import TransportError
from notifier.channels.transports.file import append_line
from notifier.channels.transports.webhook import post
from notifier.models import Channel

__all__ = ["TransportError", "send"]

Content = Mapping[str, object]

_TRANSPORTS: dict[str, Callable[[str, Content], None]] = {
    Channel.Kind.FILE: append_line,
    Channel.Kind.WEBHOOK: post,
    Channel.Kind.APPRISE: notify,
}


def send(kind: str, address: str, content: Content) -> None:
    """Deliver the content to the address. Raises TransportError."""
    transport = _TRANSPORTS.get(kind)
    if transport is None:
        raise TransportError(f"no transport for channels of kind {kind}", permanent=True)
    if problem := address_problem(kind=kind, address=address):
        raise TransportError(f"{kind}: {problem}", permanent=True)
    transport(address, content)
