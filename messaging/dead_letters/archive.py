"""Archives dead messages in the database as dead letters, about which operators decide."""

import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from messaging.broker import topology
from messaging.consuming import copies
from messaging.consuming.processed_events import record_all
from messaging.consuming.work_tasks import as_uuid, count_expired
from messaging.dead_letters.deaths import DeadMessage, read_dead_message
from messaging.event_objects import campaign_of
from messaging.events import DeadLetterKept, event_id
from messaging.messages import ReceivedMessage
from messaging.models import DeadLetter, DeadLetterEntry, HandlingFailure
from messaging.publishing.outbox import publish_on_commit
from messaging.wire import storable
from privacy.erased import about_erased_person, lock_erasing
from privacy.registry import ERASED

_ID_WORD = re.compile(r"\d+|[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
# AMQP's names are short strings (4.2.5.3).
_NAME_BYTES = 255
_NO_RECORD = "rejected without a recorded error: revoked or terminated, or refused before its handler ran"

# The service of messages that no queue has taken.
_ADMIN = "admin"
_REPORT_KEY = ".dead_letter"

# The unique key of a dead letter: queue, event, digest of the body.
LetterKey = tuple[str, uuid.UUID, str]


def archive_all(messages: Sequence[ReceivedMessage], *, unroutable: bool) -> None:
    """Archive dead messages of any shape, and count each death once even if its message is delivered several times.

    Call it in a transaction. All locks are taken before the first message is archived.
    """
    dead = [
        dead_message
        for dead_message in (read_dead_message(message, unroutable=unroutable) for message in messages)
        if not _expired(dead_message)
    ]
    fresh = _fresh(dead)
    again = _replayed(fresh)
    letters = _locked(fresh, again)
    opened = [
        dead_message
        for dead_message in fresh
        if _record_death(dead_message, letters[dead_message.record], again=dead_message.record in again)
    ]
    events = [
        _event_about(letters[dead_message.record])
        for dead_message in opened
        if not _is_dead_letter_report(letters[dead_message.record])
    ]
    if events:
        publish_on_commit(*events)


def _event_about(letter: DeadLetter) -> DeadLetterKept:
    """The event about a new dead letter, without the error's text, which may contain parts of the message."""
    # A message of the default exchange has only its queue's name as key.
    kind = f"sent directly to {letter.event_type[1:]}" if letter.event_type.startswith("/") else letter.event_type
    reason = ", ".join(filter(None, (kind, letter.reason, letter.error_class)))
    service = topology.SERVICES.get(letter.queue, _ADMIN)
    return DeadLetterKept(service=service, queue=letter.queue, letter_id=letter.pk, reason=reason)


def _is_dead_letter_report(letter: DeadLetter) -> bool:
    """Whether the letter is an event about a dead letter, or a notification.

    The death of such a message publishes no event: the event would die too, and cause another event, and so on.
    """
    is_report = letter.exchange == topology.EVENTS_EXCHANGE and letter.routing_key.endswith(_REPORT_KEY)
    return is_report or letter.queue == topology.NOTIFICATIONS_QUEUE


def _expired(dead_message: DeadMessage) -> bool:
    """Count an expired message for a task instead of archiving it.

    The next message from beat, or the due row, leads to the same work. Returns whether the message has expired.
    """
    if not dead_message.task or dead_message.death.reason != "expired":
        return False
    transaction.on_commit(partial(count_expired, dead_message.death.queue), robust=True)
    return True


def _fresh(dead: Sequence[DeadMessage]) -> list[DeadMessage]:
    """The messages that were not archived before.

    A message is delivered again if the worker died between its commit and its ack.
    """
    if not dead:
        return []
    queue = dead[0].message.queue
    arrivals = copies.arrivals((dead_message.message, dead_message.event) for dead_message in dead)
    before = copies.handled_before(queue, arrivals)
    lock_erasing()
    by_record = {dead_message.record: dead_message for dead_message in dead if dead_message.event not in before}
    recorded = set(record_all(queue, by_record))
    fresh = [dead_message for record, dead_message in by_record.items() if record in recorded]
    copies.remember(queue, (arrivals[dead_message.event] for dead_message in fresh if dead_message.event in arrivals))
    return fresh


def _replayed(dead: Iterable[DeadMessage]) -> dict[uuid.UUID, int]:
    """The primary keys of the letters that these messages are replays of, by record.

    The body may have been edited, and the queue may have been deleted, since the replay.
    """
    replays = {dead_message.replay for dead_message in dead if dead_message.replay is not None}
    if not replays:
        return {}
    entries = DeadLetterEntry.objects.filter(replay__in=replays, what=DeadLetterEntry.What.REPLAYED)
    sent = {entry.replay: entry.letter for entry in entries.select_related("letter")}
    return {
        dead_message.record: letter.pk
        for dead_message in dead
        if (letter := sent.get(dead_message.replay)) and _is_replay_of(dead_message, letter)
    }


def _is_replay_of(dead_message: DeadMessage, letter: DeadLetter) -> bool:
    """Whether the message died as a replay of this letter.

    If not, a queue has taken a message that was unroutable before, and it died in that queue.
    """
    refused = (
        dead_message.message.exchange == topology.TASKS_EXCHANGE and dead_message.message.routing_key == letter.queue
    )
    return letter.event_id == dead_message.event and (letter.queue == dead_message.death.queue or refused)


def _locked(dead: Sequence[DeadMessage], again: Mapping[uuid.UUID, int]) -> dict[uuid.UUID, DeadLetter]:
    """Each message's letter by record: the existing one, or a new one with a count of 0.

    One statement locks all letters in the order of their primary keys, as a replay of many letters does.
    """
    wanted = {dead_message.letter: dead_message for dead_message in dead if dead_message.record not in again}
    known = letters_known(wanted)
    if missing := sorted(wanted.keys() - known.keys()):
        # Sorted as well, because another transaction may be creating the same letters.
        DeadLetter.objects.bulk_create((_new(wanted[key]) for key in missing), ignore_conflicts=True)
        known = letters_known(wanted)
    keys = {dead_message.record: again.get(dead_message.record) or known[dead_message.letter] for dead_message in dead}
    letters = DeadLetter.objects.filter(pk__in=keys.values()).order_by("pk").select_for_update(no_key=True)
    by_key = {letter.pk: letter for letter in letters}
    return {record: by_key[key] for record, key in keys.items()}


def letters_known(keys: Collection[LetterKey]) -> dict[LetterKey, int]:
    """The primary keys of the existing letters among these."""
    if not keys:
        return {}
    found = DeadLetter.objects.filter(event_id__in={event for _, event, _ in keys})
    rows = found.values_list("queue", "event_id", "body_digest", "pk")
    known = {(queue, event, digest): pk for queue, event, digest, pk in rows}
    return {key: pk for key, pk in known.items() if key in keys}


def _new(dead_message: DeadMessage) -> DeadLetter:
    queue, event, digest = dead_message.letter
    body = readable(dead_message.message.body)
    return DeadLetter(
        queue=queue,
        event_id=event,
        body_digest=digest,
        reason=dead_message.death.reason,
        body=body,
        count=0,
        campaign_id=campaign_of(body),
    )


def _record_death(dead_message: DeadMessage, letter: DeadLetter, *, again: bool) -> bool:
    """Record in the locked letter how the message died. `again` means after a replay.

    Returns whether the letter has become open, so that an operator has to decide about it.
    """
    message, death = dead_message.message, dead_message.death
    was_open = letter.count > 0 and letter.state == DeadLetter.State.OPEN
    erased = about_erased_person(readable(message.body))
    if again:
        _died_again(dead_message, letter)
    else:
        letter.exchange, letter.routing_key = storable(death.exchange)[:120], storable(death.routing_key)[:255]
        letter.event_type = storable(dead_message.task)[:255] or event_type(letter.exchange, letter.routing_key)
        letter.headers = plain({name: value for name, value in message.headers.items() if name != "x-death"})
    letter.x_death = plain(message.headers.get("x-death") or [])
    letter.reason = death.reason
    letter.error, letter.traceback = _error_of(dead_message)
    letter.error_class = error_class(letter.error)
    letter.count += 1
    letter.state = DeadLetter.State.OPEN
    if erased or letter.decision_reason == ERASED:
        _erase_contents(letter)
    letter.save()
    DeadLetter.objects.filter(pk=letter.pk).update(last_seen_at=Now())
    return letter.state == DeadLetter.State.OPEN and not was_open


def _died_again(dead_message: DeadMessage, letter: DeadLetter) -> None:
    why = "" if letter.decision_reason == ERASED else _error_of(dead_message)[0]
    note = ": ".join(filter(None, (dead_message.death.reason, why)))
    entry = DeadLetterEntry(letter=letter, what=DeadLetterEntry.What.DIED_AGAIN, note=note, replay=dead_message.replay)
    DeadLetterEntry.objects.bulk_create([entry], ignore_conflicts=True)


def _erase_contents(letter: DeadLetter) -> None:
    """Remove the contents of a message that was on its way when a person's data was erased.

    Only the death is recorded, and no operator has to decide about it.
    """
    letter.body = letter.edited_body = letter.error = letter.error_class = letter.traceback = ""
    letter.headers, letter.x_death = {}, []
    letter.state, letter.decision_reason = DeadLetter.State.DISCARDED, ERASED


def event_type(exchange: str, routing_key: str) -> str:
    """The type of the event, for filters: words of the key that are ids or numbers become `*`."""
    words = ("*" if _ID_WORD.fullmatch(word) else word for word in routing_key.split("."))
    return f"{exchange}/{'.'.join(words)}"[:255]


def error_class(error: str) -> str:
    """The error's class, such as `ValueError` in "ValueError: no campaign"; "" if the text begins differently."""
    name, colon, _ = error.partition(":")
    return name[:120] if colon and name.replace(".", "").isidentifier() else ""


def readable(body: bytes) -> str:
    """The body as text for PostgreSQL. Bytes that are not UTF-8, and NUL, become \\xNN."""
    return storable(body.decode("utf-8", "backslashreplace"))


def plain(value: Any) -> Any:
    """AMQP values (times, decimals, bytes, nested tables) as JSON values."""
    if isinstance(value, Mapping):
        return {_name(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return readable(bytes(value))
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float | Decimal):
        # PostgreSQL's JSON has no NaN and no infinity.
        return float(value) if Decimal(value).is_finite() else str(value)
    if value is None or isinstance(value, bool | int):
        return value
    return storable(str(value))


def _name(text: str) -> str:
    """A header's name as text for PostgreSQL, cut to AMQP's maximum because escapes may make it longer."""
    return storable(text).encode()[:_NAME_BYTES].decode("utf-8", "ignore")


def failures_of(
    *, queue: str, digest: str, event: uuid.UUID, exchange: str, routing_key: str, body: bytes
) -> QuerySet[HandlingFailure]:
    """The failures of the queue's handlers on this event with this body, or on equal messages without an id."""
    # Workers of an older release do not record the event.
    of_event = Q(event_id__in=[event, event_id(exchange, routing_key, body)]) | Q(event_id=None)
    return HandlingFailure.objects.filter(of_event, queue=queue, body_digest=digest)


def _error_of(dead_message: DeadMessage) -> tuple[str, str]:
    if dead_message.task:
        failures = HandlingFailure.objects.filter(
            queue=dead_message.death.queue, body_digest="", event_id=as_uuid(dead_message.message.headers.get("id"))
        )
    else:
        failures = failures_of(
            queue=dead_message.death.queue,
            digest=dead_message.message.digest,
            event=dead_message.event,
            exchange=dead_message.death.exchange,
            routing_key=dead_message.death.routing_key,
            body=dead_message.message.body,
        )
    failure = failures.order_by("-created_at").first()
    if failure is not None and dead_message.death.reason == "rejected":
        return failure.error, failure.traceback
    return (_NO_RECORD if dead_message.death.reason == "rejected" else ""), ""
