"""What the rooms hold about one person, so that it can be handed out and erased.

Each room registers itself here once, with its turn. Rows of one room lead to rows of others (a lead's event to its
outbox row), so those that others are found by are erased after them: what a crash left can still be found.
`campaigns.people` asks.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Model, Q

from messaging.wire import from_json, whole_number

# What a person's id and name are called in the bodies of events, ours and other programs'.
ID_KEYS = frozenset({"telegram_user_id", "user_id", "from_user_id", "from_id", "peer_id", "sender_id"})
NAME_KEYS = frozenset({"username", "from_username", "peer_username"})
# Shorter words ("Hello!") are everybody's: they do not tell whose row it is.
TELLING_TEXT = 12
ERASED = "Erased at a person's request."


@dataclass(frozen=True)
class Person:
    """Somebody and what leads to their rows: plain usernames that are theirs alone, the events about them, what they
    wrote."""

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
            return any(self._in_value(one, str(name)) for name, one in value.items())
        if isinstance(value, list):
            return any(self._in_value(one, key) for one in value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value == self.telegram_user_id and key in ID_KEYS
        if not isinstance(value, str):
            return False
        return (key in NAME_KEYS and value.removeprefix("@").lower() in self.usernames) or self._in_text(value)

    def _in_text(self, text: str) -> bool:
        who = self.telegram_user_id
        if who is not None and re.search(rf"(?<![\w-]){who}(?!\w)", text):
            return True
        if any(re.search(rf"@{name}(?!\w)|['\"]{name}['\"]", text, re.IGNORECASE) for name in self.usernames):
            return True
        return any(told in text or _escaped(told) in text for told in self.telling_texts)

    @property
    def telling_texts(self) -> list[str]:
        return sorted(text for text in self.texts if len(text) >= TELLING_TEXT)

    def maybe_in(self, *columns: str) -> Q:
        """Rows whose text columns may be about them: what PostgreSQL can tell; `mentioned_in` decides."""
        words = [*map(str, self.ids), *self.usernames]
        for text in self.telling_texts:
            words += {text, _escaped(text), json.dumps(text)[1:-1]}
        found = Q(pk__in=[])
        for column in columns:
            for word in words:
                found |= Q(**{f"{column}__icontains": word})
        return found


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


Rows = dict[str, list[dict[str, Any]]]
Counts = dict[str, int]


class Room:
    """A room's part. What it has nothing to say about it leaves as it is here."""

    name = ""
    # The labels of the models whose rows it exports: an export needs the permission to view all of them.
    models: tuple[str, ...] = ()

    def bearers(self, username: str) -> set[int]:
        """The ids that it has met under this plain name."""
        return set()

    def names(self, telegram_user_id: int) -> set[str]:
        """The names under which it has met this id."""
        return set()

    def events(self, person: Person) -> set[UUID]:
        return set()

    def texts(self, person: Person) -> set[str]:
        """What the person wrote."""
        return set()

    def refuses(self, person: Person) -> str:
        """Why this is nobody whose data can be erased; empty when it can."""
        return ""

    def leaving(self, person: Person) -> int:
        """Messages on their way to the person that nothing calls back."""
        return 0

    def export(self, person: Person) -> Rows:
        """Everything that it holds of them, by kind."""
        return {}

    def erase(self, person: Person) -> Counts:
        """Remove it, in transactions of its own; how many rows, by kind. Nothing new is recorded meanwhile. Again: no
        error, and nothing to do."""
        return {}


_rooms: list[tuple[int, Room]] = []


def register(turn: int, room: Room) -> None:
    _rooms[:] = [(at, one) for at, one in _rooms if one.name != room.name] + [(turn, room)]


def rooms() -> list[Room]:
    """In the order of their turns."""
    return [room for _, room in sorted(_rooms, key=lambda pair: (pair[0], pair[1].name))]


# Whether one of these ids or plain names is of an erased person.
Guard = Callable[[Collection[int], Collection[str]], bool]
_guards: list[tuple[Guard, Callable[[], None]]] = []


def register_guard(guard: Guard, *, hold: Callable[[], None]) -> None:
    """`hold`: until the transaction ends the guard's answers stay true. Taken before any lock on a row."""
    _guards[:] = [(guard, hold)]


def hold_erasing() -> None:
    """For whoever is about to keep what came from outside. Before the first `about_somebody_erased`."""
    for _, hold in _guards:
        hold()


def about_somebody_erased(text: str) -> bool:
    """Whether this JSON body names a person whose data was erased: then it is not to be kept."""
    try:
        ids, names = set[int](), set[str]()
        _named_in(from_json(text), "", ids, names)
    except (ValueError, RecursionError):
        return False
    return bool(ids or names) and any(guard(ids, names) for guard, _ in _guards)


def _named_in(value: Any, key: str, ids: set[int], names: set[str]) -> None:
    if isinstance(value, dict):
        for name, one in value.items():
            _named_in(one, str(name), ids, names)
    elif isinstance(value, list):
        for one in value:
            _named_in(one, key, ids, names)
    elif key in ID_KEYS and (number := whole_number(value)) is not None:
        ids.add(number)
    elif key in NAME_KEYS and isinstance(value, str) and value:
        names.add(value.removeprefix("@").lower())


def as_dicts(rows: Iterable[Model], *, without: Collection[str] = ()) -> list[dict[str, Any]]:
    """The columns of rows, for an export."""
    return [
        {
            field.attname: getattr(row, field.attname)
            for field in row._meta.concrete_fields
            if field.attname not in without
        }
        for row in rows
    ]
