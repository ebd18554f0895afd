"""Single events that wait anyway, handled by one child one after another and with few commits: waiting for the disk
takes longer than most handlers."""

import logging
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from celery.exceptions import Reject
from django.db import DatabaseError, transaction

from messaging.broker import topology
from messaging.consuming import copies
from messaging.consuming.handling import (
    handle_event,
    handle_one,
    handler_seconds,
    patiently,
    record_all,
    record_seconds,
)
from messaging.events import Event
from messaging.instrumentation import telemetry, timings, tracing
from messaging.instrumentation.error_names import fault
from messaging.messages import Message, Subscription
from messaging.models import ProcessedEvent

log = logging.getLogger(__name__)

# Handlers' locks are held until the commit: after so many seconds there is one, whatever still waits.
COMMIT_AFTER_SECONDS = 0.05

Failures = dict[int, Exception]


def one_after_another(
    subscription: Subscription, messages: Sequence[Message], events: Mapping[int, Event], deadline: float
) -> Failures:
    """Handle events (by position) with as few commits as their handlers' speed allows; those that failed, and why.

    When one of them fails nothing of its commit has happened, and each is tried alone.
    """
    rest = dict(events)
    while rest:
        try:
            done = patiently(subscription.queue, partial(_with_one_commit, subscription, messages, rest), deadline)
        except Reject:
            raise
        except Exception as problem:
            log.warning("%s: of %d messages each is tried alone: %s", subscription.queue, len(rest), fault(problem))
            return each_alone(subscription, messages, rest, deadline)
        rest = {position: event for position, event in rest.items() if position not in done}
    return {}


def _with_one_commit(
    subscription: Subscription, messages: Sequence[Message], events: Mapping[int, Event]
) -> dict[int, int]:
    """By position: when (`time.time_ns()`) the handling began of each event that is settled by now."""
    began, now = time.monotonic(), datetime.now(UTC)
    done: dict[int, int] = {}
    handled: dict[uuid.UUID, float] = {}
    with transaction.atomic():
        arrivals = copies.arrivals((messages[position], event.id) for position, event in events.items())
        fresh = {event.id: event for event in first_times(subscription.queue, events.values(), arrivals)}
        # What was handled before is settled by now, whenever the next commit is.
        done |= {position: time.time_ns() for position, event in events.items() if event.id not in fresh}
        for position, event in events.items():
            if position in done:
                continue
            done[position] = time.time_ns()
            if event.id not in handled:
                with tracing.handling(messages[position].headers.get(topology.TRACE_HEADER)):
                    handled[event.id] = handler_seconds(subscription, event)
            if time.monotonic() - began > COMMIT_AFTER_SECONDS:
                break
        _forget(subscription.queue, [event_id for event_id in fresh if event_id not in handled])
        copies.remember(subscription.queue, (arrivals[event_id] for event_id in handled if event_id in arrivals))
        record_seconds(handled, subscription.queue)
    for position, began_ns in done.items():
        telemetry.processed(messages[position], began_ns)
    ages = [(now - fresh[event_id].created_at).total_seconds() for event_id in handled]
    timings.observe_all(timings.HANDLER_SECONDS, subscription.queue, handled.values())
    timings.observe_all(timings.EVENT_AGE_SECONDS, subscription.queue, ages)
    _tell(subscription.queue, handled, began)
    return done


def first_times(queue: str, events: Iterable[Event], arrivals: Mapping[uuid.UUID, copies.Arrival]) -> list[Event]:
    """Record the events; those that were not recorded before, each once. `arrivals`: those that came without an id."""
    again = copies.handled_before(queue, arrivals)
    by_id = {event.id: event for event in events if event.id not in again}
    return [by_id[event_id] for event_id in record_all(queue, by_id)]


def _forget(queue: str, event_ids: Sequence[uuid.UUID]) -> None:
    """Recorded by this transaction, and not handled by it."""
    if event_ids:
        ProcessedEvent.objects.filter(subscription=queue, event_id__in=event_ids).delete()


def each_alone(
    subscription: Subscription, messages: Sequence[Message], taken: Mapping[int, Any], deadline: float
) -> Failures:
    """Handle events or whole messages (by position), a transaction each; those that failed, and why."""
    failures: Failures = {}
    handled: dict[uuid.UUID, float] = {}
    began = time.monotonic()
    for position, thing in taken.items():
        with tracing.handling(messages[position].headers.get(topology.TRACE_HEADER)):
            try:
                with telemetry.processing(messages[position]):
                    patiently(
                        subscription.queue, partial(_alone, subscription, thing, messages[position], handled), deadline
                    )
            except Reject:
                raise
            except Exception as problem:
                failures[position] = problem
                if subscription.raw:
                    log.exception("%s: a message cannot be archived now, it stays", subscription.queue)
    _record_afterwards(subscription.queue, handled)
    _tell(subscription.queue, handled, began)
    return failures


def _alone(
    subscription: Subscription, thing: Event | Message, message: Message, handled: dict[uuid.UUID, float]
) -> None:
    if isinstance(thing, Message):
        handle_one(subscription, thing)
        return
    seconds = handle_event(subscription, thing, message)
    if seconds is not None:
        handled[thing.id] = seconds


def _record_afterwards(queue: str, handled: Mapping[uuid.UUID, float]) -> None:
    """Nothing depends on it."""
    try:
        record_seconds(handled, queue)
    except DatabaseError as problem:
        log.warning("%s: how long %d events took is not recorded: %s", queue, len(handled), str(problem).strip())


def _tell(queue: str, handled: Mapping[uuid.UUID, float], began: float) -> None:
    if not handled:
        return
    names = " ".join(map(str, handled))
    log.info("%s: %d one by one in %.3f s: %s", queue, len(handled), time.monotonic() - began, names)
