"""The registry of the rooms that store personal data. Each room registers once, in its app's `ready`."""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.db.models import Model

from privacy.person import Person

ERASED = "Erased at a person's request."

Rows = dict[str, list[dict[str, Any]]]
Counts = dict[str, int]


class PersonalData:
    """How a room finds, exports and erases a person's data. A room overrides the methods that it needs."""

    name = ""
    # The labels of the models whose rows the room exports. An export requires the permission to view all of them.
    models: tuple[str, ...] = ()

    def ids_met_as(self, username: str) -> set[int]:
        """The ids of people that the room's rows show under this username (without @, in lower case)."""
        return set()

    def usernames_of(self, telegram_user_id: int) -> set[str]:
        """The usernames that the room's rows show for this person."""
        return set()

    def event_ids(self, person: Person) -> set[UUID]:
        """The ids of the room's events about the person."""
        return set()

    def texts(self, person: Person) -> set[str]:
        """The texts of the room's rows that the person wrote."""
        return set()

    def why_not_erasable(self, person: Person) -> str:
        """Why this person's data cannot be erased, as a message for the operator; empty if it can."""
        return ""

    def leaving(self, person: Person) -> int:
        """How many messages to the person are being sent at this moment and can no longer be cancelled."""
        return 0

    def export(self, person: Person) -> Rows:
        """All rows about the person, by kind."""
        return {}

    def erase(self, person: Person) -> Counts:
        """Erase the person's rows in one or more transactions. Returns the numbers of erased rows by kind.

        Nothing new about the person is recorded meanwhile. A second call must neither change nor raise anything.
        """
        return {}


_rooms: dict[str, tuple[int, PersonalData]] = {}


def register(turn: int, room: PersonalData) -> None:
    """Register a room. Rooms export and erase in the order of `turn`, whatever the order of registration.

    Some rows lead to rows of other rooms: a lead has the id of its event, which leads to the row in the outbox. Rooms
    with such rows must erase last, so that an erasure that a crash interrupted can be repeated. Raises ValueError if
    another room has the same turn.
    """
    taken = {at: other.name for at, other in _rooms.values() if other.name != room.name}
    if turn in taken:
        raise ValueError(f"The rooms {taken[turn]} and {room.name} both have the turn {turn} in an erasure.")
    _rooms[room.name] = (turn, room)


def rooms() -> list[PersonalData]:
    """The registered rooms in the order of their turns."""
    return [room for _, room in sorted(_rooms.values(), key=lambda entry: entry[0])]


def as_dicts(rows: Iterable[Model], *, without: Collection[str] = ()) -> list[dict[str, Any]]:
    """The columns of the rows as dictionaries, for an export. Columns in `without` are left out."""
    return [
        {
            field.attname: getattr(row, field.attname)
            for field in row._meta.concrete_fields
            if field.attname not in without
        }
        for row in rows
    ]
