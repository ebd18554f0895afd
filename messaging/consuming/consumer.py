"""The parent process's part: turns a plain JSON message into a request for the task that subscribes to its queue.

This uses internals of Celery (`create_task_handler`, `on_decode_error`) and of kombu (`_active_tags`,
`_decoded_cache`): the versions are pinned, and tests/broker checks each of them on a real broker.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from celery.worker.consumer import Consumer
from kombu import Message as AmqpMessage
from vine import promise as vine_promise

from messaging.broker import topology
from messaging.consuming.amqp_message import message_args, request_ids
from messaging.consuming.celery_pool import CeleryPool, batch_size
from messaging.consuming.pause import ApplyQueueControl
from messaging.instrumentation import main_loop

log = logging.getLogger(__name__)

# The longest delay of task events for Flower, in seconds.
EVENTS_TOGETHER_SECONDS = 0.2

_DELAYED_DELIVERY = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class MissingSubscriber(Exception):
    """No installed app registers the task of a queue that the worker consumes from."""


class EventConsumer(Consumer):
    """Celery's consumer for queues with domain events, and also for ordinary task queues."""

    class Blueprint(Consumer.Blueprint):
        # Without native delayed delivery: it needs 28 exchanges and queues on the broker for what `due_at` columns do
        # here.
        default_steps = [
            *(step for step in Consumer.Blueprint.default_steps if step != _DELAYED_DELIVERY),
            ApplyQueueControl,
        ]

    # Celery's own __init__, which is not typed, sets these.
    initial_prefetch_count: int
    loop: Callable[..., Any]
    # The pool of the current connection; None before the first connection.
    celery_pool: CeleryPool | None = None

    def __init__(self, *args: Any, worker_options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        # Mingle and gossip only exchange revocations and clocks, and make every worker read all task events.
        options = {**(worker_options or {}), "without_mingle": True, "without_gossip": True}
        self._queue_by_tag: dict[str, str] = {}
        self._events_will_leave = False
        super().__init__(*args, worker_options=options, **kwargs)
        # When the loop has ended, the process waits for the broker, or the worker ends.
        self.loop = main_loop.paused_after(self.loop)
        children = max(1, self.initial_prefetch_count // self.prefetch_multiplier)
        self.initial_prefetch_count = prefetch_count(
            self.app.amqp.queues.consume_from, children, self.initial_prefetch_count
        )

    def create_task_handler(self, promise: Any = vine_promise) -> Callable[[AmqpMessage], None]:
        self._require_subscribers()
        handle_task = super().create_task_handler(promise)

        def safely(message: AmqpMessage) -> None:
            try:
                handle_task(message)
            except (AttributeError, KeyError, TypeError, ValueError) as problem:
                # A task message that lacks some headers would end the worker under stock Celery, and then the next
                # worker.
                log.error("%s: a malformed task message is rejected: %r", self._queue_of(message), problem)
                if not message.acknowledged:
                    message.reject_log_error(log, self.connection_errors)

        def alone(message: AmqpMessage) -> None:
            queue = self._queue_of(message)
            present_as_task(message, queue, topology.SUBSCRIPTIONS[queue])
            safely(message)

        celery_pool = self.celery_pool = CeleryPool(self, alone)

        def on_message(message: AmqpMessage) -> None:
            queue = self._queue_of(message)
            celery_pool.delivered(message)
            if queue not in topology.SUBSCRIPTIONS or self._is_task(message, queue):
                safely(message)
            elif not celery_pool.add(message, queue):
                alone(message)

        return on_message

    def on_ready(self) -> None:
        """Replace dead children before Celery's first check of the pool, where a dead child ends the worker.

        The worker may have waited hours for the broker until then.
        """
        super().on_ready()
        if hasattr(self.pool, "maintain_pool"):
            self.pool.maintain_pool()

    def register_with_event_loop(self, hub: Any) -> None:
        super().register_with_event_loop(hub)
        hub.on_tick.add(self._dispatch)

    def perform_pending_operations(self) -> None:
        """Celery calls this at each turn of its loop without a hub."""
        super().perform_pending_operations()
        self._dispatch()

    def _dispatch(self) -> None:
        """Dispatch at each turn of the loop, because a child may have become idle without settling a message.

        This is so after a terminated task (which is settled before its child dies), after a task that was revoked on
        its way to the pool, and after a task that was acknowledged at its beginning.
        """
        main_loop.turned()
        if self.celery_pool is not None:
            self.celery_pool.dispatch()

    def connection_for_write(self, url: str | None = None, heartbeat: float | None = None) -> Any:
        """The connection for task events, without confirms.

        These events must not make the worker wait for the broker.
        """
        plain = {"confirm_publish": False}
        return self.ensure_connected(
            self.app.connection_for_write(url=url, heartbeat=heartbeat, transport_options=plain)
        )

    def on_send_event_buffered(self) -> None:
        """Collect the task events of a moment and send them together.

        Stock Celery sends them at each turn of its loop.
        """
        if not self._events_will_leave:
            self._events_will_leave = True
            self.timer.call_after(EVENTS_TOGETHER_SECONDS, self._send_events)

    def _send_events(self) -> None:
        self._events_will_leave = False
        if self.event_dispatcher is not None:
            self.event_dispatcher.flush()

    def call_soon_ack(self, p: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Settle a message at once, as Celery does without an event loop.

        A delayed call would be lost at a shutdown.
        """
        p(*args, **kwargs)
        if self.celery_pool is not None:
            self.celery_pool.settled_alone()

    def on_decode_error(self, message: AmqpMessage, exc: Exception) -> None:
        """Reject a message that cannot be decoded, which stock Celery acknowledges.

        An event goes to its handler, which reports the error.
        """
        queue = self._queue_of(message)
        if not queue:
            # A message for remote control: these are consumed without acknowledgements, so there is nothing to reject.
            super().on_decode_error(message, exc)
            return
        if queue in topology.SUBSCRIPTIONS and message.errors:
            message.errors.clear()
            self.task_consumer.on_message(message)
            return
        log.error("%s: a message that cannot be decoded is rejected: %r", queue, exc)
        message.reject_log_error(log, self.connection_errors)

    def forget_queue(self, queue: str) -> None:
        """Stop consuming from a queue. Its consumer tag is kept for messages that have been delivered already."""
        self._queue_by_tag.update({known: name for name, known in self.task_consumer._active_tags.items()})
        self.task_consumer.cancel_by_queue(queue)

    def _require_subscribers(self) -> None:
        for queue in self.app.amqp.queues.consume_from:
            task = topology.SUBSCRIPTIONS.get(queue)
            if task is not None and task not in self.strategies:
                raise MissingSubscriber(f"{queue} is handled by the task {task}, which no installed app registers")

    def _queue_of(self, message: AmqpMessage) -> str:
        """The queue of a message, found by its consumer tag, because a message does not contain its queue."""
        tag = message.delivery_info.get("consumer_tag", "")
        if tag not in self._queue_by_tag:
            self._queue_by_tag.update({known: queue for queue, known in self.task_consumer._active_tags.items()})
        return self._queue_by_tag.get(tag, "")

    def _is_task(self, message: AmqpMessage, queue: str) -> bool:
        """Whether Celery sent the message for a known task.

        In the archive's queue, a dead task message must not run.
        """
        headers = message.headers
        return queue not in topology.RAW_SUBSCRIPTIONS and headers.get("task") in self.strategies and "id" in headers


def prefetch_count(queues: Iterable[str], children: int, stock: int) -> int:
    """The prefetch count: for subscriptions the batches of all children and two more; for task queues `stock`.

    A quorum queue sends the next message after an acknowledgement is on its disk, some milliseconds later. With fewer
    messages children would wait for that instead of working.
    """
    size = max((batch_size(queue) for queue in queues if queue in topology.SUBSCRIPTIONS), default=0)
    return size * (children + 2) or stock


def present_as_task(message: AmqpMessage, queue: str, task_name: str) -> None:
    """Make the message look like a request for `task_name` to Celery. Acks and rejects still concern the original."""
    args = message_args(message)
    exchange, routing_key, body, *_ = args
    root_id, task_id = request_ids(queue, *args)
    # The type, never the body: Flower shows this text, and it is written to logs.
    message.headers = {
        "lang": "py",
        "task": task_name,
        "id": task_id,
        "root_id": root_id,
        "parent_id": None,
        "group": None,
        "argsrepr": f"({exchange!r}, {routing_key!r}, {len(body)} bytes)",
        "kwargsrepr": "{}",
        "origin": exchange,
        "ignore_result": True,
    }
    message._decoded_cache = {"args": args, "kwargs": {}}
