"""JSON as other programs write it."""

import json
from typing import Any


def from_json(text: str, **options: Any) -> Any:
    """Like `json.loads`, but accepts a byte order mark, with which Windows programs begin a text."""
    return json.loads(text.removeprefix("\ufeff"), **options)
