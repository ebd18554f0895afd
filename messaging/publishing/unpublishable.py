"""Marks outbox rows that the broker will never take as unpublishable, with a reason, and publishes an error event."""

import logging
import uuid

import psycopg
from psycopg.types.json import Jsonb

from messaging.broker import topology
from messaging.events import ServiceErrorEvent
from messaging.instrumentation import telemetry
from messaging.instrumentation.tracing import traceparent
from messaging.messages import OutboxRow
from messaging.publishing import outbox

log = logging.getLogger(__name__)

# The error event's id is derived from the event's id and this, so a row that is marked again causes no second one.
_ALARM = "parked"
_MOST_REASON = 300

_MARK = """
    UPDATE messaging_outboxevent SET parked_at = now(), parked_reason = %s
    WHERE id = %s AND parked_at IS NULL RETURNING service, created_at
"""
_ENQUEUE = """
    INSERT INTO messaging_outboxevent (event_id, service, exchange, routing_key, body, headers, parked_reason)
    VALUES (%s, %s, %s, %s, %s, %s, '')
"""


def mark_unpublishable(database: psycopg.Connection, row: OutboxRow, reason: str) -> None:
    """Mark the row as unpublishable, and publish an error event for the service that published the row."""
    with database.transaction():
        marked = database.execute(_MARK, [reason, row.id]).fetchone()
        if marked is None:
            return
        service, committed_at = marked
        # An error event that cannot be published must not cause another one.
        if topology.ALARM_HEADER not in row.headers:
            _publish_error_event(database, row, service, reason)
    telemetry.unpublishable(row, committed_at)
    log.error("event %s (%s, %s) is unpublishable: %s", row.event_id, row.exchange, row.routing_key, reason)


def _publish_error_event(database: psycopg.Connection, row: OutboxRow, service: str, reason: str) -> None:
    where = f"{row.exchange[:80]!r}, {row.routing_key[:80]!r}"
    alarm = ServiceErrorEvent(
        id=uuid.uuid5(uuid.UUID(row.event_id), _ALARM),
        service=service,
        reason=f"an event ({where}) cannot be published: {reason[:_MOST_REASON]}. "
        "Correct the cause and press “Try again” for the event in Outbox, or press “Give up”",
    )
    headers = {topology.ALARM_HEADER: _ALARM, topology.TRACE_HEADER: traceparent(alarm.id)}
    database.execute(
        _ENQUEUE,
        [alarm.id, service, alarm.exchange_name(), alarm.routing_key, alarm.to_json(), Jsonb(headers)],
    )
    database.execute(f"NOTIFY {outbox.NOTIFY_CHANNEL}")
