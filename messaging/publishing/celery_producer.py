"""Publishing for Celery that ends in time, whatever the broker does.

A broker that is out of memory or disk takes what it is sent and confirms nothing until the alarm is over; a frozen one
does not even refuse. py-amqp waits for a confirmation for ever unless it is told otherwise, which Celery does not do.
"""

from typing import Any

from celery.app.amqp import AMQP
from kombu import Producer
from kombu.pools import ProducerPool

from messaging.broker import topology

# Seconds for each of: the socket taking a message, the broker confirming it.
CONFIRM_SECONDS = 3.0


class TimedProducer(Producer):
    """Raises when the broker has not confirmed in time, and when a task has no queue to go to.

    The broker returns a task whose queue is missing, unless an alternate exchange keeps it.
    """

    def publish(self, *args: Any, **options: Any) -> Any:
        # Celery sends tasks through the default exchange, which cannot have an alternate. Remote control and task
        # events go to whoever listens, perhaps nobody.
        options["mandatory"] = (options.get("exchange") or "") in ("", topology.TASKS_EXCHANGE)
        options["timeout"] = options.get("timeout") or CONFIRM_SECONDS
        options["confirm_timeout"] = options.get("confirm_timeout") or CONFIRM_SECONDS
        try:
            return super().publish(*args, **options)
        except Exception:
            # A late confirmation would be taken for the next message's, and closing properly would wait for an answer.
            if self.connection is not None:
                self.connection.collect()
            raise


class TimedAMQP(AMQP):
    """Celery's, with `TimedProducer` for everything that an application sends."""

    Producer = TimedProducer

    @property
    def producer_pool(self) -> ProducerPool:
        pool = super().producer_pool
        # Not one is made before the first is asked for.
        pool.Producer = TimedProducer
        return pool
