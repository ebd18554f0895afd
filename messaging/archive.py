"""Dead letters in the database: the last copy of a message, kept until a person decides."""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from messaging import copies, topology
from messaging.campaign_finding import campaign_of
from messaging.events import event_id
from messaging.models import DeadLetter, DeadLetterEntry, HandlingFailure, ProcessedEvent
from messaging.persons import ERASED, about_somebody_erased, hold_erasing
from messaging.subscriptions import Message
from messaging.wire import storable
from messaging.work import as_uuid, count_expired, task_name

UNROUTABLE = "unroutable"
_ID_WORD = re.compile(r"\d+|[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
# The name space of the ids of tasks' letters.
_TASKS_NAMESPACE = uuid.UUID("0f1d8a52-3d0b-5d6c-8a55-5f6f6a3f2f10")
# AMQP's names are short strings (4.2.5.3).
_NAME_BYTES = 255
_NO_RECORD = "rejected without a record of an error: revoked or terminated, or refused before its handler ran"


@dataclass(frozen=True)
class Death:
    """Where, how and under which address a message died. `identity` tells one death from the next of one message."""

    queue: str
    reason: str
    exchange: str
    routing_key: str
    identity: str


def archive_all(messages: Sequence[Message], *, unroutable: bool) -> None:
    """As `archive` for each, in the caller's transaction; in one order everywhere, since letters are locked."""
    hold_erasing()
    for message in sorted(messages, key=lambda message: (message.digest, *message.origin)):
        archive(message, unroutable=unroutable)


def archive(message: Message, *, unroutable: bool) -> None:
    """Keep one dead message, whatever its shape, and count it once however often this copy is delivered.

    Runs in the caller's transaction.
    """
    death = _unroutable_death(message) if unroutable else _latest_death(message)
    task = task_name(death.queue, message.headers)
    if task and death.reason == "expired":
        # Beat's next message, or the due row, does the same work.
        transaction.on_commit(lambda: count_expired(death.queue), robust=True)
        return
    event = _event_of(message, death, task)
    arrivals = copies.arrivals([(message, event)])
    if copies.handled_before(message.queue, arrivals) or not _first_time(message.queue, event, death):
        return
    copies.remember(message.queue, arrivals.values())
    letter = _replayed_letter(message, event, death)
    erased = about_somebody_erased(readable(message.body))
    if letter is None:
        letter = _letter_of(message, event, death)
        letter.exchange, letter.routing_key = storable(death.exchange)[:120], storable(death.routing_key)[:255]
        letter.event_type = storable(task)[:255] or event_type(letter.exchange, letter.routing_key)
        letter.headers = plain({name: value for name, value in message.headers.items() if name != "x-death"})
    letter.x_death = plain(message.headers.get("x-death") or [])
    letter.reason = death.reason
    letter.error, letter.traceback = _why(message, death, event, task)
    letter.error_class = error_class(letter.error)
    letter.count += 1
    letter.state = DeadLetter.State.OPEN
    if erased or letter.decision_reason == ERASED:
        _empty(letter)
    letter.save()
    DeadLetter.objects.filter(pk=letter.pk).update(last_seen_at=Now())


def _empty(letter: DeadLetter) -> None:
    """It was on its way when somebody's data was erased: that it died is all that is kept, and nobody has to decide."""
    letter.body = letter.edited_body = letter.error = letter.error_class = letter.traceback = ""
    letter.headers, letter.x_death = {}, []
    letter.state, letter.decision_reason = DeadLetter.State.DISCARDED, ERASED


def event_type(exchange: str, routing_key: str) -> str:
    """What kind of event it was, as people filter by it: words of the key that are ids or numbers become `*`."""
    words = ("*" if _ID_WORD.fullmatch(word) else word for word in routing_key.split("."))
    return f"{exchange}/{'.'.join(words)}"[:255]


def error_class(error: str) -> str:
    """`ValueError` of "ValueError: no campaign"; empty when the text starts otherwise."""
    name, colon, _ = error.partition(":")
    return name[:120] if colon and name.replace(".", "").isidentifier() else ""


def readable(body: bytes) -> str:
    """The body as text that PostgreSQL can hold; bytes that are not UTF-8, and NUL, are shown as \\xNN."""
    return storable(body.decode("utf-8", "backslashreplace"))


def plain(value: Any) -> Any:
    """AMQP's values (times, decimals, bytes, nested tables) as JSON."""
    if isinstance(value, Mapping):
        return {_name(str(key)): plain(item) for key, item in value.items()}
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


def _name(text: str) -> str:
    """Of a header: what cannot be stored is written out, which must not make it longer than AMQP allows."""
    return storable(text).encode()[:_NAME_BYTES].decode("utf-8", "ignore")


def _event_of(message: Message, death: Death, task: str) -> uuid.UUID:
    """The id of what died. A task with the same arguments is the same work: each time that it fails again, beat's
    every two seconds, counts on one letter."""
    if task:
        return uuid.uuid5(_TASKS_NAMESPACE, f"{task} {message.digest}")
    return event_id(death.exchange, death.routing_key, message.body, message_id=message.stable_message_id)


def _letter_of(message: Message, event: uuid.UUID, death: Death) -> DeadLetter:
    """The letter of this event in this queue, locked: the one that is known, or a new one that has counted nothing."""
    body = readable(message.body)
    campaign_id = campaign_of(body)
    letter, _ = DeadLetter.objects.select_for_update().get_or_create(
        queue=death.queue,
        event_id=event,
        body_digest=message.digest,
        defaults={"reason": death.reason, "body": body, "count": 0, "campaign_id": campaign_id},
    )
    return letter


def _replayed_letter(message: Message, event: uuid.UUID, death: Death) -> DeadLetter | None:
    """The letter that this message is a replay of, locked: its body may have been edited, its queue may be gone."""
    replay = as_uuid(message.headers.get(topology.REPLAY_HEADER))
    if replay is None:
        return None
    sent = DeadLetterEntry.objects.filter(replay=replay, what=DeadLetterEntry.What.REPLAYED, letter__event_id=event)
    letter_id = sent.values_list("letter_id", flat=True).first()
    if letter_id is None:
        return None
    letter = DeadLetter.objects.select_for_update().get(pk=letter_id)
    refused = message.exchange == topology.TASKS_EXCHANGE and message.routing_key == letter.queue
    if letter.queue != death.queue and not refused:
        # What was unroutable has found a queue by now, and died there.
        return None
    task = task_name(death.queue, message.headers)
    why = "" if letter.decision_reason == ERASED else _why(message, death, event, task)[0]
    note = ": ".join(filter(None, (death.reason, why)))
    DeadLetterEntry.objects.bulk_create(
        [DeadLetterEntry(letter=letter, what=DeadLetterEntry.What.DIED_AGAIN, note=note, replay=replay)],
        ignore_conflicts=True,
    )
    return letter


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
        identity=f"{queue} {last.get('time', '')} {last.get('count', '')} {replay}{_task_id(message)}",
    )


def _task_id(message: Message) -> str:
    """Two messages for the same work may die in the same second."""
    return f" {message.headers['id']}" if "task" in message.headers and "id" in message.headers else ""


def _first_time(queue: str, event: uuid.UUID, death: Death) -> bool:
    """An archived copy may be delivered again when the worker died between its commit and its ack."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {ProcessedEvent._meta.db_table} (event_id, subscription) VALUES (%s, %s)"
            " ON CONFLICT DO NOTHING",
            [uuid.uuid5(event, death.identity), queue],
        )
        return bool(cursor.rowcount == 1)


def failures_of(
    *, queue: str, digest: str, event: uuid.UUID, exchange: str, routing_key: str, body: bytes
) -> QuerySet[HandlingFailure]:
    """What the queue's handlers said about this event with this body, or about equal messages without an id."""
    # No event is named by workers of an older release.
    of_event = Q(event_id__in=[event, event_id(exchange, routing_key, body)]) | Q(event_id=None)
    return HandlingFailure.objects.filter(of_event, queue=queue, body_digest=digest)


def _why(message: Message, death: Death, event: uuid.UUID, task: str) -> tuple[str, str]:
    failures = failures_of(
        queue=death.queue,
        digest=message.digest,
        event=event,
        exchange=death.exchange,
        routing_key=death.routing_key,
        body=message.body,
    )
    if task:
        failures = HandlingFailure.objects.filter(
            queue=death.queue, body_digest="", event_id=as_uuid(message.headers.get("id"))
        )
    failure = failures.order_by("-created_at").first()
    if failure is not None and death.reason == "rejected":
        return failure.error, failure.traceback
    return (_NO_RECORD if death.reason == "rejected" else ""), ""
