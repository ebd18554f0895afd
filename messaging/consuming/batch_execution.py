"""The child process's part for a *batch*: messages of one queue that waited together.

The subscription decides how the child handles the batch.

- A handler with `batch=True` is called once, with all events of the batch, in one transaction.
- Any other handler is called with one event at a time, and the events are a *bundle*: they share commits, because
  waiting for the disk takes longer than most handlers. There is a commit after `COMMIT_AFTER_SECONDS` at the latest.
- A raw handler of single messages has a transaction for each message.

When an event fails, its transaction is rolled back with everything in it. Each event of that transaction is then
handled alone, so that a failure is recorded for the event that caused it, and for no other.
"""

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from celery.exceptions import Reject
from django.db import transaction

from messaging.broker import topology
from messaging.consuming import copies, failures
from messaging.consuming.execution import Subscription, call_handler, event_of, handle_event, handle_message
from messaging.consuming.failures import retry_database_errors
from messaging.consuming.processed_events import first_times, forget, record_seconds, record_seconds_after_commit
from messaging.events import Event, UndecodableMessage
from messaging.instrumentation import telemetry, timings, tracing
from messaging.instrumentation.error_names import fault
from messaging.messages import ReceivedMessage

log = logging.getLogger(__name__)

# Handlers' locks last until the commit, so a bundle commits after this many seconds, even if events are left.
COMMIT_AFTER_SECONDS = 0.05

# Position in the batch → the error.
Failures = dict[int, Exception]


def consume_batch(subscription: Subscription, messages: Sequence[ReceivedMessage]) -> set[int]:
    """The task of a batch. Records all failures and returns the positions of the messages that failed.

    Raises `Reject(requeue=True)` for the whole batch if the database stays unavailable. Events that were handled before
    that are recorded, so they are not handled again when they come back.
    """
    deadline = time.monotonic() + failures.DATABASE_PATIENCE_SECONDS
    taken, failed = _decoded(subscription, messages)
    for position, problem in failed.items():
        telemetry.refused(messages[position], problem)
    if subscription.batch:
        failed |= _handle_batch(subscription, messages, taken, deadline)
    elif subscription.raw:
        failed |= _handle_each_alone(subscription, messages, taken, deadline)
    else:
        failed |= _handle_bundle(subscription, messages, taken, deadline)
    if failed and not subscription.raw:
        failures.record([(messages[position], problem) for position, problem in sorted(failed.items())])
    return set(failed)


def _decoded(subscription: Subscription, messages: Sequence[ReceivedMessage]) -> tuple[Mapping[int, Any], Failures]:
    """The events, or raw messages, for the handler by position, and the errors of messages that cannot be decoded."""
    if subscription.raw:
        return dict(enumerate(messages)), {}
    events: dict[int, Event] = {}
    failed: Failures = {}
    for position, message in enumerate(messages):
        try:
            events[position] = event_of(subscription, message)
        except UndecodableMessage as problem:
            failed[position] = problem
    return events, failed


def _handle_batch(
    subscription: Subscription, messages: Sequence[ReceivedMessage], taken: Mapping[int, Any], deadline: float
) -> Failures:
    """Call the handler once with the whole batch, and after an error with each event alone. Returns those failures."""
    began = time.time_ns()
    try:
        retry_database_errors(subscription.queue, lambda: _call_with_all(subscription, messages, taken), deadline)
    except Reject:
        raise
    except Exception as problem:
        log.warning("%s: of %d messages each is tried alone: %s", subscription.queue, len(taken), fault(problem))
        return _handle_each_alone(subscription, messages, taken, deadline)
    telemetry.processed_together(subscription.queue, [messages[position] for position in taken], began)
    return {}


def _call_with_all(subscription: Subscription, messages: Sequence[ReceivedMessage], taken: Mapping[int, Any]) -> None:
    began, now = time.monotonic(), datetime.now(UTC)
    with transaction.atomic():
        fresh = list(taken.values()) if subscription.raw else _fresh(subscription.queue, messages, taken)
        if fresh:
            handling_began = time.monotonic()
            subscription.handler(fresh)
            if not subscription.raw:
                seconds = time.monotonic() - handling_began
                record_seconds(subscription.queue, {event.id: seconds for event in fresh})
    if not fresh:
        return
    seconds = time.monotonic() - began
    ages = [(now - event.created_at).total_seconds() for event in fresh if isinstance(event, Event)]
    timings.observe_all(timings.HANDLER_SECONDS, subscription.queue, [seconds / len(fresh)] * len(fresh))
    timings.observe_all(timings.EVENT_AGE_SECONDS, subscription.queue, ages)
    names = " ".join(str(event.id) for event in fresh if isinstance(event, Event))
    log.info("%s: %d together in %.3f s: %s", subscription.queue, len(fresh), seconds, names)


def _fresh(queue: str, messages: Sequence[ReceivedMessage], events: Mapping[int, Event]) -> list[Event]:
    """Record the events and return those that were not handled before, which this transaction must handle."""
    arrivals = copies.arrivals((messages[position], event.id) for position, event in events.items())
    fresh = first_times(queue, events.values(), arrivals)
    copies.remember(queue, (arrivals[event.id] for event in fresh if event.id in arrivals))
    return fresh


def _handle_bundle(
    subscription: Subscription, messages: Sequence[ReceivedMessage], events: Mapping[int, Event], deadline: float
) -> Failures:
    """Call the handler with one event after the other, with as few commits as possible. Returns the failures."""
    rest = dict(events)
    while rest:
        try:
            done = retry_database_errors(
                subscription.queue, partial(_handle_in_transaction, subscription, messages, rest), deadline
            )
        except Reject:
            raise
        except Exception as problem:
            log.warning("%s: of %d messages each is tried alone: %s", subscription.queue, len(rest), fault(problem))
            return _handle_each_alone(subscription, messages, rest, deadline)
        rest = {position: event for position, event in rest.items() if position not in done}
    return {}


def _handle_in_transaction(
    subscription: Subscription, messages: Sequence[ReceivedMessage], events: Mapping[int, Event]
) -> dict[int, int]:
    """Handle events in one transaction, for COMMIT_AFTER_SECONDS at most.

    Returns the settled events: by position, the time (`time.time_ns()`) at which the handling began.
    """
    began, now = time.monotonic(), datetime.now(UTC)
    done: dict[int, int] = {}
    handled: dict[uuid.UUID, float] = {}
    with transaction.atomic():
        arrivals = copies.arrivals((messages[position], event.id) for position, event in events.items())
        fresh = {event.id: event for event in first_times(subscription.queue, events.values(), arrivals)}
        # Events that were handled before are settled whether or not this transaction handles the others.
        done |= {position: time.time_ns() for position, event in events.items() if event.id not in fresh}
        for position, event in events.items():
            if position in done:
                continue
            done[position] = time.time_ns()
            if event.id not in handled:
                with tracing.handling(messages[position].headers.get(topology.TRACE_HEADER)):
                    handled[event.id] = call_handler(subscription, event)
            if time.monotonic() - began > COMMIT_AFTER_SECONDS:
                break
        forget(subscription.queue, [event_id for event_id in fresh if event_id not in handled])
        copies.remember(subscription.queue, (arrivals[event_id] for event_id in handled if event_id in arrivals))
        record_seconds(subscription.queue, handled)
    for position, began_ns in done.items():
        telemetry.processed(messages[position], began_ns)
    ages = [(now - fresh[event_id].created_at).total_seconds() for event_id in handled]
    timings.observe_all(timings.HANDLER_SECONDS, subscription.queue, handled.values())
    timings.observe_all(timings.EVENT_AGE_SECONDS, subscription.queue, ages)
    _log_handled(subscription.queue, handled, began)
    return done


def _handle_each_alone(
    subscription: Subscription, messages: Sequence[ReceivedMessage], taken: Mapping[int, Any], deadline: float
) -> Failures:
    """Call the handler with each event or raw message, in a transaction for each. Returns the failures."""
    failed: Failures = {}
    handled: dict[uuid.UUID, float] = {}
    began = time.monotonic()
    for position, event in taken.items():
        message = messages[position]
        with tracing.handling(message.headers.get(topology.TRACE_HEADER)):
            try:
                with telemetry.processing(message):
                    retry_database_errors(
                        subscription.queue, partial(_alone, subscription, event, message, handled), deadline
                    )
            except Reject:
                raise
            except Exception as problem:
                failed[position] = problem
                if subscription.raw:
                    log.exception("%s: a message cannot be archived now, it stays", subscription.queue)
    record_seconds_after_commit(subscription.queue, handled)
    _log_handled(subscription.queue, handled, began)
    return failed


def _alone(
    subscription: Subscription,
    event: Event | ReceivedMessage,
    message: ReceivedMessage,
    handled: dict[uuid.UUID, float],
) -> None:
    if isinstance(event, ReceivedMessage):
        handle_message(subscription, message)
        return
    seconds = handle_event(subscription, event, message)
    if seconds is not None:
        handled[event.id] = seconds


def _log_handled(queue: str, handled: Mapping[uuid.UUID, float], began: float) -> None:
    if not handled:
        return
    names = " ".join(map(str, handled))
    log.info("%s: %d one by one in %.3f s: %s", queue, len(handled), time.monotonic() - began, names)
