"""The parent's part: a plain JSON message becomes a request for the task that subscribes to its queue.

Tied to Celery's inside (`create_task_handler`, `on_decode_error`, kombu's `_active_tags` and `_decoded_cache`): the
version is pinned, and tests/broker checks each of these on a real broker.
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

# How late Flower may see what happens to a task.
EVENTS_TOGETHER_SECONDS = 0.2

_DELAYED_DELIVERY = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class MissingSubscriber(Exception):
    """A worker consumes from a queue whose task nobody has registered."""


class EventConsumer(Consumer):
    """Celery's consumer for queues that carry domain events, and for ordinary task queues as well."""

    class Blueprint(Consumer.Blueprint):
        # Without native delayed delivery: 28 exchanges and queues on the broker for what `due_at` columns do here.
        default_steps = [
            *(step for step in Consumer.Blueprint.default_steps if step != _DELAYED_DELIVERY),
            ApplyQueueControl,
        ]

    # Set by Celery's own __init__, which is not typed.
    initial_prefetch_count: int
    loop: Callable[..., Any]
    # Of the connection that is there now; none before the first.
    celery_pool: CeleryPool | None = None

    def __init__(self, *args: Any, worker_options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        # Mingle and gossip only exchange revocations and clocks, and make every worker read every event.
        options = {**(worker_options or {}), "without_mingle": True, "without_gossip": True}
        self._queue_by_tag: dict[str, str] = {}
        self._events_will_leave = False
        super().__init__(*args, worker_options=options, **kwargs)
        # Afterwards it waits for the broker, or the worker ends.
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
                # A task message with half of its headers; Celery would end the worker, and the next one after it.
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
        """Celery looks at the pool next, at its first connection: a child that has died meanwhile ends the worker.

        The broker may have been away for hours until then; such a child is replaced as at any other time.
        """
        super().on_ready()
        if hasattr(self.pool, "maintain_pool"):
            self.pool.maintain_pool()

    def register_with_event_loop(self, hub: Any) -> None:
        super().register_with_event_loop(hub)
        hub.on_tick.add(self._dispatch)

    def perform_pending_operations(self) -> None:
        """Celery's loop without a hub calls this at each turn."""
        super().perform_pending_operations()
        self._dispatch()

    def _dispatch(self) -> None:
        """At each turn of the loop: a child may have become idle without settling anything.

        That is so after a terminated task (it was settled before its child died), one that was revoked on its way to
        the pool, and one that was acknowledged when it began.
        """
        main_loop.turned()
        if self.celery_pool is not None:
            self.celery_pool.dispatch()

    def connection_for_write(self, url: str | None = None, heartbeat: float | None = None) -> Any:
        """For task events alone: news for onlookers, which must not make the worker wait for the broker's confirms."""
        plain = {"confirm_publish": False}
        return self.ensure_connected(
            self.app.connection_for_write(url=url, heartbeat=heartbeat, transport_options=plain)
        )

    def on_send_event_buffered(self) -> None:
        """Task events of a moment travel together; stock Celery sends them at each turn of its loop."""
        if not self._events_will_leave:
            self._events_will_leave = True
            self.timer.call_after(EVENTS_TOGETHER_SECONDS, self._send_events)

    def _send_events(self) -> None:
        self._events_will_leave = False
        if self.event_dispatcher is not None:
            self.event_dispatcher.flush()

    def call_soon_ack(self, p: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Settle a message at once, as Celery does without an event loop; what is put off is lost at a shutdown."""
        p(*args, **kwargs)
        if self.celery_pool is not None:
            self.celery_pool.settled_alone()

    def on_decode_error(self, message: AmqpMessage, exc: Exception) -> None:
        """Stock Celery acknowledges what it cannot decode. An event goes to its handler, which says what is wrong."""
        queue = self._queue_of(message)
        if not queue:
            # Remote control's mailbox: it is read without acknowledgements, so there is nothing to reject.
            super().on_decode_error(message, exc)
            return
        if queue in topology.SUBSCRIPTIONS and message.errors:
            message.errors.clear()
            self.task_consumer.on_message(message)
            return
        log.error("%s: a message that cannot be decoded is rejected: %r", queue, exc)
        message.reject_log_error(log, self.connection_errors)

    def forget_queue(self, queue: str) -> None:
        """Stop consuming from a queue; the tag stays known for what has been delivered already."""
        self._queue_by_tag.update({known: name for name, known in self.task_consumer._active_tags.items()})
        self.task_consumer.cancel_by_queue(queue)

    def _require_subscribers(self) -> None:
        for queue in self.app.amqp.queues.consume_from:
            task = topology.SUBSCRIPTIONS.get(queue)
            if task is not None and task not in self.strategies:
                raise MissingSubscriber(f"{queue} is handled by the task {task}, which no installed app registers")

    def _queue_of(self, message: AmqpMessage) -> str:
        """A message names its consumer, not its queue; the consumers of this worker are known by their tags."""
        tag = message.delivery_info.get("consumer_tag", "")
        if tag not in self._queue_by_tag:
            self._queue_by_tag.update({known: queue for queue, known in self.task_consumer._active_tags.items()})
        return self._queue_by_tag.get(tag, "")

    def _is_task(self, message: AmqpMessage, queue: str) -> bool:
        """Whether it was sent by Celery for a task we know. A dead task must not run in the archive."""
        headers = message.headers
        return queue not in topology.RAW_SUBSCRIPTIONS and headers.get("task") in self.strategies and "id" in headers


def prefetch_count(queues: Iterable[str], children: int, stock: int) -> int:
    """Of subscriptions: as many as each child takes at once, while the next ones come in. Task queues keep `stock`.

    A quorum queue sends the next message when an acknowledgement is on its disk, some milliseconds later: with few
    messages children wait for that instead of working.
    """
    size = max((batch_size(queue) for queue in queues if queue in topology.SUBSCRIPTIONS), default=0)
    return size * (children + 2) or stock


def present_as_task(message: AmqpMessage, queue: str, task_name: str) -> None:
    """Let Celery see a request for `task_name`; acks and rejects still concern the message as it was published."""
    args = message_args(message)
    exchange, routing_key, body, *_ = args
    root_id, task_id = request_ids(queue, *args)
    # The type, never the body: this text is shown by Flower and written to logs.
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
