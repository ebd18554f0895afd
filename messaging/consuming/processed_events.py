"""The records of the events that a queue has handled (`ProcessedEvent`), so that no event is handled twice."""

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence

from django.db import DatabaseError, connection

from messaging.consuming import copies
from messaging.events import Event
from messaging.models import ProcessedEvent

log = logging.getLogger(__name__)

# Sorted, so that transactions with common events wait for each other and never deadlock.
_RECORD = """
    INSERT INTO messaging_processedevent (event_id, subscription)
    SELECT id, %s FROM unnest(%s::uuid[]) AS id ORDER BY id ON CONFLICT DO NOTHING RETURNING event_id
"""
_RECORD_ONE = "INSERT INTO messaging_processedevent (event_id, subscription) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_SECONDS = """
    UPDATE messaging_processedevent AS done SET seconds = took.seconds
    FROM unnest(%s::uuid[], %s::float8[]) AS took (event_id, seconds)
    WHERE done.event_id = took.event_id AND done.subscription = %s
"""


def record_first_time(queue: str, event_id: uuid.UUID) -> bool:
    """Record the event. False if it was recorded before. Waits while another transaction handles a copy of it."""
    with connection.cursor() as cursor:
        cursor.execute(_RECORD_ONE, [event_id, queue])
        return bool(cursor.rowcount == 1)


def record_all(queue: str, ids: Iterable[uuid.UUID]) -> list[uuid.UUID]:
    """Record that a queue has handled these events. Returns the ids that were not recorded before."""
    if not (wanted := list(ids)):
        return []
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [queue, wanted])
        return [event_id for (event_id,) in cursor.fetchall()]


def first_times(queue: str, events: Iterable[Event], arrivals: Mapping[uuid.UUID, copies.Arrival]) -> list[Event]:
    """Record the events. Returns those that were not recorded before, each once.

    `arrivals` are those that arrived without an id.
    """
    again = copies.handled_before(queue, arrivals)
    by_id = {event.id: event for event in events if event.id not in again}
    return [by_id[event_id] for event_id in record_all(queue, by_id)]


def forget(queue: str, event_ids: Sequence[uuid.UUID]) -> None:
    """Delete the records of events that this transaction has recorded but not handled."""
    if event_ids:
        ProcessedEvent.objects.filter(subscription=queue, event_id__in=event_ids).delete()


def record_seconds(queue: str, handled: Mapping[uuid.UUID, float]) -> None:
    """Store how long each event's handler took, in seconds, for its trace. Events of a batch have the batch's time."""
    if handled:
        with connection.cursor() as cursor:
            cursor.execute(_SECONDS, [list(handled), list(handled.values()), queue])


def record_seconds_after_commit(queue: str, handled: Mapping[uuid.UUID, float]) -> None:
    """Like `record_seconds`, after the commit. Errors of the database are only logged, since nothing depends on it."""
    try:
        record_seconds(queue, handled)
    except DatabaseError as problem:
        log.warning("%s: how long %d events took is not recorded: %s", queue, len(handled), str(problem).strip())
