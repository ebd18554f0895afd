"""Tasks of the work queues: what happens if a task fails, expires or is replayed.

A message of a work queue names rows in the database, and beat sends messages for due rows again. So a task may run
twice, and an expired message can be dropped. A failure of a task is a defect, and its message becomes a dead letter.
"""

import logging
import uuid
from collections.abc import Mapping
from typing import Any

from celery import Task
from celery.signals import task_revoked

from messaging.broker import topology
from messaging.consuming.failures import retry_database_errors
from messaging.instrumentation import timings
from messaging.models import HandlingFailure, ProcessedEvent
from messaging.wire import storable

log = logging.getLogger(__name__)

EXPIRED = "expired"


class WorkTask(Task):
    """Base of every task in `topology.TASKS`: `@shared_task(name=…, base=WorkTask)`.

    After an error of the database the task runs again in the same process until the database is back; after ten minutes
    its message returns to the queue. Any other error is recorded, and the message becomes a dead letter.
    """

    ignore_result = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return retry_database_errors(self.name, lambda: self.run(*args, **kwargs))

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Record the error, because AMQP's reject has no reason. The archive finds the record by the task's id."""
        error = storable(f"{type(exc).__name__}: {exc}")
        identity = as_uuid(task_id)
        try:
            HandlingFailure.objects.create(
                queue=queue_of(self.request), event_id=identity, error=error, traceback=storable(str(einfo.traceback))
            )
        except Exception:
            log.exception("task %s: the error could not be recorded", task_id)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Record that a replay was handled, for the page that shows the outcomes of replays."""
        replay = as_uuid(self.request.get(topology.REPLAY_HEADER))
        if replay is not None:
            ProcessedEvent.objects.get_or_create(event_id=replay, subscription=queue_of(self.request))


def queue_of(request: Any) -> str:
    """The queue of a running task's message, which is its routing key on the exchange `tasks`."""
    return str((request.delivery_info or {}).get("routing_key") or "")


def task_name(queue: str, headers: Mapping[str, Any]) -> str:
    """The name of the task of a message in a work queue; empty for any other message."""
    name = headers.get("task")
    return name if queue in topology.TASKS and isinstance(name, str) else ""


def as_uuid(value: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def count_expired(queue: str) -> None:
    """Count a message of a work queue that was dropped because it had expired."""
    timings.count(EXPIRED, queue)


@task_revoked.connect
def _count_found_expired(request: Any = None, expired: bool = False, **_: object) -> None:
    """Count a message that had expired when a worker took it. Celery acknowledges such a message.

    Expired events are dead-lettered instead.
    """
    queue = queue_of(request)
    if expired and queue in topology.TASKS:
        count_expired(queue)
