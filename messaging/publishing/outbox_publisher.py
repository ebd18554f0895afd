"""The work of the publishing relay on one broker connection: send rows, read confirms, mark rows in the database."""

import json
import select
import time
from collections.abc import Callable
from threading import Event as ThreadEvent

import psycopg

from messaging.database.listen import retry_delay
from messaging.instrumentation import main_loop, telemetry
from messaging.messages import OutboxRow
from messaging.publishing.publisher import BROKER_ERRORS, Publisher, is_refusal
from messaging.publishing.unpublishable import mark_unpublishable

# The maximum number of rows that are read, written to the socket and marked together.
BATCH = 500
# The maximum number of unconfirmed rows. While the broker handles one batch, the relay prepares the next and marks the
# previous one.
WINDOW = 2 * BATCH
# The longest delay (seconds) of a row after a lost NOTIFY, and of a takeover by another relay.
POLL_SECONDS = 1.0
# A row's id is assigned before its commit, so a row may appear behind rows that were read already. Each query goes back
# by this many ids, and once in each poll to the first waiting row.
REACH = 200
# A queue that has no leader for a moment causes a nack, so a row becomes unpublishable only after this many nacks.
MAX_NACKS = 5
# How long (seconds) a relay that is being stopped waits for confirms. Unconfirmed rows are sent again later.
_LAST_CONFIRMS_SECONDS = 2.0

_WAITING = """
    SELECT id, event_id::text, exchange, routing_key, body, headers::text FROM messaging_outboxevent
    WHERE published_at IS NULL AND parked_at IS NULL AND id > %s AND id <> ALL(%s) ORDER BY id LIMIT %s
"""
_MARK = "UPDATE messaging_outboxevent SET published_at = now() WHERE id = ANY(%s)"
_MARK_RETURNING = f"{_MARK} RETURNING id, created_at"


class BrokerFailure(Exception):
    """The broker cannot be used now. The text is the reason."""


class OutboxPublisher:
    """Sends the outbox.

    `run` works until the relay is stopped or it raises BrokerFailure; then it may be run again on a new connection.
    Rows that are unconfirmed, or that wait for their next attempt after a nack, delay no other rows.
    """

    def __init__(self, database: psycopg.Connection, stop: ThreadEvent, report: Callable[[str], None]) -> None:
        self._database = database
        self._stop = stop
        self._report = report
        # The number of rows that are still to be sent one at a time, to find the row that has caused an error.
        self._suspects = 0
        self._nacks: dict[int, int] = {}
        self._retry_at: dict[int, float] = {}
        self._in_flight: dict[int, OutboxRow] = {}
        self._confirmed: list[int] = []
        self._may_have_rows = True
        self._begin = self._highest = 0
        self._looked_back = 0.0
        database.add_notify_handler(self._on_notify)

    def run(self, publisher: Publisher) -> None:
        self._in_flight.clear()
        self._look_back()
        try:
            while not self._stop.is_set():
                main_loop.turned()
                self._turn(publisher)
            self._await_last_confirms(publisher)
        except BROKER_ERRORS as problem:
            self._settle(publisher, mark=True)
            self._settle_error(publisher.open_rows, problem)

    def _turn(self, publisher: Publisher) -> None:
        if publisher.blocked_reason:
            self._report(f"waiting for the broker: it takes no messages now: {publisher.blocked_reason}")
        else:
            self._report("publishing")
        may_send = self._may_send(publisher)
        if may_send:
            self._send(publisher)
            may_send = self._may_send(publisher)
        self._wait(publisher, 0.0 if may_send else POLL_SECONDS)
        publisher.keep_alive()
        self._settle(publisher, mark=not self._may_have_rows)
        now = time.monotonic()
        if now - self._looked_back > POLL_SECONDS or any(at <= now for at in self._retry_at.values()):
            self._look_back()

    def _may_send(self, publisher: Publisher) -> bool:
        most = 0 if self._suspects else WINDOW - BATCH
        return self._may_have_rows and not publisher.blocked_reason and publisher.open_count <= most

    def _send(self, publisher: Publisher) -> None:
        rows = self._fetch(1 if self._suspects else BATCH)
        if not rows:
            return
        for row in rows:
            self._in_flight[row.id] = row
            self._retry_at.pop(row.id, None)
        for row_id, reason in publisher.send(rows).items():
            self._mark_unpublishable(row_id, reason)

    def _fetch(self, most: int) -> list[OutboxRow]:
        now = time.monotonic()
        known = [*self._in_flight, *(row_id for row_id, at in self._retry_at.items() if at > now)]
        # Before the query, because rows may be committed while it runs.
        self._may_have_rows = False
        found = self._database.execute(_WAITING, [self._begin, known, most]).fetchall()
        rows = [
            OutboxRow(row_id, event_id, exchange, routing_key, body, json.loads(headers))
            for row_id, event_id, exchange, routing_key, body, headers in found
        ]
        if rows:
            self._highest = max(self._highest, rows[-1].id)
        if len(rows) == most:
            self._may_have_rows = True
            self._begin = rows[-1].id
        else:
            self._begin = max(0, self._highest - REACH)
        return rows

    def _look_back(self) -> None:
        # The query also shows that the relay is alive: relays that stand by end the session of a silent one.
        self._database.execute("SELECT 1")
        self._looked_back = time.monotonic()
        self._may_have_rows = True
        self._begin = 0

    def _wait(self, publisher: Publisher, timeout: float) -> None:
        """Wait for data from the broker or the database, up to the timeout (seconds)."""
        broker, database = publisher.fileno(), self._database.fileno()
        readable, _, _ = select.select([broker, database], [], [], timeout)
        if broker in readable:
            publisher.read(timeout=0.0)
        if database in readable:
            self._database.pgconn.consume_input()
            while self._database.pgconn.notifies():
                self._may_have_rows = True

    def _on_notify(self, _: psycopg.Notify) -> None:
        """Called for a notification that arrived with the response to a statement."""
        self._may_have_rows = True

    def _settle(self, publisher: Publisher, *, mark: bool) -> None:
        outcome = publisher.take()
        self._confirmed += outcome.confirmed
        if len(self._confirmed) >= BATCH or (mark and self._confirmed):
            self._mark()
        for row_id in outcome.refused:
            self._mark_unpublishable(row_id, "no queue is bound for it (returned by the broker)")
        for row_id in outcome.nacked:
            self._on_nack(row_id)

    def _mark(self) -> None:
        if telemetry.is_on():
            self._mark_and_report()
        else:
            self._database.execute(_MARK, [self._confirmed])
        for row_id in self._confirmed:
            self._in_flight.pop(row_id, None)
            self._nacks.pop(row_id, None)
            self._retry_at.pop(row_id, None)
        self._suspects = max(0, self._suspects - len(self._confirmed))
        self._confirmed = []

    def _mark_and_report(self) -> None:
        for row_id, created_at in self._database.execute(_MARK_RETURNING, [self._confirmed]).fetchall():
            if row_id in self._in_flight:
                telemetry.published(self._in_flight[row_id], created_at)

    def _on_nack(self, row_id: int) -> None:
        attempts = self._nacks[row_id] = self._nacks.get(row_id, 0) + 1
        if attempts >= MAX_NACKS:
            self._mark_unpublishable(row_id, f"the broker refused it {attempts} times (nack)")
            return
        self._in_flight.pop(row_id, None)
        self._retry_at[row_id] = time.monotonic() + retry_delay(attempts)

    def _mark_unpublishable(self, row_id: int, reason: str) -> None:
        mark_unpublishable(self._database, self._in_flight.pop(row_id), reason)
        self._nacks.pop(row_id, None)
        self._retry_at.pop(row_id, None)

    def _await_last_confirms(self, publisher: Publisher) -> None:
        deadline = time.monotonic() + _LAST_CONFIRMS_SECONDS
        while publisher.open_count and not publisher.blocked_reason and time.monotonic() < deadline:
            self._wait(publisher, _LAST_CONFIRMS_SECONDS / 10)
        self._settle(publisher, mark=True)

    def _settle_error(self, undecided: list[OutboxRow], error: Exception) -> None:
        """Handle a lost connection. Raises BrokerFailure.

        If one row may be the cause, the next rows are sent one at a time, and that row is then marked as unpublishable.
        """
        culprits = [row for row in undecided if is_refusal(error, row)]
        if len(undecided) == 1 and culprits:
            self._mark_unpublishable(culprits[0].id, f"the broker refused it: {single_line(error)}")
        elif culprits:
            self._suspects = len(undecided)
        code = getattr(error, "reply_code", 0)
        hint = " (run manage.py setup_broker)" if code == 404 and not culprits else ""
        raise BrokerFailure(f"{single_line(error)}{hint}") from error


def single_line(problem: object) -> str:
    return " ".join(str(problem).split()) or type(problem).__name__
