"""The part of a worker's consumer that puts messages together; see `messaging.consuming.dispatcher`."""

from collections.abc import Callable
from threading import RLock
from typing import Any

from celery import bootsteps, signals
from celery.worker.state import reserved_requests, revoked, task_reserved
from kombu import Message as AmqpMessage

from messaging.broker import topology
from messaging.consuming.amqp_message import came_back, parcel, request_ids
from messaging.consuming.celery_requests import BatchRequest
from messaging.consuming.dispatcher import Batch, Batcher, Ledger, Turns
from messaging.consuming.subscriptions import subscription_of


class Batches:
    """The subscriptions of one worker, for as long as one connection to the broker lives.

    `handle_alone` takes a single message to the pool.
    """

    def __init__(
        self,
        consumer: Any,
        handle_alone: Callable[[AmqpMessage], None],
    ) -> None:
        self._consumer = consumer
        self._handle_alone = handle_alone
        self._lock = RLock()
        sizes = {queue: batch_size(queue) for queue in consumer.app.amqp.queues.consume_from if is_subscribed(queue)}
        self._ledger = Ledger(consumer.task_consumer.channel, patience=max(sizes.values(), default=0))
        self._batchers = {queue: self._batcher(queue, size) for queue, size in sizes.items()}
        self._turns = Turns(self._batchers.values())

    def delivered(self, message: AmqpMessage) -> None:
        """Call for every message of the channel, in the order of their delivery."""
        if self._batchers:
            with self._lock:
                self._ledger.delivered(message)

    def add(self, message: AmqpMessage, queue: str) -> bool:
        """Take the message of a subscription; not one that somebody has revoked, which Celery knows what to do with."""
        batcher = self._batchers.get(queue)
        if batcher is None or (revoked and _is_revoked(message, queue)):
            return False
        batcher.add(message, suspect=came_back(message))
        return True

    def settled_alone(self) -> None:
        """A message that is in no batch was acknowledged or rejected."""
        if self._batchers:
            with self._lock:
                self._ledger.handled()
            self.dispatch()

    def has_idle_child(self) -> bool:
        consumer = self._consumer
        # What an earlier connection has brought cannot be settled any more, and is delivered again.
        current = consumer.batches is self and consumer.blueprint.state == bootsteps.RUN  # type: ignore[attr-defined]  # the stubs lack it
        return bool(current and len(reserved_requests) < self.children())

    def children(self) -> int:
        return int(self._consumer.pool.num_processes)

    def send_alone(self, message: AmqpMessage) -> None:
        self._handle_alone(message)

    def send(self, batch: Batch) -> None:
        """As Celery's strategy does with a message, which it refuses when that was revoked while it waited."""
        if revoked:
            batch = self._without_revoked(batch)
        if batch.messages:
            self._send(batch)

    def _without_revoked(self, batch: Batch) -> Batch:
        dropped = [message for message in batch.messages if _is_revoked(message, batch.queue)]
        kept = [message for message in batch.messages if message not in dropped]
        for message in dropped:
            self._handle_alone(message)
        return batch.only(kept) if dropped else batch

    def _send(self, batch: Batch) -> None:
        consumer = self._consumer
        request = BatchRequest(
            batch,
            app=consumer.app,
            hostname=consumer.hostname,
            eventer=consumer.event_dispatcher,
            task=consumer.app.tasks[batch.headers["task"]],
            connection_errors=consumer.connection_errors,
            decoded=True,
        )
        signals.task_received.send(sender=consumer, request=request)
        request.send_event("task-received", name=request.name, args=request.argsrepr, root_id=request.root_id)
        task_reserved(request)
        consumer.on_task_request(request)

    def dispatch(self) -> None:
        """On the connection that is there now."""
        self._consumer.batches._take_turns()

    def _take_turns(self) -> None:
        with self._lock:
            while self.has_idle_child() and self._turns.serve():
                pass

    def _batcher(self, queue: str, size: int) -> Batcher:
        subscription = subscription_of(queue)
        return Batcher(
            self,
            self._ledger,
            self._lock,
            queue=queue,
            task_name=subscription.task_name_of_many,
            size=size,
            keeps_failed=subscription.raw,
            connection_errors=self._consumer.connection_errors,
        )


def batch_size(queue: str) -> int:
    """How many messages of a subscription a child takes at once, when so many wait."""
    return topology.BATCHES.get(queue, topology.BUNDLE)


def is_subscribed(queue: str) -> bool:
    try:
        subscription_of(queue)
    except KeyError:
        return False
    return True


def _is_revoked(message: AmqpMessage, queue: str) -> bool:
    return request_ids(queue, *parcel(message))[1] in revoked
