"""The history of one event: published, confirmed, handled, dead, replayed, and what other apps did with it.

It is made of rows: the outbox is kept for a day, handled events and failures for a week, dead letters forever.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Model

from messaging.broker import topology
from messaging.broker.routing import queues_for
from messaging.dead_letters.archive import failures_of
from messaging.instrumentation.tracing import traceparent
from messaging.models import (
    DeadLetter,
    DeadLetterEntry,
    OutboxEvent,
    ProcessedEvent,
    QueueControl,
)


@dataclass(frozen=True)
class TraceStep:
    """A step in the event's history. `where` is a service, queue or channel; `row` has a page in the panel."""

    at: datetime
    what: str
    where: str = ""
    text: str = ""
    seconds: float | None = None
    row: Model | None = field(default=None, repr=False)


@dataclass(frozen=True)
class TraceArrival:
    """A queue that the event should reach, and the event's state there; `text` is the reason if it waits."""

    queue: str
    state: str
    text: str = ""


@dataclass(frozen=True)
class Trace:
    """The history of one event. `exchange` and `routing_key` are "" if no stored row has them."""

    event_id: UUID
    exchange: str
    routing_key: str
    traceparent: str
    arrivals: list[TraceArrival]
    steps: list[TraceStep]

    @property
    def is_known(self) -> bool:
        return bool(self.steps)

    def as_json(self) -> dict[str, Any]:
        """The trace as JSON values."""
        return {
            "event_id": str(self.event_id),
            "exchange": self.exchange,
            "routing_key": self.routing_key,
            "traceparent": self.traceparent,
            "subscriptions": [vars(arrival) for arrival in self.arrivals],
            "steps": [
                {
                    "at": step.at.isoformat(),
                    "what": step.what,
                    "where": step.where,
                    "text": step.text,
                    "seconds": step.seconds,
                }
                for step in self.steps
            ],
        }


Source = Callable[[UUID], Iterable[TraceStep]]
_sources: list[Source] = []


def register_source(source: Source) -> None:
    """Register a function of another app that adds steps to the history of an event. Call it from the app's `ready`.

    Users see the steps whose rows they may view. Steps are sorted by time; steps of the same moment stay in the order
    of registration.
    """
    if source not in _sources:
        _sources.append(source)


def trace(event_id: UUID) -> Trace:
    """The event's history so far, in order of time."""
    outbox = list(OutboxEvent.objects.filter(event_id=event_id).order_by("id"))
    handled = list(ProcessedEvent.objects.filter(event_id=event_id))
    letters = list(DeadLetter.objects.filter(event_id=event_id).prefetch_related("history"))
    steps = [*_published(outbox), *_handled(handled), *_died(letters), *_failures(letters)]
    for source in _sources:
        steps.extend(source(event_id))
    exchange, routing_key = _address(outbox, letters)
    return Trace(
        event_id=event_id,
        exchange=exchange,
        routing_key=routing_key,
        traceparent=_traceparent(event_id, outbox, letters),
        arrivals=_arrivals(exchange, routing_key, outbox, handled, letters),
        steps=sorted(steps, key=lambda step: step.at),
    )


def _published(rows: list[OutboxEvent]) -> Iterator[TraceStep]:
    for row in rows:
        what = "replay " if _is_replay(row) else ""
        address = f"{row.exchange} {row.routing_key}"
        yield TraceStep(row.created_at, f"{what}committed", row.service, address, row=row)
        if row.published_at is not None:
            waited = max(0.0, (row.published_at - row.created_at).total_seconds())
            yield TraceStep(row.published_at, f"{what}confirmed", "broker", f"{waited:.3f} s after its commit", row=row)
        if row.parked_at is not None:
            yield TraceStep(row.parked_at, f"{what}unpublishable", "relay", row.parked_reason, row=row)


def _handled(rows: list[ProcessedEvent]) -> Iterator[TraceStep]:
    for row in rows:
        yield TraceStep(row.processed_at, "handled", row.subscription, _task(row.subscription), row.seconds, row)


def _died(letters: list[DeadLetter]) -> Iterator[TraceStep]:
    for letter in letters:
        where = letter.queue or "unroutable"
        yield TraceStep(
            letter.first_seen_at, "dead-lettered", where, letter.reason if letter.count == 1 else "", row=letter
        )
        entries = list(letter.history.all())
        replays_dead = sum(entry.what == DeadLetterEntry.What.DIED_AGAIN for entry in entries)
        if letter.count > 1 + replays_dead:
            times = f"{letter.count} times so far: {letter.reason}"
            yield TraceStep(letter.last_seen_at, "dead-lettered", where, times, row=letter)
        for entry in entries:
            by = f"by {entry.by}" if entry.by else ""
            note = "" if entry.what == DeadLetterEntry.What.EDITED else entry.note
            text = ": ".join(part for part in (by, note) if part)
            yield TraceStep(entry.at, entry.get_what_display().lower(), where, text, row=letter)


def _failures(letters: list[DeadLetter]) -> Iterator[TraceStep]:
    """The errors of handlers before they rejected the message."""
    for letter in letters:
        found = failures_of(
            queue=letter.queue,
            digest=letter.body_digest,
            event=letter.event_id,
            exchange=letter.exchange,
            routing_key=letter.routing_key,
            body=letter.body.encode("utf-8", "backslashreplace"),
        )
        for failure in found.order_by("created_at"):
            yield TraceStep(failure.created_at, "failed", letter.queue, failure.error, row=failure)


def _address(outbox: list[OutboxEvent], letters: list[DeadLetter]) -> tuple[str, str]:
    """The event's exchange and routing key. Those from an operator, for a letter that was replayed, come first."""
    for letter in letters:
        if letter.is_readdressed and letter.state == DeadLetter.State.REPLAYED:
            return letter.edited_exchange, letter.edited_routing_key
    for row in outbox:
        if not _is_replay(row):
            return row.exchange, row.routing_key
    return (letters[0].exchange, letters[0].routing_key) if letters else ("", "")


def _traceparent(event_id: UUID, outbox: list[OutboxEvent], letters: list[DeadLetter]) -> str:
    """The header as it was sent: another publisher may have set its own."""
    for headers in [row.headers for row in outbox] + [letter.headers for letter in letters]:
        kept = headers.get(topology.TRACE_HEADER)
        if isinstance(kept, str):
            return kept
    return traceparent(event_id)


def _arrivals(
    exchange: str,
    routing_key: str,
    outbox: list[OutboxEvent],
    handled: list[ProcessedEvent],
    letters: list[DeadLetter],
) -> list[TraceArrival]:
    """The queues that the topology routes the event to, and any others that it has reached."""
    done = {row.subscription for row in handled}
    dead = {letter.queue: letter for letter in letters if letter.queue}
    wanted = queues_for(exchange, routing_key) if exchange else []
    paused = dict(QueueControl.objects.filter(paused=True).values_list("queue", "reason"))
    return [
        _arrival(queue, queue in done, dead.get(queue), _unpublished(outbox, queue), paused.get(queue))
        for queue in dict.fromkeys([*wanted, *sorted(done), *dead])
    ]


def _unpublished(outbox: list[OutboxEvent], queue: str) -> str:
    """Why the last message to the queue has not arrived yet; "" if it has, or if CoolThing sent none."""
    sent = [row for row in outbox if row.routing_key == queue or not _is_replay(row)]
    if not sent or sent[-1].published_at is not None:
        return ""
    parked = sent[-1].parked_at is not None
    return f"could not be published: {sent[-1].parked_reason}" if parked else "not confirmed by the broker yet"


def _arrival(
    queue: str, handled: bool, letter: DeadLetter | None, unpublished: str, paused: str | None
) -> TraceArrival:
    if handled:
        return TraceArrival(queue, "handled")
    if letter is not None and letter.state != DeadLetter.State.REPLAYED:
        return TraceArrival(queue, "dead" if letter.state == DeadLetter.State.OPEN else "discarded", letter.error)
    if unpublished:
        return TraceArrival(queue, "waiting", unpublished)
    if paused is not None:
        return TraceArrival(queue, "waiting", f"the queue is paused: {paused}")
    return TraceArrival(queue, "waiting", "not handled yet, or handled more than a week ago")


def _is_replay(row: OutboxEvent) -> bool:
    return topology.REPLAY_HEADER in row.headers


def _task(queue: str) -> str:
    return topology.SUBSCRIPTIONS.get(queue, "")
