"""Messages without an id: two of the same content are two, and one that is delivered twice is one.

Programs that know nothing of ours send bare bodies, without an id in them or a message id beside them. A worker gives
each of these an id (`amqp_message`). When the broker delivers one again, after a worker died or lost its
connection, it says so and no more: then a copy of the same content that was handled within `KNOWN_SECONDS` counts as
this message, once. Two of the same content cannot be told apart at such a moment: in doubt the message counts as
handled, though it may have been an equal one that was. Without such a copy it is handled, perhaps for the second time:
handlers look at the state that they find, and a repeat adds at most a notification.
"""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.db.backends.utils import CursorWrapper

from messaging.database.clock import database_clock
from messaging.events import event_id
from messaging.messages import ReceivedMessage
from messaging.models import HandledCopy

# A handled message that was not acknowledged comes back as soon as its worker's connection has ended; half an hour (the
# broker's consumer_timeout) is the longest that this may take, and the rest is for a broker that is away meanwhile.
KNOWN_SECONDS = 3600

# First key of advisory locks with two keys: those with one key are other locks.
_CONTENT = 0x00C0_0001
# Until the transaction ends: a second delivery waits for the first, which another worker may still handle.
_LOCK = "SELECT pg_advisory_xact_lock(%s, content) FROM unnest(%s::int[]) AS content"
# Each copy stands for one message: the one that was found most often has been delivered most often.
_FIND = """
    UPDATE messaging_handledcopy SET found = %s WHERE id = (
        SELECT id FROM messaging_handledcopy
        WHERE subscription = %s AND content = %s AND found < %s AND handled_at > %s
        ORDER BY found DESC, id LIMIT 1
    )
"""


class Arrival(NamedTuple):
    """Of a message without an id: what stands for its content, and how often it was delivered before."""

    content: uuid.UUID
    deliveries: int


def arrivals(messages: Iterable[tuple[ReceivedMessage, uuid.UUID]]) -> dict[uuid.UUID, Arrival]:
    """Those of the messages, each with its event's id, that came without one; by the id that they were given."""
    return {
        event: Arrival(content_of(message), message.deliveries)
        for message, event in messages
        if was_given(message, event)
    }


def content_of(message: ReceivedMessage) -> uuid.UUID:
    """What equal messages without an id have in common: one value for exchange, routing key and body."""
    return event_id(*message.origin, message.body)


def was_given(message: ReceivedMessage, event: uuid.UUID) -> bool:
    """Whether the event has its id from us."""
    return message.given_id is not None and str(event) == message.given_id


def handled_before(queue: str, found: Mapping[uuid.UUID, Arrival]) -> set[uuid.UUID]:
    """Which of them were handled at an earlier delivery. In the transaction that handles the others, which locks
    nothing before it calls this, and calls it once."""
    if not found:
        return set()
    since = database_clock() - timedelta(seconds=KNOWN_SECONDS)
    with connection.cursor() as cursor:
        # In one order everywhere.
        cursor.execute(_LOCK, [_CONTENT, sorted({_lock_key(queue, arrival.content) for arrival in found.values()})])
        return {event for event, arrival in found.items() if _find(cursor, queue, arrival, since)}


def remember(queue: str, handled: Iterable[Arrival]) -> None:
    """In the transaction that handled them."""
    HandledCopy.objects.bulk_create(
        HandledCopy(subscription=queue, content=arrival.content, found=arrival.deliveries) for arrival in handled
    )


def _find(cursor: CursorWrapper, queue: str, arrival: Arrival, since: datetime) -> bool:
    if not arrival.deliveries:
        return False
    cursor.execute(_FIND, [arrival.deliveries, queue, arrival.content, arrival.deliveries, since])
    return bool(cursor.rowcount)


def _lock_key(queue: str, content: uuid.UUID) -> int:
    """32 bits with a sign, as the second key of PostgreSQL's advisory locks has them. Two contents with the same key
    wait for each other, nothing else."""
    return int.from_bytes(uuid.uuid5(content, queue).bytes[:4], signed=True)
