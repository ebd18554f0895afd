"""Publishes the outbox to the broker: one relay publishes, others stand by.

The publishing relay has a session advisory lock on the same connection on which it reads and marks rows, so a relay
that lost the lock cannot mark rows. No transaction is open during network calls to the broker. After a crash between
publishing and marking, rows are sent again; their handlers recognise the event by its id.
"""

import gc
from collections.abc import Callable
from threading import Event as ThreadEvent

import psycopg
from django.conf import settings

from messaging.database.listen import connect_direct, retry_delay, subscribe
from messaging.instrumentation import main_loop
from messaging.publishing import outbox
from messaging.publishing.outbox_publisher import POLL_SECONDS, BrokerFailure, OutboxPublisher, single_line
from messaging.publishing.publisher import BROKER_ERRORS, Publisher

# "cool" in ASCII, then a number for this use of an advisory lock.
LOCK_KEY = 0x636F6F6C_00000001
# pg_locks shows a key of 64 bits as two halves (PostgreSQL, "pg_locks"). A role may end its own sessions.
_END_SILENT = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND classid::bigint = %s::bigint >> 32 AND objid::bigint = %s::bigint & 4294967295 AND objsubid = 1
AND state = 'idle' AND state_change < clock_timestamp() - make_interval(secs => %s)
"""


class Relay:
    """`run()` works until `stop` is set. `show` is called with a line whenever the relay's activity changes."""

    def __init__(self, stop: ThreadEvent, show: Callable[[str], None]) -> None:
        self._stop = stop
        self._show = show
        self._shown = ""

    def run(self) -> None:
        # Objects that exist now are permanent: garbage collection of them would delay events by a tenth of a second.
        gc.collect()
        gc.freeze()
        attempt = 0
        while not self._stop.is_set():
            main_loop.turned()
            try:
                with connect_direct("coolthing-relay") as database:
                    attempt = 0
                    if self._await_lock(database):
                        self._publish_until_stopped(database)
            except psycopg.OperationalError as problem:
                attempt += 1
                self._report(f"waiting for the database: {single_line(problem)}")
                self._stop.wait(retry_delay(attempt))

    def _await_lock(self, database: psycopg.Connection) -> bool:
        while not self._stop.is_set():
            main_loop.turned()
            row = database.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_KEY]).fetchone()
            if row is not None and row[0]:
                return True
            self._report("standing by: another relay publishes")
            if self._end_silent(database):
                self._report("the relay that published was silent: its session has been ended")
            self._stop.wait(POLL_SECONDS)
        return False

    def _end_silent(self, database: psycopg.Connection) -> bool:
        """End the session of a relay that hangs, and with it the lock. Returns whether there was one.

        If that relay resumes, the messages that it sends are recognised by their ids, and it cannot mark rows any more.
        """
        return bool(database.execute(_END_SILENT, [LOCK_KEY, LOCK_KEY, settings.RELAY_SILENT_SECONDS]).fetchall())

    def _publish_until_stopped(self, database: psycopg.Connection) -> None:
        subscribe(database, [outbox.NOTIFY_CHANNEL])
        # If the database crashes and loses a mark, the row is sent again, and its handlers recognise the event.
        database.execute("SET synchronous_commit = off")
        outbox_publisher = OutboxPublisher(database, self._stop, self._report)
        attempt = 0
        while not self._stop.is_set():
            main_loop.turned()
            try:
                with Publisher(settings.RABBITMQ_URL) as publisher:
                    self._report("publishing")
                    attempt = 0
                    outbox_publisher.run(publisher)
            except (BrokerFailure, *BROKER_ERRORS) as problem:
                attempt += 1
                self._report(f"waiting for the broker: {single_line(problem)}")
                self._stop.wait(retry_delay(attempt))
                # Raises if the connection with the lock is lost: another relay may be publishing already.
                database.execute("SELECT 1")

    def _report(self, line: str) -> None:
        if line != self._shown:
            self._shown = line
            self._show(line)
