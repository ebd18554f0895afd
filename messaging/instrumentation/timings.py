"""Histograms of how long handlers take, and how old events are when they are handled, over all processes.

Handlers run in prefork children on several machines. The children come and go, and Prometheus cannot scrape them. So
each process counts in memory, and its own thread adds the counts to rows of `HandlingBucket` a few seconds after the
first event. Counts survive restarts and are the same in every web process. A killed process loses the counts of its
last few seconds.
"""

import logging
import math
import os
import time
from bisect import bisect_left
from collections.abc import Iterable
from datetime import UTC, datetime
from threading import Lock, Timer

from celery.signals import worker_init, worker_process_shutdown, worker_shutdown
from django.db import Error, connection, transaction

from messaging.models import HandlingBucket

log = logging.getLogger(__name__)

HANDLER_SECONDS = "handler_seconds"
EVENT_AGE_SECONDS = "event_age_seconds"
# Upper bounds in seconds. They may be changed: counts stay in the buckets that they were added to.
BOUNDS = {
    HANDLER_SECONDS: (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, math.inf),
    EVENT_AGE_SECONDS: (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86_400.0, math.inf),
}
FLUSH_SECONDS = 5.0

# (metric, subscription, bound) → count and sum.
Counted = dict[tuple[str, str, float], tuple[int, float]]


class Tally:
    """The counts of this process that are not in the database yet. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counted: Counted = {}

    def add(self, counted: Counted) -> bool:
        """Add counts and sums. Returns whether the tally was empty before."""
        with self._lock:
            was_empty = not self._counted
            for key, (count, total) in counted.items():
                old_count, old_total = self._counted.get(key, (0, 0.0))
                self._counted[key] = (old_count + count, old_total + total)
            return was_empty

    def take(self) -> Counted:
        with self._lock:
            taken, self._counted = self._counted, {}
        return taken


_tally = Tally()
# Outside workers (in a shell or a test) no timer runs, so the caller has to call `flush`.
_in_worker = False


def count_on_commit(subscription: str, created_at: datetime | None = None) -> None:
    """Record the handler's duration, including the commit, when its transaction commits. Call it before the handler.

    With the event's `created_at`, the event's age at this moment is recorded, too. Errors here never reach the handler.
    """
    age = None if created_at is None else (datetime.now(UTC) - created_at).total_seconds()
    started = time.monotonic()

    def count() -> None:
        observe(HANDLER_SECONDS, subscription, time.monotonic() - started)
        if age is not None:
            observe(EVENT_AGE_SECONDS, subscription, age)

    # A named function: Django logs errors of a robust hook with the function's name, which a partial lacks.
    transaction.on_commit(count, robust=True)


def observe(metric: str, subscription: str, value: float) -> None:
    """Record one value in seconds. A negative one (a publisher's clock ahead of ours) counts as 0."""
    observe_all(metric, subscription, [value])


def observe_all(metric: str, subscription: str, values: Iterable[float]) -> None:
    """Like `observe`, for many values."""
    counted: Counted = {}
    for value in values:
        value = max(0.0, value)
        key = (metric, subscription, BOUNDS[metric][bisect_left(BOUNDS[metric], value)])
        count, total = counted.get(key, (0, 0.0))
        counted[key] = (count + 1, total + value)
    if counted:
        _add(counted)


def count(metric: str, subscription: str) -> None:
    """Count an occurrence of something without a duration, stored in one bucket beside the histograms."""
    _add({(metric, subscription, math.inf): (1, 0.0)})


def flush() -> None:
    """Add the counts to the database. After a database error they are kept for the next call."""
    counted = _tally.take()
    if not counted:
        return
    try:
        with transaction.atomic():
            _write(counted)
    except Error as problem:
        _add(counted)
        log.warning("timings of handlers are written later: %s", str(problem).strip())


def _write(counted: Counted) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {HandlingBucket._meta.db_table} AS kept (metric, subscription, bound, count, total)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (metric, subscription, bound)"
            " DO UPDATE SET count = kept.count + excluded.count, total = kept.total + excluded.total",
            # Sorted, so that two processes cannot deadlock.
            [(*key, *counted[key]) for key in sorted(counted)],
        )


def _add(counted: Counted) -> None:
    """Add to the tally. In a worker, the thread that finds the tally empty starts the timer to flush it."""
    if _tally.add(counted) and _in_worker:
        timer = Timer(FLUSH_SECONDS, _flush_in_thread)
        timer.daemon = True
        timer.start()


def _flush_in_thread() -> None:
    try:
        flush()
    finally:
        connection.close()


def _write_from_now_on(**_: object) -> None:
    """Runs before the pool forks, so the children inherit the flag."""
    global _in_worker
    _in_worker = True


def _flush_at_end(**_: object) -> None:
    flush()


def _forget() -> None:
    """A forked child must neither count its parent's events again nor inherit a locked lock."""
    global _tally
    _tally = Tally()


os.register_at_fork(after_in_child=_forget)
worker_init.connect(_write_from_now_on)
worker_process_shutdown.connect(_flush_at_end)
worker_shutdown.connect(_flush_at_end)
