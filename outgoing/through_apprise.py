"""`python -m outgoing.through_apprise`: sends one notification through Apprise, in a process of its own.

Apprise decides by itself whom it connects to, how long it waits and how much it reads, and it logs what it was given.
Here every name that it looks up is checked, and what was checked is what is connected to; nothing is logged; and the
process that started this one ends it at its deadline. Standard input has a Wish as JSON, standard output an Outcome as
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
from outgoing.resolving import Lookup, OutgoingRefused, guarded_lookup
from outgoing.services import options_problem, schema_of, service_problem

# Bytes of memory; Apprise with all its services has 0.06 GB, and an answer may be as long as its sender likes.
MOST_MEMORY = 1_000_000_000
# Seconds after which the process ends by itself, should nobody end it.
LONGEST_SECONDS = 60
# Seconds that Apprise waits for a connection, and for each piece of an answer.
WAIT_SECONDS = 10.0
_UNREADABLE = "Apprise cannot use this address: look how those of its service are written"


@dataclass(frozen=True)
class Wish:
    address: str
    title: str
    body: str
    allowed_hosts: list[str]


@dataclass
class Outcome:
    """`problem`: why the address is no use; `refused`: it leads where nobody may connect to; `status`: the last HTTP
    answer, 0 for none."""

    sent: bool = False
    problem: str = ""
    refused: bool = False
    status: int = 0


@dataclass
class Watch:
    """What became of the process's requests."""

    refused: bool = False
    statuses: list[int] = field(default_factory=list)

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
            self.statuses.append(answer.status_code)
            return answer

        return watched


def deliver(wish: Wish, watch: Watch) -> Outcome:
    if problem := service_problem(wish.address, Allowed.of(wish.allowed_hosts)):
        return Outcome(problem=problem)
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
        return Outcome(problem=problem)
    if not read or read["schema"] != schema_of(wish.address):
        return Outcome(problem=_UNREADABLE)
    service = apprise.Apprise.instantiate(read, asset=asset)
    if service is None:
        return Outcome(problem=_UNREADABLE)
    sender = apprise.Apprise(asset=asset)
    sender.add(service)
    sent = bool(sender.notify(title=wish.title, body=wish.body, body_format=apprise.NotifyFormat.TEXT))
    return Outcome(sent=sent, refused=watch.refused, status=watch.statuses[-1] if watch.statuses else 0)


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
        outcome = Outcome()
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
