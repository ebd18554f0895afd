"""Sends Celery tasks for services, which need not import Celery."""

import logging
import time

from celery import current_app
from django.db import transaction

# A hint is sent at most twice, because the first connection may have been lost long ago. A process sends no hints for
# _OPEN_SECONDS after a failure, or while sending another hint takes longer than _SLOW_SECONDS. So a broker that does
# not respond delays one caller in the process, for about 8 s (two connections or confirms), and not each of its
# threads.
_HINT_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
_OPEN_SECONDS = 5.0
_SLOW_SECONDS = 0.5

log = logging.getLogger(__name__)


class _CircuitBreaker:
    """Open while hints are not sent, because the broker did not respond. Times are from `time.monotonic()`."""

    def __init__(self) -> None:
        self.open_until = 0.0
        # The hints that are being sent, with the times at which sending began.
        self.sending_since: dict[object, float] = {}

    @property
    def is_open(self) -> bool:
        now = time.monotonic()
        return now < self.open_until or any(now - since > _SLOW_SECONDS for since in list(self.sending_since.values()))


_breaker = _CircuitBreaker()


def send_on_commit(task_name: str, *args: str, countdown: float = 0) -> None:
    """Send a task to its queue once the caller's transaction has committed.

    The message is only a hint, because beat's tasks find the work by its due row as well. If the broker does not
    confirm the message within seconds, the message is dropped with a warning, and the messages of the next seconds are
    dropped without a warning. `countdown` is in seconds, a few at most.
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
    if _breaker.is_open:
        return
    hint = object()
    _breaker.sending_since[hint] = time.monotonic()
    try:
        current_app.send_task(task_name, args=args, countdown=countdown or None, retry_policy=_HINT_POLICY)
    except Exception as problem:
        _breaker.open_until = time.monotonic() + _OPEN_SECONDS
        log.warning("task %s was not sent; a later task finds its due row: %s", task_name, problem)
    finally:
        del _breaker.sending_since[hint]
