"""How a message died, according to the message that arrives in the archive."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from messaging.broker import topology
from messaging.consuming.work_tasks import as_uuid, task_name
from messaging.events import event_id
from messaging.messages import ReceivedMessage
from messaging.wire import storable

UNROUTABLE = "unroutable"
# The namespace of the event ids of tasks' dead letters.
_TASKS_NAMESPACE = uuid.UUID("0f1d8a52-3d0b-5d6c-8a55-5f6f6a3f2f10")


@dataclass(frozen=True)
class Death:
    """The queue, reason and address of a message's death. `identity` distinguishes several deaths of one message."""

    queue: str
    reason: str
    exchange: str
    routing_key: str
    identity: str


@dataclass(frozen=True)
class DeadMessage:
    """A dead message.

    `task` is the name of the task that the message is for, "" for an event. `event` is the event's id; for a task, an
    id that is the same for the same work.
    """

    message: ReceivedMessage
    death: Death
    task: str
    event: uuid.UUID

    @cached_property
    def record(self) -> uuid.UUID:
        """The id of this death, the same for all deliveries of the message about it."""
        return uuid.uuid5(self.event, self.death.identity)

    @cached_property
    def letter(self) -> tuple[str, uuid.UUID, str]:
        """The unique key of the dead letter: queue, event and digest of the body."""
        return self.death.queue, self.event, self.message.digest

    @property
    def replay(self) -> uuid.UUID | None:
        return as_uuid(self.message.headers.get(topology.REPLAY_HEADER))


def read_dead_message(message: ReceivedMessage, *, unroutable: bool) -> DeadMessage:
    """Read the death of a message of any shape."""
    death = _unroutable_death(message) if unroutable else _latest_death(message)
    task = task_name(death.queue, message.headers)
    return DeadMessage(message, death, task, _event_of(message, death, task))


def _event_of(message: ReceivedMessage, death: Death, task: str) -> uuid.UUID:
    """The id of the event, or of the task's work.

    A task with the same arguments is the same work, so repeated failures, which beat may cause every two seconds, count
    on one letter.
    """
    if task:
        return uuid.uuid5(_TASKS_NAMESPACE, f"{task} {message.digest}")
    return event_id(death.exchange, death.routing_key, message.body, message_id=message.stable_message_id)


def _unroutable_death(message: ReceivedMessage) -> Death:
    exchange, routing_key = message.origin
    replay = str(message.headers.get(topology.REPLAY_HEADER, ""))
    return Death("", UNROUTABLE, exchange, routing_key, f"{message.exchange} {message.routing_key} {replay}")


def _latest_death(message: ReceivedMessage) -> Death:
    """The latest death: RabbitMQ puts it first. A message without x-death was put into the archive by other means."""
    history = message.headers.get("x-death")
    last = history[0] if isinstance(history, list) and history and isinstance(history[0], Mapping) else {}
    keys = last.get("routing-keys")
    exchange = str(last.get("exchange", message.exchange))
    routing_key = str(keys[0]) if isinstance(keys, list) and keys else message.routing_key
    if message.origin != (message.exchange, message.routing_key):
        exchange, routing_key = message.origin
    queue = str(last.get("queue", ""))
    replay = message.headers.get(topology.REPLAY_HEADER, "")
    return Death(
        queue=storable(queue)[:120],
        reason=storable(str(last.get("reason", "unknown")))[:40],
        exchange=exchange,
        routing_key=routing_key,
        identity=f"{queue} {last.get('time', '')} {last.get('count', '')} {replay}{_task_id(message)}",
    )


def _task_id(message: ReceivedMessage) -> str:
    """Distinguishes two messages for the same work that died in the same second."""
    return f" {message.headers['id']}" if "task" in message.headers and "id" in message.headers else ""
