"""The records of which events a queue has handled (`ProcessedEvent`): what makes a second delivery do nothing."""

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence

from django.db import DatabaseError, connection

from messaging.consuming import copies
from messaging.events import Event
from messaging.models import ProcessedEvent

log = logging.getLogger(__name__)

# In one order everywhere: transactions with common events wait for each other, and never in a circle.
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
    """Record the event; false if it was recorded before. Waits for a copy that is being handled elsewhere."""
    with connection.cursor() as cursor:
        cursor.execute(_RECORD_ONE, [event_id, queue])
        return bool(cursor.rowcount == 1)


def record_all(queue: str, ids: Iterable[uuid.UUID]) -> list[uuid.UUID]:
    """Record that a queue has handled these; those that were not recorded before."""
    if not (wanted := list(ids)):
        return []
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [queue, wanted])
        return [event_id for (event_id,) in cursor.fetchall()]


def first_times(queue: str, events: Iterable[Event], arrivals: Mapping[uuid.UUID, copies.Arrival]) -> list[Event]:
    """Record the events; those that were not recorded before, each once. `arrivals`: those that came without an id."""
    again = copies.handled_before(queue, arrivals)
    by_id = {event.id: event for event in events if event.id not in again}
    return [by_id[event_id] for event_id in record_all(queue, by_id)]


def forget(queue: str, event_ids: Sequence[uuid.UUID]) -> None:
    """Remove what this transaction has recorded and not handled."""
    if event_ids:
        ProcessedEvent.objects.filter(subscription=queue, event_id__in=event_ids).delete()


def record_seconds(queue: str, handled: Mapping[uuid.UUID, float]) -> None:
    """How long each event's handler took, for its trace; each event of a batch has the whole batch's time."""
    if handled:
        with connection.cursor() as cursor:
            cursor.execute(_SECONDS, [list(handled), list(handled.values()), queue])


def record_seconds_afterwards(queue: str, handled: Mapping[uuid.UUID, float]) -> None:
    """As `record_seconds`, after the commit: nothing depends on it, so it raises no error of the database."""
    try:
        record_seconds(queue, handled)
    except DatabaseError as problem:
        log.warning("%s: how long %d events took is not recorded: %s", queue, len(handled), str(problem).strip())
