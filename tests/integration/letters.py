"""Dead letters as the archive makes them."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.models import DeadLetter, OutboxEvent


def death(queue: str = topology.LEADS_QUEUE, **changes: Any) -> dict[str, Any]:
    """Headers of a message that has died in a queue."""
    last = {
        "queue": queue,
        "exchange": topology.LEADS_EXCHANGE,
        "routing-keys": ["lead.1"],
        "reason": "rejected",
        "count": 1,
        "time": datetime(2026, 1, 2, tzinfo=UTC),
    }
    return {"x-death": [last | changes]}


def archive(body: bytes, headers: dict[str, Any] | None = None) -> None:
    handle(topology.DEAD_LETTER_ARCHIVE_QUEUE, topology.LEADS_DLX, "leads.failed", body, headers or death())
    # What notifies of the letter is a subject of its own (test_operator_needed.py).
    OutboxEvent.objects.filter(routing_key__endswith=".dead_letter").delete()


def letter(body: bytes = b'{"a": 1}', headers: dict[str, Any] | None = None) -> DeadLetter:
    archive(body, headers)
    return DeadLetter.objects.latest("id")


def letter_of(queue: str = topology.LEADS_QUEUE, **fields: Any) -> DeadLetter:
    """A letter of an event of its own."""
    return letter(json.dumps({"id": str(uuid.uuid4()), **fields}).encode(), death(queue))
