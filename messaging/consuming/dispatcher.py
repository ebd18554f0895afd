"""The parent process's part: puts the messages of a queue into batches, and settles them.

While all children are busy, messages are collected. A message is settled when a child has handled it.

No message waits for a batch to fill: while a child is idle, a message goes to it at once, even alone. Bodies are not
parsed here, because this process serves all children. Threads may share these objects under the lock that is passed to
them. `messaging.consuming.batch_execution` describes how a child handles a batch.
"""

import logging
import math
import random
import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from threading import RLock
from typing import Any, Protocol

from kombu import Message as AmqpMessage

from messaging.consuming.amqp_message import message_args

log = logging.getLogger(__name__)


class Pool(Protocol):
    """The worker's children, which all queues of the worker share."""

    def has_idle_child(self) -> bool: ...

    def children(self) -> int: ...

    def send(self, batch: "BatchMessage") -> None: ...

    def send_alone(self, message: AmqpMessage) -> None: ...

    def dispatch(self) -> None:
        """Let the worker's queues hand over waiting messages, as long as a child is idle."""


class Acknowledgements:
    """The messages of one channel in the order of their delivery, until they are settled.

    One acknowledgement may cover all earlier messages, which is far cheaper than one for each message, but only if all
    of them have been handled or rejected. So a handled message waits for the earlier ones. When more than `patience`
    handled messages wait, each is acknowledged by itself.
    """

    def __init__(self, channel: Any, patience: int) -> None:
        self._channel = channel
        self._patience = patience
        self._open: deque[AmqpMessage] = deque()
        self._handled: dict[int, AmqpMessage] = {}

    def delivered(self, message: AmqpMessage) -> None:
        self._open.append(message)

    def handled(self, messages: Sequence[AmqpMessage] = ()) -> None:
        """Acknowledge handled messages, as soon as that is possible.

        Call it without messages after a message was settled by itself: others may have waited for that one.
        """
        self._handled.update((message.delivery_tag, message) for message in messages)
        last = None
        while self._open and (self._open[0].acknowledged or self._open[0].delivery_tag in self._handled):
            message = self._open.popleft()
            if self._handled.pop(message.delivery_tag, None) is not None:
                last = message
                # kombu's mark: it refuses to settle the message a second time.
                message._state = "ACK"
        if last is not None:
            self._channel.basic_ack(last.delivery_tag, multiple=True)
        if len(self._handled) > self._patience:
            for message in self._handled.values():
                message.ack()
            self._handled.clear()


class QueueDispatcher:
    """Hands over the messages of one queue. With `keeps_failed` a failed message returns to its queue.

    A message that was delivered before may have killed its worker. Such suspects are handled alone, one at a time and
    in random order, so that even if one of them kills the whole worker repeatedly, all others are soon handled before
    it. Suspects and other messages take turns, so that messages that fail and come back for ever do not block the rest.
    """

    def __init__(
        self,
        pool: Pool,
        acknowledgements: Acknowledgements,
        lock: RLock,
        *,
        queue: str,
        task_name: str,
        size: int,
        keeps_failed: bool,
        connection_errors: tuple[type[Exception], ...],
    ) -> None:
        self._pool = pool
        self._acknowledgements = acknowledgements
        self._lock = lock
        self.queue = queue
        self.task_name = task_name
        self._size = size
        self._keeps_failed = keeps_failed
        self._connection_errors = connection_errors
        self._waiting: deque[AmqpMessage] = deque()
        self._suspects: list[AmqpMessage] = []
        self._tried: AmqpMessage | None = None
        self._suspects_turn = True

    def add(self, message: AmqpMessage, *, suspect: bool = False) -> None:
        with self._lock:
            (self._suspects if suspect else self._waiting).append(message)
            self.dispatch()

    def dispatch(self) -> None:
        """Hand over waiting messages while a child is idle. Call it whenever either may have changed."""
        with self._lock:
            while self._pool.has_idle_child() and self.hand_over():
                pass

    def hand_over(self) -> bool:
        """Give one child a message or a batch. False if no message waits."""
        with self._lock:
            if self._may_try_suspect() and (self._suspects_turn or not self._waiting):
                self._suspects_turn = False
                self._tried = self._suspects.pop(random.randrange(len(self._suspects)))
                self._pool.send_alone(self._tried)
            elif self._waiting:
                self._suspects_turn = True
                self._hand_over(min(self._size, math.ceil(len(self._waiting) / self._pool.children())))
            else:
                return False
            return True

    def _may_try_suspect(self) -> bool:
        return bool(self._suspects) and (self._tried is None or self._tried.acknowledged)

    def _hand_over(self, count: int) -> None:
        if count == 1:
            self._pool.send_alone(self._waiting.popleft())
        else:
            self._pool.send(BatchMessage(self, [self._waiting.popleft() for _ in range(count)]))

    def settle(self, good: Sequence[AmqpMessage], bad: Sequence[AmqpMessage], *, requeue: bool | None = None) -> None:
        """Acknowledge `good` and reject `bad` at once.

        If this waited for the event loop's next turn, it would be lost when the worker stops before that.
        """
        with self._lock:
            try:
                for message in bad:
                    message.reject(requeue=self._keeps_failed if requeue is None else requeue)
                self._acknowledgements.handled(good)
            except self._connection_errors as problem:
                # The broker delivers them again; their records show that they were handled.
                log.warning("%s: %d messages could not be settled: %r", self.queue, len(good) + len(bad), problem)
        self._pool.dispatch()


class Turns:
    """Lets the queues of one worker take turns, so that a queue that is always full does not block the others."""

    def __init__(self, dispatchers: Iterable[QueueDispatcher]) -> None:
        self._order = deque(dispatchers)

    def serve(self) -> bool:
        """Give one child a message or a batch. False if no message waits."""
        served = next((dispatcher for dispatcher in self._order if dispatcher.hand_over()), None)
        if served is None:
            return False
        self._order.remove(served)
        self._order.append(served)
        return True


class BatchMessage:
    """A batch on its way through the pool. To Celery it looks like one message of a task."""

    content_type = content_encoding = None

    def __init__(self, dispatcher: QueueDispatcher, messages: Sequence[AmqpMessage]) -> None:
        self._dispatcher = dispatcher
        self._messages = messages
        self.delivery_info = {"exchange": "", "routing_key": dispatcher.queue, "redelivered": False}
        self.properties: dict[str, Any] = {}
        task_id = str(uuid.uuid4())
        self.headers = {
            "lang": "py",
            "task": dispatcher.task_name,
            "id": task_id,
            "root_id": task_id,
            "parent_id": None,
            "group": None,
            "argsrepr": f"({len(messages)} of {dispatcher.queue})",
            "kwargsrepr": "{}",
            "origin": dispatcher.queue,
            "ignore_result": True,
        }
        self.body: tuple[Any, ...] = (([message_args(message) for message in messages],), {}, {})

    @property
    def queue(self) -> str:
        return self._dispatcher.queue

    @property
    def messages(self) -> Sequence[AmqpMessage]:
        return self._messages

    def only(self, messages: Sequence[AmqpMessage]) -> "BatchMessage":
        """A batch of these messages only; the caller settles the others."""
        return BatchMessage(self._dispatcher, messages)

    def settle(self, failed: int) -> None:
        """Settle the messages. `failed` has a bit set at the position of each message that was not handled."""
        good: list[AmqpMessage] = []
        bad: list[AmqpMessage] = []
        for position, message in enumerate(self._messages):
            (bad if failed >> position & 1 else good).append(message)
        self._dispatcher.settle(good, bad)

    def reject(self, *, requeue: bool) -> None:
        self._dispatcher.settle([], self._messages, requeue=requeue)
