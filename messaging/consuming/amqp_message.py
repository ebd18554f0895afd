"""The parent's view of an AMQP message: its bytes, its ids, and whether it was delivered before."""

import uuid
from typing import Any

from kombu import Message as AmqpMessage

from messaging.broker import topology
from messaging.messages import MessageArgs, ReceivedMessage

# The headers in which RabbitMQ counts deliveries. RabbitMQ 4 counts failed deliveries and all deliveries separately.
_COUNTS = ("x-delivery-count", "x-acquired-count")
# The largest value of `HandledCopy.found`.
_MOST_DELIVERIES = 2**31 - 1
# A property of kombu's message object; AMQP has no such property.
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
    """How often the broker delivered the message before. 0 unless the broker marks it as redelivered.

    The headers alone are not enough, because any program may send such headers.
    """
    if not message.delivery_info.get("redelivered"):
        return 0
    # Classic queues do not count: there the headers are missing, or are the publisher's.
    counts = [message.headers.get(name) for name in _COUNTS]
    return min(_MOST_DELIVERIES, max([1, *(count for count in counts if isinstance(count, int))]))


def came_back(message: AmqpMessage) -> bool:
    """Whether another worker got the message before and did not settle it: the message may have killed that worker."""
    return bool(message.delivery_info.get("redelivered") or message.headers.get(_COUNTS[0]))


def raw_body(message: AmqpMessage) -> bytes:
    """The bytes that were published. (py-amqp decodes a body if the message names an encoding.)

    Never raises: an error here would end the worker's consumer, so the handler must refuse a malformed body.
    """
    body = message.body
    if not isinstance(body, str):
        return bytes(body or b"")
    try:
        return body.encode(message.content_encoding or "utf-8", "surrogateescape")
    except (LookupError, ValueError):
        # Python decodes some encodings (idna; zlib for an empty body) that it cannot encode again.
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
    """(root id, task id): the event's id, and one derived from it and the queue, which is the same for every copy.

    Each replay has a task id of its own, because a worker remembers the ids of revoked tasks.
    """
    arrived = ReceivedMessage(queue, exchange, routing_key, body, headers, message_id, given_id, deliveries)
    root = arrived.event_id
    replay = headers.get(topology.REPLAY_HEADER)
    return str(root), str(uuid.uuid5(root, f"{queue}/{replay}" if replay else queue))
