"""Recognises messages without an id that are delivered twice, among different messages with the same content.

Other programs may send messages without an id, neither in the body nor in the properties. A worker gives each of them
an id (`amqp_message`). When the broker delivers a message again, after a worker died or lost its connection, it only
marks the message as redelivered. If a message with the same content was handled within `KNOWN_SECONDS`, the redelivered
message counts as that message and is not handled; each handled message is used up by one redelivery. Different messages
with the same content cannot be distinguished here, so the handled message may have been another one. If no such message
was handled, the redelivered message is handled, perhaps for the second time: handlers check the current state, and a
second call adds at most a notification.
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

# A handled message that was not acknowledged comes back when its worker's connection has ended, within half an hour
# (the broker's consumer_timeout). The rest is for a broker that is unavailable meanwhile.
KNOWN_SECONDS = 3600

# The first key of advisory locks with two keys, which are independent of those with one key.
_CONTENT = 0x00C0_0001
# Locked until the transaction ends: a second delivery waits for the first, which another worker may still handle.
_LOCK = "SELECT pg_advisory_xact_lock(%s, content) FROM unnest(%s::int[]) AS content"
# Each row stands for one message. The row with the most earlier deliveries is the best match.
_FIND = """
    UPDATE messaging_handledcopy SET found = %s WHERE id = (
        SELECT id FROM messaging_handledcopy
        WHERE subscription = %s AND content = %s AND found < %s AND handled_at > %s
        ORDER BY found DESC, id LIMIT 1
    )
"""


class Arrival(NamedTuple):
    """A message without an id: the id of its content, and how often it was delivered before."""

    content: uuid.UUID
    deliveries: int


def arrivals(messages: Iterable[tuple[ReceivedMessage, uuid.UUID]]) -> dict[uuid.UUID, Arrival]:
    """The messages that arrived without an id, by the id that the worker gave them.

    `messages` are pairs of a message and its event's id.
    """
    return {
        event: Arrival(content_of(message), message.deliveries)
        for message, event in messages
        if was_given(message, event)
    }


def content_of(message: ReceivedMessage) -> uuid.UUID:
    """An id made of exchange, routing key and body, which is the same for equal messages without an id."""
    return event_id(*message.origin, message.body)


def was_given(message: ReceivedMessage, event: uuid.UUID) -> bool:
    """Whether the event's id is the one that the worker gave to the message."""
    return message.given_id is not None and str(event) == message.given_id


def handled_before(queue: str, found: Mapping[uuid.UUID, Arrival]) -> set[uuid.UUID]:
    """The events among these that were handled at an earlier delivery.

    Call it once in the transaction that handles the others, before any other lock.
    """
    if not found:
        return set()
    since = database_clock() - timedelta(seconds=KNOWN_SECONDS)
    with connection.cursor() as cursor:
        # Sorted, to prevent deadlocks.
        cursor.execute(_LOCK, [_CONTENT, sorted({_lock_key(queue, arrival.content) for arrival in found.values()})])
        return {event for event, arrival in found.items() if _find(cursor, queue, arrival, since)}


def remember(queue: str, handled: Iterable[Arrival]) -> None:
    """Record the handled messages. Call it in the transaction that handled them."""
    HandledCopy.objects.bulk_create(
        HandledCopy(subscription=queue, content=arrival.content, found=arrival.deliveries) for arrival in handled
    )


def _find(cursor: CursorWrapper, queue: str, arrival: Arrival, since: datetime) -> bool:
    if not arrival.deliveries:
        return False
    cursor.execute(_FIND, [arrival.deliveries, queue, arrival.content, arrival.deliveries, since])
    return bool(cursor.rowcount)


def _lock_key(queue: str, content: uuid.UUID) -> int:
    """The second key of PostgreSQL's advisory lock: a signed number of 32 bits.

    If two contents have the same key, their transactions only wait for each other.
    """
    return int.from_bytes(uuid.uuid5(content, queue).bytes[:4], signed=True)
