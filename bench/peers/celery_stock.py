"""Stock Celery: `apply_async` with confirms, a worker that acknowledges late; everything else has its defaults."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu import Queue

from bench import effect
from bench.child import Send, queue, url
from bench.recorder import recorder

app = Celery("bench", broker=url().replace("amqp://", "pyamqp://", 1))
app.conf.update(
    task_queues=[Queue(queue(), routing_key=queue(), queue_arguments={"x-queue-type": "quorum"})],
    task_default_queue=queue(),
    task_acks_late=True,
    task_ignore_result=True,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
)


@app.task(name="bench.handle")
def handle(message: dict[str, Any]) -> None:
    recorder().started(message)
    effect.apply(message)
    recorder().handled()


@contextmanager
def publisher() -> Iterator[Send]:
    with app.producer_pool.acquire(block=True) as producer:
        yield lambda message: handle.apply_async((message,), producer=producer)
