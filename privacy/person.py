"""A person, and the search for mentions of the person in text and JSON."""

import json
import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q
from pydantic import TypeAdapter, ValidationError

from texts.json_text import from_json

# The fields of event bodies, CoolThing's and other programs', that contain a person's id or username.
ID_KEYS = frozenset({"telegram_user_id", "user_id", "from_user_id", "from_id", "peer_id", "sender_id"})
NAME_KEYS = frozenset({"username", "from_username", "peer_username"})
# The shortest text, in characters, that identifies a person's rows. Many people write shorter ones ("Hello!").
IDENTIFYING_TEXT = 12
_WHOLE = TypeAdapter(int)


@dataclass(frozen=True)
class Person:
    """A person and the values by which rooms find the person's rows.

    `usernames` are without @, in lower case, and were never another person's. `event_ids` are those of events about the
    person. `texts` are texts that the person wrote.
    """

    telegram_user_id: int | None
    usernames: frozenset[str] = frozenset()
    event_ids: frozenset[UUID] = frozenset()
    texts: frozenset[str] = frozenset()

    @property
    def ids(self) -> list[int]:
        """The Telegram id as a list for lookups; empty if it is not known."""
        return [] if self.telegram_user_id is None else [self.telegram_user_id]

    def mentioned_in(self, *texts: str) -> bool:
        """Whether one of these texts, JSON or not, mentions the person."""
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
        """Rows whose text columns may mention the person.

        This is PostgreSQL's coarse preselection; check each row's texts with `mentioned_in`.
        """
        words = [*map(str, self.ids), *self.usernames]
        for text in self.identifying_texts:
            words += {text, _escaped(text), json.dumps(text)[1:-1]}
        found = Q(pk__in=[])
        for column in columns:
            for word in words:
                found |= Q(**{f"{column}__icontains": word})
        return found


def people_named_in(value: Any) -> tuple[set[int], set[str]]:
    """The ids and usernames (without @, in lower case) of people in the ID_KEYS and NAME_KEYS of decoded JSON."""
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
    """The value as a whole number, in every form that pydantic accepts for an int (7, "7", 7.0); None otherwise."""
    try:
        return _WHOLE.validate_python(value)
    except ValidationError:
        return None


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
