"""Sending a Celery task from a service, without knowing Celery."""

import logging

from celery import current_app
from django.db import transaction

log = logging.getLogger(__name__)


def send_on_commit(task_name: str, *args: str, countdown: float = 0) -> None:
    """Send a task to its queue once the caller's transaction has committed.

    A hint, not a promise: when the broker cannot be reached the task is lost with a warning. Whatever it was to do is
    found again by beat through its due row. `countdown` is for a few seconds at most.
    """
    transaction.on_commit(lambda: _send_rollback_unsafe(task_name, args, countdown), robust=True)


def send_to_queue_rollback_unsafe(
    task_name: str, *args: str, queue: str, expires: float | None = None, task_id: str | None = None
) -> None:
    """Send a task at once to a queue given by name; raises when the broker does not take it."""
    current_app.send_task(task_name, args=args, queue=queue, expires=expires, task_id=task_id)


def _send_rollback_unsafe(task_name: str, args: tuple[str, ...], countdown: float) -> None:
    try:
        current_app.send_task(task_name, args=args, countdown=countdown or None)
    except Exception as problem:
        log.warning("task %s was not sent, its due row will be found later: %s", task_name, problem)
