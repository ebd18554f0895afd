"""Sends Celery tasks for services, which need not import Celery."""

import logging
import time

from celery import current_app
from django.db import transaction

# A hint is sent at most twice, because the first connection may have been lost long ago. After a failure no hints are
# sent for _REST_SECONDS, and none while another one takes longer than _SLOW_SECONDS. So a silent broker delays one
# caller of a process, for about 8 s (two connections or confirmations), and not each of its threads.
_HINT_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
_REST_SECONDS = 5.0
_SLOW_SECONDS = 0.5

log = logging.getLogger(__name__)


class _CircuitBreaker:
    """Whether hints are not sent at the moment. Times are on time.monotonic()."""

    def __init__(self) -> None:
        self.until = 0.0
        # The hints that are being sent, with the times when that began.
        self.begun: dict[object, float] = {}

    @property
    def now(self) -> bool:
        now = time.monotonic()
        return now < self.until or any(now - begun > _SLOW_SECONDS for begun in list(self.begun.values()))


_breaker = _CircuitBreaker()


def send_on_commit(task_name: str, *args: str, countdown: float = 0) -> None:
    """Send a task to its queue once the caller's transaction has committed.

    The message is only a hint. If the broker does not confirm it within seconds, the task is lost with a warning, and
    so are those of the next seconds, without a warning. Beat finds the work again by its due row. `countdown` is in
    seconds, a few at most.
    """
    transaction.on_commit(lambda: _send_rollback_unsafe(task_name, args, countdown), robust=True)


def send_to_queue_rollback_unsafe(
    task_name: str, *args: str, queue: str, expires: float | None = None, task_id: str | None = None
) -> None:
    """Send a task at once to the queue with this name. Raises an error if the broker does not accept it.

    A rollback of the caller's transaction does not take the task back. `expires` is in seconds.
    """
    current_app.send_task(task_name, args=args, queue=queue, expires=expires, task_id=task_id)


def _send_rollback_unsafe(task_name: str, args: tuple[str, ...], countdown: float) -> None:
    if _breaker.now:
        return
    hint = object()
    _breaker.begun[hint] = time.monotonic()
    try:
        current_app.send_task(task_name, args=args, countdown=countdown or None, retry_policy=_HINT_POLICY)
    except Exception as problem:
        _breaker.until = time.monotonic() + _REST_SECONDS
        log.warning("task %s was not sent, its due row will be found later: %s", task_name, problem)
    finally:
        del _breaker.begun[hint]
