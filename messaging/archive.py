"""Dead letters in the database: the last copy of a message, kept until a person decides."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from messaging import topology
from messaging.events import event_id
from messaging.models import DeadLetter, HandlingFailure, ProcessedEvent
from messaging.subscriptions import Message, storable

UNROUTABLE = "unroutable"
_NO_RECORD = "rejected without a record of an error: revoked or terminated, or refused before its handler ran"


@dataclass(frozen=True)
class Death:
    """Where, how and under which address a message died. `identity` tells one death from the next of one message."""

    queue: str
    reason: str
    exchange: str
    routing_key: str
    identity: str


def archive(message: Message, *, unroutable: bool) -> None:
    """Keep one dead message, whatever its shape, and count it once however often this copy is delivered.

    Runs in the caller's transaction.
    """
    death = _unroutable_death(message) if unroutable else _latest_death(message)
    event = event_id(death.exchange, death.routing_key, message.body, message_id=message.stable_message_id)
    if not _first_time(message.queue, event, death):
        return
    error, traceback = _why(message, death)
    body = readable(message.body)
    letter, created = DeadLetter.objects.select_for_update().get_or_create(
        queue=death.queue,
        event_id=event,
        body_digest=message.digest,
        defaults={"reason": death.reason, "body": body},
    )
    letter.exchange, letter.routing_key = storable(death.exchange)[:120], storable(death.routing_key)[:255]
    letter.headers = plain({name: value for name, value in message.headers.items() if name != "x-death"})
    letter.x_death = plain(message.headers.get("x-death") or [])
    letter.reason, letter.error, letter.traceback = death.reason, error, traceback
    letter.count = 1 if created else letter.count + 1
    letter.state = DeadLetter.State.OPEN
    letter.save()
    DeadLetter.objects.filter(pk=letter.pk).update(last_seen_at=Now())


def readable(body: bytes) -> str:
    """The body as text that PostgreSQL can hold; bytes that are not UTF-8, and NUL, are shown as \\xNN."""
    return storable(body.decode("utf-8", "backslashreplace"))


def plain(value: Any) -> Any:
    """AMQP's values (times, decimals, bytes, nested tables) as JSON."""
    if isinstance(value, Mapping):
        return {storable(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return readable(bytes(value))
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float | Decimal):
        # NaN and infinity are no JSON for PostgreSQL.
        return float(value) if Decimal(value).is_finite() else str(value)
    if value is None or isinstance(value, bool | int):
        return value
    return storable(str(value))


def _unroutable_death(message: Message) -> Death:
    exchange, routing_key = message.origin
    replay = str(message.headers.get(topology.REPLAY_HEADER, ""))
    return Death("", UNROUTABLE, exchange, routing_key, f"{message.exchange} {message.routing_key} {replay}")


def _latest_death(message: Message) -> Death:
    """RabbitMQ puts the newest death first. A message without x-death was put into the archive by hand."""
    history = message.headers.get("x-death")
    last = history[0] if isinstance(history, list) and history and isinstance(history[0], Mapping) else {}
    keys = last.get("routing-keys")
    exchange = str(last.get("exchange", message.exchange))
    routing_key = str(keys[0]) if isinstance(keys, list) and keys else message.routing_key
    if message.origin != (message.exchange, message.routing_key):
        exchange, routing_key = message.origin
    queue = str(last.get("queue", ""))
    replay = message.headers.get(topology.REPLAY_HEADER, "")
    return Death(
        queue=storable(queue)[:120],
        reason=storable(str(last.get("reason", "unknown")))[:40],
        exchange=exchange,
        routing_key=routing_key,
        identity=f"{queue} {last.get('time', '')} {last.get('count', '')} {replay}",
    )


def _first_time(queue: str, event: uuid.UUID, death: Death) -> bool:
    """An archived copy may be delivered again when the worker died between its commit and its ack."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {ProcessedEvent._meta.db_table} (event_id, subscription) VALUES (%s, %s)"
            " ON CONFLICT DO NOTHING",
            [uuid.uuid5(event, death.identity), queue],
        )
        return bool(cursor.rowcount == 1)


def _why(message: Message, death: Death) -> tuple[str, str]:
    failure = (
        HandlingFailure.objects.filter(queue=death.queue, body_digest=message.digest).order_by("-created_at").first()
    )
    if failure is not None and death.reason == "rejected":
        return failure.error, failure.traceback
    return (_NO_RECORD if death.reason == "rejected" else ""), ""
