"""Moves messages unchanged from one queue to another. Each is confirmed there before it is acknowledged here."""

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
# The headers in which a queue counts deliveries. The target queue begins at 0.
_QUEUE_HEADERS = ("x-delivery-count", "x-acquired-count")


class QueueTransport:
    """Moves messages over its own channel.

    Any exception makes it unusable; messages that were not acknowledged stay in their queue.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel: amqp.Channel = connection.channel()
        # Bodies are copied as bytes.
        self._channel.auto_decode = False
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._published = 0
        self._open: set[int] = set()

    def move(self, source: str, target: str) -> int:
        """Move all messages that are ready in the source now, in order. Returns their number."""
        moved = 0
        while messages := self._take(source):
            self._publish([_copy(message) for message in messages], target)
            self._channel.basic_ack(messages[-1].delivery_tag, multiple=True)
            moved += len(messages)
        return moved

    def _take(self, queue: str) -> list[amqp.Message]:
        messages: list[amqp.Message] = []
        while len(messages) < _AT_ONCE and (message := self._channel.basic_get(queue)) is not None:
            messages.append(message)
        return messages

    def _publish(self, messages: Sequence[amqp.Message], queue: str) -> None:
        """Publish through the default exchange, which routes only to this queue, and wait for the confirms.

        The messages are mandatory, so a missing queue raises an error.
        """
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
    """A message with the same properties and body.

    (Exchange, routing key) is the type of an event, so the headers keep those of the first publish.
    """
    properties: dict[str, Any] = dict(message.properties)
    headers = properties.pop("application_headers", None) or {}
    headers = {name: value for name, value in headers.items() if name not in _QUEUE_HEADERS}
    exchange = message.delivery_info["exchange"]
    if exchange and topology.ORIGINAL_EXCHANGE_HEADER not in headers:
        headers[topology.ORIGINAL_EXCHANGE_HEADER] = exchange
        headers[topology.ORIGINAL_ROUTING_KEY_HEADER] = message.delivery_info["routing_key"]
    # The broker accepts only the connection's own user id.
    properties.pop("user_id", None)
    return amqp.Message(message.body, application_headers=headers, **properties)
