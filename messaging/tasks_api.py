"""Sending a Celery task from a service, without knowing Celery."""

import logging
import time

from celery import current_app
from django.db import transaction

# A hint is tried twice: the first connection may have been dead for long. Then hints rest for so many seconds, so that
# a silent broker holds up one caller and not each.
_HINT_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
_REST_SECONDS = 5.0

log = logging.getLogger(__name__)


class _Rest:
    # On time.monotonic().
    until = 0.0


_rest = _Rest()


def send_on_commit(task_name: str, *args: str, countdown: float = 0) -> None:
    """Send a task to its queue once the caller's transaction has committed.

    A hint, not a promise: when the broker does not confirm it within seconds the task is lost with a warning, and so
    are those of the next seconds without one. Whatever it was to do is found again by beat through its due row.
    `countdown` is for a few seconds at most.
    """
    transaction.on_commit(lambda: _send_rollback_unsafe(task_name, args, countdown), robust=True)


def send_to_queue_rollback_unsafe(
    task_name: str, *args: str, queue: str, expires: float | None = None, task_id: str | None = None
) -> None:
    """Send a task at once to a queue given by name; raises when the broker does not take it."""
    current_app.send_task(task_name, args=args, queue=queue, expires=expires, task_id=task_id)


def _send_rollback_unsafe(task_name: str, args: tuple[str, ...], countdown: float) -> None:
    if time.monotonic() < _rest.until:
        return
    try:
        current_app.send_task(task_name, args=args, countdown=countdown or None, retry_policy=_HINT_POLICY)
    except Exception as problem:
        _rest.until = time.monotonic() + _REST_SECONDS
        log.warning("task %s was not sent, its due row will be found later: %s", task_name, problem)
