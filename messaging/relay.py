"""From the outbox to the broker: one relay publishes, others stand by.

The publishing relay holds a session advisory lock on the very connection that it reads and marks rows with, so a relay
that lost the lock cannot mark anything. No transaction is open while it talks to the broker. A crash between publishing
and marking sends rows again; their handlers know the event by its id.
"""

import logging
from collections import Counter
from collections.abc import Callable
from threading import Event as ThreadEvent

import psycopg
from django.conf import settings

from messaging import outbox
from messaging.listen import connect_direct, retry_delay, subscribe
from messaging.publisher import BROKER_ERRORS, Outcome, Publisher, Row, is_refusal, unfit_reason

log = logging.getLogger(__name__)

# "cool" in ASCII, then a number for this use of an advisory lock.
LOCK_KEY = 0x636F6F6C_00000001
# Rows in flight at once: enough to hide the round trip, few enough to be resent lightly.
BATCH = 500
# A lost NOTIFY delays a row by this much at most; a relay standing by takes over within it.
POLL_SECONDS = 1.0
# A nack may be a queue without a leader for a moment; a row that is nacked this often is parked.
NACKS_BEFORE_PARKING = 5

_WAITING = """
    SELECT id, event_id, exchange, routing_key, body, headers FROM messaging_outboxevent
    WHERE published_at IS NULL AND parked_at IS NULL ORDER BY id LIMIT %s
"""
_MARK = "UPDATE messaging_outboxevent SET published_at = now() WHERE id = ANY(%s)"
_PARK = "UPDATE messaging_outboxevent SET parked_at = now(), parked_reason = %s WHERE id = %s"


class BrokerTrouble(Exception):
    """The broker cannot be used now; the text says why."""


class Relay:
    """`run()` works until `stop` is set. `say` gets one line whenever what it does, or waits for, changes."""

    def __init__(self, stop: ThreadEvent, say: Callable[[str], None]) -> None:
        self._stop = stop
        self._say = say
        self._said = ""
        self._nacks: Counter[int] = Counter()
        # After an error that may be one row's fault, so many rows are sent one at a time to find it.
        self._suspects = 0

    def run(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            try:
                with connect_direct("coolthing-relay") as database:
                    attempt = 0
                    if self._await_lock(database):
                        self._lead(database)
            except psycopg.OperationalError as problem:
                attempt += 1
                self._report(f"waiting for the database: {_one_line(problem)}")
                self._stop.wait(retry_delay(attempt))

    def _await_lock(self, database: psycopg.Connection) -> bool:
        while not self._stop.is_set():
            row = database.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_KEY]).fetchone()
            if row is not None and row[0]:
                return True
            self._report("standing by: another relay publishes")
            self._stop.wait(POLL_SECONDS)
        return False

    def _lead(self, database: psycopg.Connection) -> None:
        subscribe(database, [outbox.NOTIFY_CHANNEL])
        attempt = 0
        while not self._stop.is_set():
            try:
                with Publisher(settings.RABBITMQ_URL) as publisher:
                    self._report("publishing")
                    attempt = 0
                    self._pump(database, publisher)
            except (BrokerTrouble, *BROKER_ERRORS) as problem:
                attempt += 1
                self._report(f"waiting for the broker: {_one_line(problem)}")
                self._stop.wait(retry_delay(attempt))
                # Raises if the lock's connection has gone meanwhile: another relay may be publishing already.
                database.execute("SELECT 1")

    def _pump(self, database: psycopg.Connection, publisher: Publisher) -> None:
        while not self._stop.is_set():
            if publisher.blocked_reason:
                self._report(f"waiting for the broker: it takes no messages now: {publisher.blocked_reason}")
                publisher.keep_alive()
                self._stop.wait(POLL_SECONDS)
                continue
            rows = self._fetch(database)
            if rows:
                self._send(database, publisher, rows)
                continue
            self._report("publishing")
            publisher.keep_alive()
            for _ in database.notifies(timeout=POLL_SECONDS, stop_after=1):
                pass

    def _fetch(self, database: psycopg.Connection) -> list[Row]:
        """The oldest rows that wait. Always from the start: a lower id may commit after a higher one."""
        rows = database.execute(_WAITING, [1 if self._suspects else BATCH]).fetchall()
        return [Row(*values) for values in rows]

    def _send(self, database: psycopg.Connection, publisher: Publisher, rows: list[Row]) -> None:
        fit = []
        for row in rows:
            reason = unfit_reason(row)
            if reason:
                self._park(database, row, reason)
            else:
                fit.append(row)
        if not fit:
            return
        outcome = publisher.publish(fit)
        if outcome.confirmed:
            database.execute(_MARK, [outcome.confirmed])
        self._settle_nacks(database, fit, outcome)
        if outcome.error is not None:
            self._settle_error(database, fit, outcome)
        elif self._suspects:
            self._suspects -= 1

    def _settle_nacks(self, database: psycopg.Connection, rows: list[Row], outcome: Outcome) -> None:
        for row_id in outcome.confirmed:
            self._nacks.pop(row_id, None)
        self._nacks.update(outcome.nacked)
        for row in rows:
            if self._nacks[row.id] >= NACKS_BEFORE_PARKING:
                self._park(database, row, f"the broker refused it {NACKS_BEFORE_PARKING} times (nack)")
                del self._nacks[row.id]
        if outcome.nacked and outcome.error is None:
            self._stop.wait(retry_delay(max(self._nacks.values(), default=1)))

    def _settle_error(self, database: psycopg.Connection, rows: list[Row], outcome: Outcome) -> None:
        """The connection is lost. If one row did it, it is found by sending the next ones singly, and parked."""
        undecided = [row for row in rows if row.id not in {*outcome.confirmed, *outcome.nacked}]
        culprits = [row for row in undecided if is_refusal(outcome.error, row)]
        if len(rows) == 1 and culprits:
            self._park(database, rows[0], f"the broker refused it: {_one_line(outcome.error)}")
        elif culprits:
            self._suspects = len(undecided)
        code = getattr(outcome.error, "reply_code", 0)
        hint = " (run manage.py setup_broker)" if code == 404 and not culprits else ""
        raise BrokerTrouble(f"{_one_line(outcome.error)}{hint}") from outcome.error

    def _park(self, database: psycopg.Connection, row: Row, reason: str) -> None:
        database.execute(_PARK, [reason, row.id])
        log.error("event %s (%s, %s) is parked: %s", row.event_id, row.exchange, row.routing_key, reason)

    def _report(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._say(line)


def _one_line(problem: object) -> str:
    return " ".join(str(problem).split()) or type(problem).__name__
