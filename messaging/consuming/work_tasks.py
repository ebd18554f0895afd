"""Tasks of the work queues: what becomes of one that fails, expires or is replayed.

A message of a work queue names rows that stand in the database, and beat finds due rows again. So a task may run twice,
and a message that expired is worth nothing. A task that *fails* is a fault, and its message becomes a dead letter.
"""

import logging
import uuid
from collections.abc import Mapping
from typing import Any

from celery import Task
from celery.signals import task_revoked

from messaging.broker import topology
from messaging.consuming.failures import patiently
from messaging.instrumentation import timings
from messaging.models import HandlingFailure, ProcessedEvent
from messaging.wire import storable

log = logging.getLogger(__name__)

EXPIRED = "expired"


class WorkTask(Task):
    """Base of every task in `topology.TASKS`: `@shared_task(name=…, base=WorkTask)`.

    A failing database is no failure of the task: it runs again in place until the database is back, or returns to its
    queue after ten minutes. Whatever else it raises is recorded and its message becomes a dead letter.
    """

    ignore_result = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return patiently(self.name, lambda: self.run(*args, **kwargs))

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Record why: the reject that follows carries no reason. The archive finds the record by the task's id."""
        error = storable(f"{type(exc).__name__}: {exc}")
        identity = as_uuid(task_id)
        try:
            HandlingFailure.objects.create(
                queue=queue_of(self.request), event_id=identity, error=error, traceback=storable(str(einfo.traceback))
            )
        except Exception:
            log.exception("task %s: why it failed could not be recorded", task_id)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Record that a replay was handled: the page of a bulk replay shows it."""
        replay = as_uuid(self.request.get(topology.REPLAY_HEADER))
        if replay is not None:
            ProcessedEvent.objects.get_or_create(event_id=replay, subscription=queue_of(self.request))


def queue_of(request: Any) -> str:
    """The queue that a running task's message came through: on the exchange `tasks` it is the routing key."""
    return str((request.delivery_info or {}).get("routing_key") or "")


def task_name(queue: str, headers: Mapping[str, Any]) -> str:
    """The task that a message in a work queue is for; empty for a message of any other kind."""
    name = headers.get("task")
    return name if queue in topology.TASKS and isinstance(name, str) else ""


def as_uuid(value: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def count_expired(queue: str) -> None:
    """One more message of a work queue that was dropped because it came too late."""
    timings.count(EXPIRED, queue)


@task_revoked.connect
def _count_found_expired(request: Any = None, expired: bool = False, **_: object) -> None:
    """A worker found it expired when it took it; Celery acknowledges such a message. Events are dead-lettered."""
    queue = queue_of(request)
    if expired and queue in topology.TASKS:
        count_expired(queue)
