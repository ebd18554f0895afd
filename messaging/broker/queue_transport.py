"""Messages carried from one queue to another as they are, each confirmed there before it leaves here."""

import socket
import time
from collections.abc import Sequence
from typing import Any

import amqp
from amqp.exceptions import MessageNacked
from kombu import Connection

from messaging.broker import topology

_AT_ONCE = 200
_CONFIRM_SECONDS = 30.0
# Counted by the queue that a message was in; the next one begins anew.
_QUEUE_HEADERS = ("x-delivery-count", "x-acquired-count")


class Carrier:
    """On a channel of its own; any exception makes it unusable, and what was not acknowledged stays where it was."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel: amqp.Channel = connection.channel()
        # Bodies travel as the bytes that they are.
        self._channel.auto_decode = False
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._published = 0
        self._open: set[int] = set()

    def carry(self, source: str, target: str) -> int:
        """Everything that is ready in a queue now, in its order; how many messages that were."""
        moved = 0
        while some := self._take(source):
            self._publish([_copy(message) for message in some], target)
            self._channel.basic_ack(some[-1].delivery_tag, multiple=True)
            moved += len(some)
        return moved

    def _take(self, queue: str) -> list[amqp.Message]:
        some: list[amqp.Message] = []
        while len(some) < _AT_ONCE and (message := self._channel.basic_get(queue)) is not None:
            some.append(message)
        return some

    def _publish(self, messages: Sequence[amqp.Message], queue: str) -> None:
        """Through the default exchange, which reaches this queue alone; mandatory, so a queue that is gone raises."""
        for message in messages:
            self._published += 1
            self._open.add(self._published)
            self._channel.basic_publish(message, exchange="", routing_key=queue, mandatory=True)
        deadline = time.monotonic() + _CONFIRM_SECONDS
        while self._open:
            try:
                self._connection.drain_events(timeout=1.0)
            except (TimeoutError, socket.timeout):  # noqa: UP041 - py-amqp raises either
                if time.monotonic() > deadline:
                    raise

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._open -= {known for known in self._open if known <= tag} if multiple else {tag}

    def _on_nack(self, tag: int, multiple: bool) -> None:
        raise MessageNacked


def _copy(message: amqp.Message) -> amqp.Message:
    """The same properties and body. The type of an event is (exchange, routing key): headers keep that of the first."""
    properties: dict[str, Any] = dict(message.properties)
    headers = properties.pop("application_headers", None) or {}
    headers = {name: value for name, value in headers.items() if name not in _QUEUE_HEADERS}
    exchange = message.delivery_info["exchange"]
    if exchange and topology.ORIGINAL_EXCHANGE_HEADER not in headers:
        headers[topology.ORIGINAL_EXCHANGE_HEADER] = exchange
        headers[topology.ORIGINAL_ROUTING_KEY_HEADER] = message.delivery_info["routing_key"]
    # The broker accepts no other user's id than that of the connection.
    properties.pop("user_id", None)
    return amqp.Message(message.body, application_headers=headers, **properties)
