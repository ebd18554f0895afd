"""Many messages at once: what a pool's child does with a batch."""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from celery.exceptions import Reject
from django.db import transaction

from messaging.consuming import copies, handling
from messaging.consuming.bundles import Failures, each_alone, first_times, one_after_another
from messaging.consuming.handling import event_of, patiently, record_seconds, remember_failures
from messaging.events import Event, UndecodableMessage
from messaging.instrumentation import telemetry, timings
from messaging.instrumentation.error_names import fault
from messaging.messages import Message, Subscription

log = logging.getLogger(__name__)


def consume_many(subscription: Subscription, messages: Sequence[Message]) -> set[int]:
    """Handle all messages, together if the subscription batches, one after another if it does not.

    Returns the positions of those that failed. Why an event failed has been written down. Raises
    `Reject(requeue=True)` for all of them when the database stays away: what was handled by then is known by its
    record.
    """
    deadline = time.monotonic() + handling.DATABASE_PATIENCE_SECONDS
    taken, failures = _taken(subscription, messages)
    for position, problem in failures.items():
        telemetry.refused(messages[position], problem)
    began = time.time_ns()
    if subscription.batches and _all_together(subscription, messages, taken, deadline):
        telemetry.processed_together(subscription.queue, [messages[position] for position in taken], began)
    elif subscription.batches or subscription.raw:
        failures |= each_alone(subscription, messages, taken, deadline)
    else:
        failures |= one_after_another(subscription, messages, taken, deadline)
    if failures and not subscription.raw:
        remember_failures([(messages[position], problem) for position, problem in sorted(failures.items())])
    return set(failures)


def _all_together(
    subscription: Subscription, messages: Sequence[Message], taken: Mapping[int, Any], deadline: float
) -> bool:
    """False when one of them has spoiled the batch: the others must not suffer."""
    try:
        patiently(subscription.queue, lambda: _together(subscription, messages, taken), deadline)
    except Reject:
        raise
    except Exception as problem:
        log.warning("%s: of %d messages each is tried alone: %s", subscription.queue, len(taken), fault(problem))
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


def _together(subscription: Subscription, messages: Sequence[Message], taken: Mapping[int, Any]) -> None:
    began = time.monotonic()
    now = datetime.now(UTC)
    with transaction.atomic():
        fresh = list(taken.values()) if subscription.raw else _fresh(subscription.queue, messages, taken)
        if fresh:
            handling_began = time.monotonic()
            subscription.handler(fresh)
            if not subscription.raw:
                seconds = time.monotonic() - handling_began
                record_seconds({event.id: seconds for event in fresh}, subscription.queue)
    if not fresh:
        return
    seconds = time.monotonic() - began
    ages = [(now - event.created_at).total_seconds() for event in fresh if isinstance(event, Event)]
    timings.observe_all(timings.HANDLER_SECONDS, subscription.queue, [seconds / len(fresh)] * len(fresh))
    timings.observe_all(timings.EVENT_AGE_SECONDS, subscription.queue, ages)
    names = " ".join(str(event.id) for event in fresh if isinstance(event, Event))
    log.info("%s: %d together in %.3f s: %s", subscription.queue, len(fresh), seconds, names)


def _fresh(queue: str, messages: Sequence[Message], events: Mapping[int, Event]) -> list[Event]:
    """Record the events; those that were not handled before. All of them, or none, are handled in this transaction."""
    arrivals = copies.arrivals((messages[position], event.id) for position, event in events.items())
    fresh = first_times(queue, events.values(), arrivals)
    copies.remember(queue, (arrivals[event.id] for event in fresh if event.id in arrivals))
    return fresh
