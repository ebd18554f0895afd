"""The parent process's part: Celery's pool, and the requests that pass a worker's batches and messages to it.

Celery does the bookkeeping of requests, with one difference: a message that was not handled is never acknowledged.
"""

from collections.abc import Callable
from threading import RLock
from typing import Any

from celery import bootsteps, signals
from celery.exceptions import Reject, Terminated
from celery.worker.request import Request
from celery.worker.state import reserved_requests, revoked, task_ready, task_reserved
from kombu import Message as AmqpMessage

from messaging.broker import topology
from messaging.consuming.amqp_message import came_back, message_args, request_ids
from messaging.consuming.dispatcher import Acknowledgements, BatchMessage, QueueDispatcher, Turns
from messaging.consuming.subscriptions import is_subscribed, subscription_of


class CeleryPool:
    """The pool, shared by the queues of one worker while one connection to the broker lasts.

    `handle_alone` passes a single message to the pool.
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
        self._acknowledgements = Acknowledgements(
            consumer.task_consumer.channel, patience=max(sizes.values(), default=0)
        )
        self._dispatchers = {queue: self._queue_dispatcher(queue, size) for queue, size in sizes.items()}
        self._turns = Turns(self._dispatchers.values())

    def delivered(self, message: AmqpMessage) -> None:
        """Call for every message of the channel, in the order of delivery."""
        if self._dispatchers:
            with self._lock:
                self._acknowledgements.delivered(message)

    def add(self, message: AmqpMessage, queue: str) -> bool:
        """Take a message of a subscription.

        Returns False for other messages and for revoked ones, which Celery handles.
        """
        dispatcher = self._dispatchers.get(queue)
        if dispatcher is None or (revoked and _is_revoked(message, queue)):
            return False
        dispatcher.add(message, suspect=came_back(message))
        return True

    def settled_alone(self) -> None:
        """Call when a message outside batches was acknowledged or rejected."""
        if self._dispatchers:
            with self._lock:
                self._acknowledgements.handled()
            self.dispatch()

    def has_idle_child(self) -> bool:
        consumer = self._consumer
        # Messages of an earlier connection cannot be settled any more; the broker delivers them again.
        current = consumer.celery_pool is self and consumer.blueprint.state == bootsteps.RUN  # type: ignore[attr-defined]  # the stubs lack it
        return bool(current and len(reserved_requests) < self.children())

    def children(self) -> int:
        return int(self._consumer.pool.num_processes)

    def send_alone(self, message: AmqpMessage) -> None:
        self._handle_alone(message)

    def send(self, batch: BatchMessage) -> None:
        """Send a batch as Celery's strategy sends a message. Messages that were revoked meanwhile are refused."""
        if revoked:
            batch = self._without_revoked(batch)
        if batch.messages:
            self._send(batch)

    def _without_revoked(self, batch: BatchMessage) -> BatchMessage:
        dropped = [message for message in batch.messages if _is_revoked(message, batch.queue)]
        kept = [message for message in batch.messages if message not in dropped]
        for message in dropped:
            self._handle_alone(message)
        return batch.only(kept) if dropped else batch

    def _send(self, batch: BatchMessage) -> None:
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
        """Dispatch on the current connection."""
        self._consumer.celery_pool._take_turns()

    def _take_turns(self) -> None:
        with self._lock:
            while self.has_idle_child() and self._turns.serve():
                pass

    def _queue_dispatcher(self, queue: str, size: int) -> QueueDispatcher:
        subscription = subscription_of(queue)
        return QueueDispatcher(
            self,
            self._acknowledgements,
            self._lock,
            queue=queue,
            task_name=subscription.batch_task_name,
            size=size,
            keeps_failed=subscription.raw,
            connection_errors=self._consumer.connection_errors,
        )


def batch_size(queue: str) -> int:
    """The maximum number of messages of a subscription that a child gets at once."""
    return topology.BATCHES.get(queue, topology.BUNDLE)


class EventRequest(Request):
    """Rejects a revoked, expired or terminated request, where stock Celery acknowledges it and loses the event.

    The rejected message is dead-lettered, so an operator may replay it. The revocation is removed for that.
    """

    def _announce_revoked(self, reason: str, terminated: bool, signum: object, expired: bool) -> None:
        self.reject(requeue=False)
        # The stock method acknowledges only requests that are still open, so here it only announces the revocation.
        super()._announce_revoked(reason, terminated, signum, expired)
        revoked.discard(self.id)


class BatchRequest(EventRequest):
    """A request for all messages of a batch; each of them is settled separately."""

    _returns_all = False

    def __init__(self, batch: BatchMessage, **options: Any) -> None:
        self._batch = batch
        super().__init__(batch, on_ack=self._ack_all, on_reject=self._reject_all, **options)

    def on_success(self, failed__retval__runtime: tuple[int, Any, float], **kwargs: Any) -> None:
        failed, result, runtime = failed__retval__runtime
        if failed:
            super().on_success(failed__retval__runtime, **kwargs)
            return
        task_ready(self, successful=True)
        self._batch.settle(int(result.strip("'"), 16))
        self.acknowledged = True
        self.send_event("task-succeeded", result=result, runtime=runtime)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Return the messages to the queue, to be tried one by one, unless the task was rejected or terminated.

        The result of each single message is unknown.
        """
        problem = getattr(exc_info.exception, "exc", exc_info.exception)
        self._returns_all = not isinstance(problem, Reject | Terminated)
        super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def reject(self, requeue: bool = False) -> None:
        super().reject(requeue=requeue or self._returns_all)

    def _ack_all(self, *_: object) -> None:
        self._batch.settle(0)

    def _reject_all(self, logger: object, errors: object, requeue: bool) -> None:
        self._batch.reject(requeue=requeue)


def _is_revoked(message: AmqpMessage, queue: str) -> bool:
    return request_ids(queue, *message_args(message))[1] in revoked
