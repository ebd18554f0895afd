"""The parent's view of an AMQP message: its bytes, its ids, and whether it was delivered before."""

import uuid
from typing import Any

from kombu import Message as AmqpMessage

from messaging.broker import topology
from messaging.messages import MessageArgs, ReceivedMessage

# RabbitMQ 4 counts deliveries that failed apart from all deliveries.
_COUNTS = ("x-delivery-count", "x-acquired-count")
# What `HandledCopy.found` can hold.
_MOST_DELIVERIES = 2**31 - 1
# Not a property that AMQP has.
_GIVEN_ID = "coolthing_given_id"


def message_args(message: AmqpMessage) -> MessageArgs:
    """The arguments of the task that handles the message."""
    info = message.delivery_info
    exchange, routing_key = info.get("exchange", ""), info.get("routing_key", "")
    message_id = message.properties.get("message_id")
    given_id = None if message_id else message.properties.setdefault(_GIVEN_ID, str(uuid.uuid4()))
    body, headers = raw_body(message), dict(message.headers)
    return exchange, routing_key, body, headers, message_id, given_id, deliveries(message)


def deliveries(message: AmqpMessage) -> int:
    """How often it was delivered before. The broker's word counts: any program may send such headers."""
    if not message.delivery_info.get("redelivered"):
        return 0
    # Classic queues count nothing: there the headers are missing, or whatever the publisher sent.
    counts = [message.headers.get(name) for name in _COUNTS]
    return min(_MOST_DELIVERIES, max([1, *(count for count in counts if isinstance(count, int))]))


def came_back(message: AmqpMessage) -> bool:
    """Whether somebody had it before and did not settle it: it may be what killed that worker."""
    return bool(message.delivery_info.get("redelivered") or message.headers.get(_COUNTS[0]))


def raw_body(message: AmqpMessage) -> bytes:
    """The bytes that were published; py-amqp decodes a body that names its encoding.

    Never raises: an odd body is the handler's to refuse, here it would end the worker's consumer.
    """
    body = message.body
    if not isinstance(body, str):
        return bytes(body or b"")
    try:
        return body.encode(message.content_encoding or "utf-8", "surrogateescape")
    except (LookupError, ValueError):
        # Python decodes some encodings (idna, and of an empty body zlib) without encoding them again.
        return body.encode("utf-8", "backslashreplace")


def request_ids(
    queue: str,
    exchange: str,
    routing_key: str,
    body: bytes,
    headers: dict[str, Any],
    message_id: str | None,
    given_id: str | None = None,
    deliveries: int = 0,
) -> tuple[str, str]:
    """(root id, task id): the event's id, and one made of it and the queue, the same for every copy.

    Each replay has a task id of its own: a worker remembers what it was told to revoke.
    """
    arrived = ReceivedMessage(queue, exchange, routing_key, body, headers, message_id, given_id, deliveries)
    root = arrived.event_id
    replay = headers.get(topology.REPLAY_HEADER)
    return str(root), str(uuid.uuid5(root, f"{queue}/{replay}" if replay else queue))
