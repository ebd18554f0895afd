"""Each worker applies the rows of QueueControl: before it consumes for the first time, and every few seconds after."""

import logging
import time
from typing import Any

from celery import bootsteps
from celery.worker.state import maybe_shutdown
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from messaging.models import QueueControl

log = logging.getLogger(__name__)

# How long a pause or a resume may take to reach a worker.
APPLY_SECONDS = 2.0
_RETRY_SECONDS = 1.0
# So many looks in a row at a database that is away, and the worker takes nothing more until it is back. Each message
# that a handler gives back after its patience would come at once again, and each time counts: after hours of that
# the broker would take innocent messages for poison.
LOOKS_BEFORE_REST = 2


def paused_queues() -> set[str]:
    return set(QueueControl.objects.filter(paused=True).values_list("queue", flat=True))


class ApplyQueueControl(bootsteps.StartStopStep):
    """A step of the worker's consumer, between connecting and consuming."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        self._timer_entry: Any = None
        self._failures = 0
        super().__init__(consumer, **kwargs)

    def start(self, consumer: Any) -> None:
        self._failures = 0
        apply(consumer, self._read_or_wait())
        self._timer_entry = consumer.timer.call_repeatedly(APPLY_SECONDS, self._poll, (consumer,))

    def stop(self, consumer: Any) -> None:
        if self._timer_entry is not None:
            consumer.timer.cancel(self._timer_entry)
            self._timer_entry = None

    def _read_or_wait(self) -> set[str]:
        """A worker that cannot know what is paused consumes nothing."""
        told = False
        while True:
            try:
                return self._read()
            except (DatabaseError, InterfaceError) as problem:
                if not told:
                    log.warning("waiting for the database to learn which queues are paused: %s", str(problem).strip())
                told = True
                maybe_shutdown()
                time.sleep(_RETRY_SECONDS)

    def _poll(self, consumer: Any) -> None:
        try:
            paused = self._read()
        except (DatabaseError, InterfaceError) as problem:
            self._failures += 1
            log.warning("which queues are paused cannot be read now: %s", str(problem).strip())
            if self._failures == LOOKS_BEFORE_REST:
                consumer.call_soon(rest, consumer)
            return
        self._failures = 0
        # A thread pool's timer has a thread of its own, and the channel belongs to the consumer's.
        consumer.call_soon(apply, consumer, paused)

    def _read(self) -> set[str]:
        close_old_connections()
        try:
            return paused_queues()
        except (DatabaseError, InterfaceError):
            connection.close()
            raise


def rest(consumer: Any) -> None:
    """Consume from no queue until `apply` is called. What was prefetched is handled when the database is back."""
    tasks = consumer.task_consumer
    if tasks is None:
        return
    log.warning("the database is away: nothing more is taken from any queue")
    for queue in list(tasks.queues):
        consumer.forget_queue(queue.name)


def apply(consumer: Any, paused: set[str]) -> None:
    """Consume from every queue of this worker except the paused ones. What was prefetched is still handled."""
    tasks = consumer.task_consumer
    if tasks is None:
        return
    mine = consumer.app.amqp.queues.consume_from
    held = {queue.name for queue in tasks.queues}
    for name, queue in mine.items():
        if name in paused and name in held:
            consumer.forget_queue(name)
            log.warning("%s is paused", name)
        elif name not in paused and name not in held:
            tasks.add_queue(queue)
            tasks.consume()
            log.warning("%s is resumed", name)
