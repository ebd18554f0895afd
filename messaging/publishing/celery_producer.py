"""Publishing for Celery with a time limit.

A broker that is out of memory or disk reads messages and confirms none until the alarm is over, and a broker that hangs
does not even refuse a connection. py-amqp waits for a confirm forever unless it gets a timeout, which Celery does not
set.
"""

from typing import Any

from celery.app.amqp import AMQP
from kombu import Producer
from kombu.pools import ProducerPool

from messaging.broker import topology

# Seconds for writing the message to the socket, and again for the broker's confirm.
CONFIRM_SECONDS = 3.0


class TimedProducer(Producer):
    """Raises an error if the broker has not confirmed in time, or if a task's queue is missing.

    The broker returns a task whose queue is missing, unless an alternate exchange takes it.
    """

    def publish(self, *args: Any, **options: Any) -> Any:
        # Celery sends tasks through the default exchange, which cannot have an alternate. Messages for remote control
        # and task events may have no recipients.
        options["mandatory"] = (options.get("exchange") or "") in ("", topology.TASKS_EXCHANGE)
        options["timeout"] = options.get("timeout") or CONFIRM_SECONDS
        options["confirm_timeout"] = options.get("confirm_timeout") or CONFIRM_SECONDS
        try:
            return super().publish(*args, **options)
        except Exception:
            # A late confirm would count for the next message, and a proper close would wait for a response.
            if self.connection is not None:
                self.connection.collect()
            raise


class TimedAMQP(AMQP):
    """Celery's AMQP, with `TimedProducer` for everything that an application sends."""

    Producer = TimedProducer

    @property
    def producer_pool(self) -> ProducerPool:
        pool = super().producer_pool
        # The pool creates its first producer later, so this applies to all.
        pool.Producer = TimedProducer
        return pool
