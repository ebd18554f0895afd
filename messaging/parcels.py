"""What a worker's parent process reads of a message: its bytes, its ids, and whether it came before."""

import uuid
from typing import Any

from kombu import Message as AmqpMessage

from messaging import topology
from messaging.arrival import Message, Parcel
from messaging.events import event_id

_DELIVERIES_BEFORE = "x-delivery-count"


def parcel(message: AmqpMessage) -> Parcel:
    info = message.delivery_info
    exchange, routing_key = info.get("exchange", ""), info.get("routing_key", "")
    return exchange, routing_key, raw_body(message), dict(message.headers), message.properties.get("message_id")


def came_back(message: AmqpMessage) -> bool:
    """Whether somebody had it before and did not settle it: it may be what killed that worker."""
    return bool(message.delivery_info.get("redelivered") or message.headers.get(_DELIVERIES_BEFORE))


def raw_body(message: AmqpMessage) -> bytes:
    """The bytes that were published; py-amqp decodes a body that names its encoding."""
    body = message.body
    if isinstance(body, str):
        return body.encode(message.content_encoding or "utf-8", "surrogateescape")
    return bytes(body or b"")


def request_ids(
    queue: str, exchange: str, routing_key: str, body: bytes, headers: dict[str, Any], message_id: str | None
) -> tuple[str, str]:
    """(root id, task id): the event's id, and one made of it and the queue, the same for every copy.

    Each replay has a task id of its own: a worker remembers what it was told to revoke.
    """
    arrived = Message(queue, exchange, routing_key, body, headers, message_id)
    root = event_id(*arrived.origin, body, message_id=arrived.stable_message_id)
    replay = headers.get(topology.REPLAY_HEADER)
    return str(root), str(uuid.uuid5(root, f"{queue}/{replay}" if replay else queue))
