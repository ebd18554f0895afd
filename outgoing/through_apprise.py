"""`python -m outgoing.through_apprise`: sends one notification through Apprise, in a process of its own.

Apprise decides by itself whom it connects to, how long it waits and how much it reads, and it logs what it was given.
Here every name that it looks up is checked, and what was checked is what is connected to; nothing is logged; and the
process that started this one ends it at its deadline. Standard input has a Wish as JSON, standard output its outcome as
JSON, which never repeats the address.
"""

import json
import logging
import resource
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from outgoing.addresses import Allowed
from outgoing.fitting import fitted, shortened
from outgoing.resolving import Lookup, OutgoingRefused, guarded_lookup
from outgoing.services import SEVERAL, options_problem, schema_of, service_problem

# Bytes of memory; Apprise with all its services has 0.06 GB, and an answer may be as long as its sender likes.
MOST_MEMORY = 1_000_000_000
# Seconds after which the process ends by itself, should nobody end it.
LONGEST_SECONDS = 60
# Seconds that Apprise waits for a connection, and for each piece of an answer.
WAIT_SECONDS = 10.0
# Characters that Apprise may add: line breaks, and marks of HTML and Markdown around a title in front of the body.
_ADDED = 20
# What `outgoing.retry_after` reads.
_WAITS = ("retry-after", "retry-after-ms", "date")
_IN_CLEAR = "the password would be sent in clear: write mailtos://, or add mode=starttls or mode=ssl"
_UNREADABLE = "Apprise cannot use this address: look up how addresses of this service are written"


@dataclass(frozen=True)
class Wish:
    address: str
    title: str
    body: str
    link: str
    allowed_hosts: list[str]


@dataclass
class NotificationOutcome:
    """`problem`: why the address is no use; `refused`: it leads where nobody may connect to; `status`: the last HTTP
    answer, 0 for none; `waits`: those of its headers that ask for a wait."""

    sent: bool = False
    problem: str = ""
    refused: bool = False
    status: int = 0
    waits: dict[str, str] = field(default_factory=dict)


@dataclass
class Watch:
    """What became of the process's requests."""

    refused: bool = False
    status: int = 0
    waits: dict[str, str] = field(default_factory=dict)

    def lookup(self, lookup: Lookup, allowed: Allowed) -> Lookup:
        guarded = guarded_lookup(lookup, allowed)

        def getaddrinfo(*args: Any, **kwargs: Any) -> list[tuple[Any, ...]]:
            try:
                return guarded(*args, **kwargs)
            except OutgoingRefused:
                self.refused = True
                raise

        return getaddrinfo

    def send(self, send: Any) -> Any:
        """Around `requests.Session.send`: no redirects, and bounded waits, whatever the plugin thinks."""

        def watched(session: Any, request: Any, **options: Any) -> Any:
            answer = send(session, request, **{**options, "allow_redirects": False, "timeout": WAIT_SECONDS})
            self.status = answer.status_code
            self.waits = {name: answer.headers[name] for name in _WAITS if name in answer.headers}
            return answer

        return watched


def deliver(wish: Wish, watch: Watch) -> NotificationOutcome:
    if problem := service_problem(wish.address, Allowed.of(wish.allowed_hosts)):
        return NotificationOutcome(problem=problem)
    import apprise
    from apprise.plugins import url_to_dict

    asset = apprise.AppriseAsset(
        app_id="CoolThing",
        app_desc="CoolThing",
        app_url="",
        async_mode=False,
        http_redirects=False,
        plugin_paths=[],
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        pgp_autogen=False,
        pem_autogen=False,
        allow_templates=False,
        secure_logging=True,
        service_timeout=0,
    )
    read = url_to_dict(wish.address)
    # Looked at once more as Apprise itself has read it.
    if read and (problem := options_problem(schema_of(wish.address), read.get("qsd", {}))):
        return NotificationOutcome(problem=problem)
    if not read or read["schema"] != schema_of(wish.address):
        return NotificationOutcome(problem=_UNREADABLE)
    service = apprise.Apprise.instantiate(read, asset=asset)
    if service is None:
        return NotificationOutcome(problem=_UNREADABLE)
    if len(service) > 1:
        return NotificationOutcome(problem=SEVERAL)
    if service.password and getattr(service, "secure_mode", "") == "insecure":
        return NotificationOutcome(problem=_IN_CLEAR)
    sender = apprise.Apprise(asset=asset)
    sender.add(service)
    title, body = _fitting(wish, service)
    sent = bool(sender.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT))
    return NotificationOutcome(sent=sent, refused=watch.refused, status=watch.status, waits=watch.waits)


def _fitting(wish: Wish, service: Any) -> tuple[str, str]:
    """Title and body that the service takes: most refuse longer ones. Where there are no titles, Apprise puts the
    title in front of the body; some services count both."""
    together = not service.title_maxlen or service.overflow_amalgamate_title
    title = shortened(wish.title, service.title_maxlen or len(wish.title))
    room = service.body_maxlen - _ADDED - (len(title) if together else 0)
    return title, fitted(wish.body, wish.link, room)


def main() -> None:
    logging.disable(logging.CRITICAL + 1)
    # Not every system has this limit.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    signal.alarm(LONGEST_SECONDS)
    wish = Wish(**json.load(sys.stdin))
    import requests

    watch = Watch()
    socket.getaddrinfo = watch.lookup(socket.getaddrinfo, Allowed.of(wish.allowed_hosts))
    # A process of its own, so nobody else's requests are meant.
    requests.Session.send = watch.send(requests.Session.send)  # type: ignore[method-assign]
    try:
        outcome = deliver(wish, watch)
    except Exception:
        # Its text may repeat the address.
        outcome = NotificationOutcome()
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
