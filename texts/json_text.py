"""JSON as other programs write it."""

import json
from typing import Any


def from_json(text: str, **options: Any) -> Any:
    """As `json.loads`; Windows programs begin a text with a byte order mark."""
    return json.loads(text.removeprefix("\ufeff"), **options)
