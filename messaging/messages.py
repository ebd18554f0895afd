"""Messages of the bus: a message that arrived in a queue, and a row of the outbox that is to be published."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from messaging.broker import topology
from messaging.events import event_id

Headers = Mapping[str, Any]
# The arguments of a subscriber's task: exchange, routing key, body, headers, message id; then given id and deliveries.
# Requests that are on their way during a deployment have the old arguments, so new ones come last and have defaults.
MessageArgs = (
    tuple[str, str, bytes, dict[str, Any], str | None]
    | tuple[str, str, bytes, dict[str, Any], str | None, str | None, int]
)


@dataclass(frozen=True)
class ReceivedMessage:
    """A message that arrived in a queue. `body` is exactly what the publisher sent.

    `given_id` is the id that the worker gave to a message without an id. `deliveries` is the number of earlier
    deliveries that were not settled.
    """

    queue: str
    exchange: str
    routing_key: str
    body: bytes
    headers: Headers
    message_id: str | None
    given_id: str | None = None
    deliveries: int = 0

    @property
    def digest(self) -> str:
        return body_digest(self.body)

    @property
    def origin(self) -> tuple[str, str]:
        """The exchange and routing key that determine the message's type. A replay has them in its headers."""
        exchange = self.headers.get(topology.ORIGINAL_EXCHANGE_HEADER)
        routing_key = self.headers.get(topology.ORIGINAL_ROUTING_KEY_HEADER)
        if isinstance(exchange, str) and isinstance(routing_key, str):
            return exchange, routing_key
        return self.exchange, self.routing_key

    @property
    def is_straight(self) -> bool:
        """Whether the message was published to its queue by name, so that exchange and key do not identify a type."""
        by_name = self.origin in ((topology.DEFAULT_EXCHANGE, self.queue), (topology.TASKS_EXCHANGE, self.queue))
        return by_name and "task" not in self.headers

    @property
    def stable_message_id(self) -> str | None:
        """AMQP's message id, or else `given_id`. For a replay, the id that the event had originally."""
        replayed = self.headers.get(topology.EVENT_ID_HEADER)
        return replayed if isinstance(replayed, str) else self.message_id or self.given_id

    @property
    def event_id(self) -> UUID:
        """The id in the body, or else an id made from the message id or the content. Works for undecodable bodies."""
        return event_id(*self.origin, self.body, message_id=self.stable_message_id)


class OutboxRow(NamedTuple):
    """The columns of an outbox row that publishing needs."""

    id: int
    event_id: str
    exchange: str
    routing_key: str
    body: str
    headers: dict[str, Any]


def body_digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
