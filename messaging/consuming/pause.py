"""Each worker applies the rows of QueueControl before it begins to consume, and every few seconds afterwards."""

import logging
import time
from typing import Any

from celery import bootsteps
from celery.worker.state import maybe_shutdown
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from messaging.models import QueueControl

log = logging.getLogger(__name__)

# Seconds until a pause or a resume reaches a worker, at most.
APPLY_SECONDS = 2.0
_RETRY_SECONDS = 1.0
# After this many failed queries in a row the worker consumes nothing until the database is available again. Otherwise
# each message that a handler returns would be delivered again at once, and each delivery counts: after hours of that
# the broker would dead-letter good messages for reaching the delivery limit.
FAILURES_BEFORE_STOP = 2


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
        """Wait for the database: a worker that does not know which queues are paused consumes nothing."""
        is_logged = False
        while True:
            try:
                return self._read()
            except (DatabaseError, InterfaceError) as problem:
                if not is_logged:
                    log.warning(
                        "waiting for the database, which stores which queues are paused: %s", str(problem).strip()
                    )
                is_logged = True
                maybe_shutdown()
                time.sleep(_RETRY_SECONDS)

    def _poll(self, consumer: Any) -> None:
        try:
            paused = self._read()
        except (DatabaseError, InterfaceError) as problem:
            self._failures += 1
            log.warning("cannot read from the database which queues are paused: %s", str(problem).strip())
            if self._failures == FAILURES_BEFORE_STOP:
                consumer.call_soon(stop_consuming, consumer)
            return
        self._failures = 0
        # The timer of a thread pool has its own thread, but the channel belongs to the consumer's thread.
        consumer.call_soon(apply, consumer, paused)

    def _read(self) -> set[str]:
        close_old_connections()
        try:
            return paused_queues()
        except (DatabaseError, InterfaceError):
            connection.close()
            raise


def stop_consuming(consumer: Any) -> None:
    """Consume from no queue until `apply` is called. Prefetched messages are handled when the database is available."""
    tasks = consumer.task_consumer
    if tasks is None:
        return
    log.warning("the database is unavailable: this worker consumes from no queue until it is back")
    for queue in list(tasks.queues):
        consumer.forget_queue(queue.name)


def apply(consumer: Any, paused: set[str]) -> None:
    """Consume from every queue of this worker except the paused ones. Prefetched messages are still handled."""
    tasks = consumer.task_consumer
    if tasks is None:
        return
    mine = consumer.app.amqp.queues.consume_from
    consumed = {queue.name for queue in tasks.queues}
    for name, queue in mine.items():
        if name in paused and name in consumed:
            consumer.forget_queue(name)
            log.warning("%s is paused", name)
        elif name not in paused and name not in consumed:
            tasks.add_queue(queue)
            tasks.consume()
            log.warning("%s is resumed", name)
