"""The message that all contenders send: flat JSON of about 300 bytes, like our events."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

# Makes the JSON text about 300 bytes long.
_TEXT = "Is there a studio near the river that still takes newcomers for the evening lessons? "


def payload(lane: str = "peer", *, stamp: bool = False) -> dict[str, Any]:
    """A message. If `stamp`, its handler records the time at which it started."""
    return {
        "id": str(uuid.uuid4()),
        "created_at": datetime.now(UTC).isoformat(),
        "lane": lane,
        "stamp": stamp,
        "text": f"{_TEXT}{_TEXT}"[:150],
    }


def size() -> int:
    return len(json.dumps(payload()))
