"""The part of a worker's consumer that puts messages together; see `messaging.batching`."""

from threading import RLock
from typing import Any

from celery import bootsteps, signals
from celery.worker.state import reserved_requests, revoked, task_reserved
from kombu import Message as AmqpMessage

from messaging import topology
from messaging.batching import Batch, Batcher, Ledger
from messaging.parcels import came_back, parcel, request_ids
from messaging.requests import BatchRequest
from messaging.subscriptions import subscription_of


class Batches:
    """The batching queues of one worker, for as long as one connection to the broker lives."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._lock = RLock()
        consumed = consumer.app.amqp.queues.consume_from
        sizes = {queue: size for queue, size in topology.BATCHES.items() if queue in consumed}
        self._ledger = Ledger(consumer.task_consumer.channel, patience=max(sizes.values(), default=0))
        self._batchers = {queue: self._batcher(queue, size) for queue, size in sizes.items()}

    def delivered(self, message: AmqpMessage) -> None:
        """Call for every message of the channel, in the order of their delivery."""
        if self._batchers:
            with self._lock:
                self._ledger.delivered(message)

    def add(self, message: AmqpMessage, queue: str) -> bool:
        """Take the message, unless it is to be handled alone: it came back, or somebody has revoked it."""
        batcher = self._batchers.get(queue)
        if batcher is None or came_back(message) or (revoked and _is_revoked(message, queue)):
            return False
        batcher.add(message)
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
        return bool(current and len(reserved_requests) < consumer.pool.num_processes)

    def send(self, batch: Batch) -> None:
        """As Celery's strategy does with a message."""
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
        for batcher in self._consumer.batches._batchers.values():
            batcher.dispatch()

    def _batcher(self, queue: str, size: int) -> Batcher:
        subscription = subscription_of(queue)
        return Batcher(
            self,
            self._ledger,
            self._lock,
            queue=queue,
            task_name=subscription.batch_task_name,
            size=size,
            keeps_failed=subscription.raw,
            connection_errors=self._consumer.connection_errors,
        )


def _is_revoked(message: AmqpMessage, queue: str) -> bool:
    exchange, routing_key, body, headers, message_id = parcel(message)
    return request_ids(queue, exchange, routing_key, body, headers, message_id)[1] in revoked
