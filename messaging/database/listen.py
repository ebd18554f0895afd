"""LISTEN on PostgreSQL, over a connection of its own."""

import logging
import random
from collections.abc import Callable, Sequence
from threading import Event as ThreadEvent
from typing import Any

import psycopg
from django.conf import settings
from psycopg import sql

log = logging.getLogger(__name__)

# The longest time, in seconds, until `listen` notices that `stop` is set.
_WAKE_SECONDS = 0.5
_RETRY_FIRST_SECONDS, _RETRY_MOST_SECONDS = 0.2, 10.0


def connect_direct(application_name: str) -> psycopg.Connection:
    """An autocommit connection that bypasses any pooler. A lost peer is noticed within about half a minute."""
    link: dict[str, Any] = settings.DATABASE_LINK
    return psycopg.connect(settings.DATABASE_DIRECT_URL, autocommit=True, application_name=application_name, **link)


def subscribe(connection: psycopg.Connection, channels: Sequence[str]) -> None:
    for channel in channels:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))


def retry_delay(attempt: int) -> float:
    """The seconds to wait before attempt number `attempt` (from 1): doubled each time, with jitter, at most ten."""
    return float(min(_RETRY_MOST_SECONDS, _RETRY_FIRST_SECONDS * 2 ** min(attempt - 1, 10)) * random.uniform(0.5, 1))


def listen(channels: Sequence[str], on_notify: Callable[[str, str], None], stop: ThreadEvent) -> None:
    """Call `on_notify(channel, payload)` for each notification until `stop` is set; blocks.

    After each (re)connect `on_notify(channel, "")` is called once for every channel: notifications that were sent while
    there was no connection are lost, so the caller must check for changes itself.
    """
    attempt = 0
    while not stop.is_set():
        try:
            with connect_direct("coolthing-listen") as connection:
                subscribe(connection, channels)
                attempt = 0
                for channel in channels:
                    on_notify(channel, "")
                while not stop.is_set():
                    for note in connection.notifies(timeout=_WAKE_SECONDS):
                        on_notify(note.channel, note.payload)
        except psycopg.OperationalError as problem:
            attempt += 1
            log.warning("listening on %s stopped, trying again: %s", ", ".join(channels), str(problem).strip())
            stop.wait(retry_delay(attempt))
