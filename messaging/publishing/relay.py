"""From the outbox to the broker: one relay publishes, others stand by.

The publishing relay holds a session advisory lock on the very connection that it reads and marks rows with, so a relay
that lost the lock cannot mark anything. No transaction is open while it talks to the broker. A crash between publishing
and marking sends rows again; their handlers know the event by its id.
"""

import gc
from collections.abc import Callable
from threading import Event as ThreadEvent

import psycopg
from django.conf import settings

from messaging.database.listen import connect_direct, retry_delay, subscribe
from messaging.instrumentation import main_loop
from messaging.publishing import outbox
from messaging.publishing.outbox_publisher import POLL_SECONDS, BrokerTrouble, Pump, one_line
from messaging.publishing.publisher import BROKER_ERRORS, Publisher

# "cool" in ASCII, then a number for this use of an advisory lock.
LOCK_KEY = 0x636F6F6C_00000001
# pg_locks shows a key of 64 bits as two halves (PostgreSQL, "pg_locks"). Sessions of the same role may be ended.
_END_SILENT = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND classid::bigint = %s::bigint >> 32 AND objid::bigint = %s::bigint & 4294967295 AND objsubid = 1
AND state = 'idle' AND state_change < clock_timestamp() - make_interval(secs => %s)
"""


class Relay:
    """`run()` works until `stop` is set. `say` gets one line whenever what it does, or waits for, changes."""

    def __init__(self, stop: ThreadEvent, say: Callable[[str], None]) -> None:
        self._stop = stop
        self._say = say
        self._said = ""

    def run(self) -> None:
        # What is loaded by now stays: looking at it for garbage would delay events by a tenth of a second.
        gc.collect()
        gc.freeze()
        attempt = 0
        while not self._stop.is_set():
            main_loop.turned()
            try:
                with connect_direct("coolthing-relay") as database:
                    attempt = 0
                    if self._await_lock(database):
                        self._lead(database)
            except psycopg.OperationalError as problem:
                attempt += 1
                self._report(f"waiting for the database: {one_line(problem)}")
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
        """A relay that is frozen keeps its session, and with it the lock. What it sends when it thaws is known by its
        ids; it can mark nothing any more."""
        return bool(database.execute(_END_SILENT, [LOCK_KEY, LOCK_KEY, settings.RELAY_SILENT_SECONDS]).fetchall())

    def _lead(self, database: psycopg.Connection) -> None:
        subscribe(database, [outbox.NOTIFY_CHANNEL])
        # A mark that a crash of the database loses sends its row again, and its handlers know the event.
        database.execute("SET synchronous_commit = off")
        pump = Pump(database, self._stop, self._report)
        attempt = 0
        while not self._stop.is_set():
            main_loop.turned()
            try:
                with Publisher(settings.RABBITMQ_URL) as publisher:
                    self._report("publishing")
                    attempt = 0
                    pump.run(publisher)
            except (BrokerTrouble, *BROKER_ERRORS) as problem:
                attempt += 1
                self._report(f"waiting for the broker: {one_line(problem)}")
                self._stop.wait(retry_delay(attempt))
                # Raises if the lock's connection has gone meanwhile: another relay may be publishing already.
                database.execute("SELECT 1")

    def _report(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._say(line)
