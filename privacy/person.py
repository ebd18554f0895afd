"""A person, and how text and JSON are searched for mentions of them."""

import json
import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q
from pydantic import TypeAdapter, ValidationError

from texts.json_text import from_json

# The fields that carry a person's id or username in the bodies of events, ours and other programs'.
ID_KEYS = frozenset({"telegram_user_id", "user_id", "from_user_id", "from_id", "peer_id", "sender_id"})
NAME_KEYS = frozenset({"username", "from_username", "peer_username"})
# Characters. Many people write shorter texts ("Hello!"): they do not identify one person's rows.
IDENTIFYING_TEXT = 12
_WHOLE = TypeAdapter(int)


@dataclass(frozen=True)
class Person:
    """A person and what their rows are found by: usernames (without @, in small letters) that nobody else had, the ids
    of events about them, texts that they wrote."""

    telegram_user_id: int | None
    usernames: frozenset[str] = frozenset()
    event_ids: frozenset[UUID] = frozenset()
    texts: frozenset[str] = frozenset()

    @property
    def ids(self) -> list[int]:
        """The id, if it is known: for lookups."""
        return [] if self.telegram_user_id is None else [self.telegram_user_id]

    def mentioned_in(self, *texts: str) -> bool:
        """Whether one of these texts, JSON or not, is about them."""
        return any(self._in_any(text) for text in texts if text)

    def _in_any(self, text: str) -> bool:
        try:
            value = from_json(text)
        except (ValueError, RecursionError):
            return self._in_text(text)
        return self._in_value(value) if isinstance(value, dict | list) else self._in_text(text)

    def _in_value(self, value: Any, key: str = "") -> bool:
        if isinstance(value, dict):
            return any(self._in_value(inner, str(name)) for name, inner in value.items())
        if isinstance(value, list):
            return any(self._in_value(inner, key) for inner in value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value == self.telegram_user_id and key in ID_KEYS
        if not isinstance(value, str):
            return False
        return (key in NAME_KEYS and value.removeprefix("@").lower() in self.usernames) or self._in_text(value)

    def _in_text(self, text: str) -> bool:
        user_id = self.telegram_user_id
        if user_id is not None and re.search(rf"(?<![\w-]){user_id}(?!\w)", text):
            return True
        if any(re.search(rf"@{name}(?!\w)|['\"]{name}['\"]", text, re.IGNORECASE) for name in self.usernames):
            return True
        return any(written in text or _escaped(written) in text for written in self.identifying_texts)

    @property
    def identifying_texts(self) -> list[str]:
        return sorted(text for text in self.texts if len(text) >= IDENTIFYING_TEXT)

    def maybe_in(self, *columns: str) -> Q:
        """Rows whose text columns may mention them, as far as PostgreSQL can tell; `mentioned_in` decides."""
        words = [*map(str, self.ids), *self.usernames]
        for text in self.identifying_texts:
            words += {text, _escaped(text), json.dumps(text)[1:-1]}
        found = Q(pk__in=[])
        for column in columns:
            for word in words:
                found |= Q(**{f"{column}__icontains": word})
        return found


def people_named_in(value: Any) -> tuple[set[int], set[str]]:
    """The ids and the usernames (without @, in small letters) that the fields of decoded JSON name people by."""
    ids, names = set[int](), set[str]()
    _collect(value, "", ids, names)
    return ids, names


def _collect(value: Any, key: str, ids: set[int], names: set[str]) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _collect(inner, str(name), ids, names)
    elif isinstance(value, list):
        for inner in value:
            _collect(inner, key, ids, names)
    elif key in ID_KEYS and (number := _whole_number(value)) is not None:
        ids.add(number)
    elif key in NAME_KEYS and isinstance(value, str) and value:
        names.add(value.removeprefix("@").lower())


def _whole_number(value: object) -> int | None:
    """The number that a field of the type int would be, however it is written: 7, "7" or 7.0."""
    try:
        return _WHOLE.validate_python(value)
    except ValidationError:
        return None


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
