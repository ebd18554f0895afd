"""Many messages at once: what a pool's child does with a batch."""

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from celery.exceptions import Reject
from django.db import DatabaseError, connection, transaction

from messaging import handling, telemetry, timings, topology, tracing
from messaging.arrival import Message, Subscription
from messaging.events import Event, UndecodableMessage
from messaging.handling import event_of, handle_event, handle_one, patiently, record_seconds, remember_failures

log = logging.getLogger(__name__)

# In one order everywhere: batches with common events wait for each other, and never in a circle.
_RECORD = """
    INSERT INTO messaging_processedevent (event_id, subscription)
    SELECT id, %s FROM unnest(%s::uuid[]) AS id ORDER BY id ON CONFLICT DO NOTHING RETURNING event_id
"""
_SECONDS = """
    UPDATE messaging_processedevent AS done SET seconds = took.seconds
    FROM unnest(%s::uuid[], %s::float8[]) AS took (event_id, seconds)
    WHERE done.event_id = took.event_id AND done.subscription = %s
"""

Failures = dict[int, Exception]


def consume_many(subscription: Subscription, messages: Sequence[Message]) -> set[int]:
    """Handle all messages, together if the subscription batches, each in its own transaction if it does not.

    Returns the positions of those that failed. Why an event failed has been written down. Raises
    `Reject(requeue=True)` for all of them when the database stays away: what was handled by then is known by its
    record.
    """
    deadline = time.monotonic() + handling.DATABASE_PATIENCE_SECONDS
    taken, failures = _taken(subscription, messages)
    for position, problem in failures.items():
        telemetry.refused(messages[position], problem)
    began = time.time_ns()
    if subscription.batches and _all_together(subscription, taken, deadline):
        telemetry.processed_together(subscription.queue, [messages[position] for position in taken], began)
    else:
        failures |= _each_alone(subscription, messages, taken, deadline)
    if failures and not subscription.raw:
        remember_failures([(messages[position], problem) for position, problem in sorted(failures.items())])
    return set(failures)


def _all_together(subscription: Subscription, taken: Mapping[int, Any], deadline: float) -> bool:
    """False when one of them has spoiled the batch: the others must not suffer."""
    try:
        patiently(subscription.queue, lambda: _together(subscription, list(taken.values())), deadline)
    except Reject:
        raise
    except Exception as problem:
        log.warning("%s: of %d messages each is tried alone: %r", subscription.queue, len(taken), problem)
        return False
    return True


def _taken(subscription: Subscription, messages: Sequence[Message]) -> tuple[Mapping[int, Any], Failures]:
    """What the handler takes by position, events or whole messages; and the messages that are no such thing."""
    if subscription.raw:
        return dict(enumerate(messages)), {}
    events: dict[int, Event] = {}
    failures: Failures = {}
    for position, message in enumerate(messages):
        try:
            events[position] = event_of(subscription, message)
        except UndecodableMessage as problem:
            failures[position] = problem
    return events, failures


def _together(subscription: Subscription, taken: Sequence[Any]) -> None:
    began = time.monotonic()
    now = datetime.now(UTC)
    with transaction.atomic():
        fresh = taken if subscription.raw else _first_times(subscription.queue, taken)
        if fresh:
            handling_began = time.monotonic()
            subscription.handler(list(fresh))
            if not subscription.raw:
                ids = [event.id for event in fresh if isinstance(event, Event)]
                record_seconds(ids, subscription.queue, time.monotonic() - handling_began)
    if not fresh:
        return
    seconds = time.monotonic() - began
    ages = [(now - event.created_at).total_seconds() for event in fresh if isinstance(event, Event)]
    timings.observe_all(timings.HANDLER_SECONDS, subscription.queue, [seconds / len(fresh)] * len(fresh))
    timings.observe_all(timings.EVENT_AGE_SECONDS, subscription.queue, ages)
    names = " ".join(str(event.id) for event in fresh if isinstance(event, Event))
    log.info("%s: %d together in %.3f s: %s", subscription.queue, len(fresh), seconds, names)


def _first_times(queue: str, events: Sequence[Event]) -> list[Event]:
    """Record the events; those that were not recorded before, each once."""
    by_id = {event.id: event for event in events}
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [queue, list(by_id)])
        return [by_id[event_id] for (event_id,) in cursor.fetchall()]


def _each_alone(
    subscription: Subscription, messages: Sequence[Message], taken: Mapping[int, Any], deadline: float
) -> Failures:
    failures: Failures = {}
    handled: dict[uuid.UUID, float] = {}
    for position, thing in taken.items():
        with tracing.handling(messages[position].headers.get(topology.TRACE_HEADER)):
            try:
                with telemetry.processing(messages[position]):
                    patiently(subscription.queue, partial(_alone, subscription, thing, handled), deadline)
            except Reject:
                raise
            except Exception as problem:
                failures[position] = problem
                if subscription.raw:
                    log.exception("%s: a message cannot be archived now, it stays", subscription.queue)
    if handled:
        _record_each(subscription.queue, handled)
        names = " ".join(map(str, handled))
        log.info("%s: %d one by one in %.3f s: %s", subscription.queue, len(handled), sum(handled.values()), names)
    return failures


def _alone(subscription: Subscription, thing: Event | Message, handled: dict[uuid.UUID, float]) -> None:
    if isinstance(thing, Message):
        handle_one(subscription, thing)
        return
    seconds = handle_event(subscription, thing)
    if seconds is not None:
        handled[thing.id] = seconds


def _record_each(queue: str, handled: Mapping[uuid.UUID, float]) -> None:
    """For the traces alone: nothing depends on it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_SECONDS, [list(handled), list(handled.values()), queue])
    except DatabaseError as problem:
        log.warning("%s: how long %d events took is not recorded: %s", queue, len(handled), str(problem).strip())
