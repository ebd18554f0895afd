"""The rooms' parts of a person's data, registered once each, in the `ready` of their apps."""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.db.models import Model

from privacy.person import Person

ERASED = "Erased at a person's request."

Rows = dict[str, list[dict[str, Any]]]
Counts = dict[str, int]


class PersonalData:
    """What a room does about a person's data. A room overrides the methods that concern it."""

    name = ""
    # The labels of the models whose rows it exports: an export needs the permission to view all of them.
    models: tuple[str, ...] = ()

    def ids_met_as(self, username: str) -> set[int]:
        """The ids of people whom the room has met under this username (without @, in small letters)."""
        return set()

    def usernames_of(self, telegram_user_id: int) -> set[str]:
        """The usernames under which the room has met this person."""
        return set()

    def event_ids(self, person: Person) -> set[UUID]:
        """The ids of the room's events about the person."""
        return set()

    def texts(self, person: Person) -> set[str]:
        """Texts that the person wrote."""
        return set()

    def why_not_erasable(self, person: Person) -> str:
        """Why this person's data cannot be erased, for the operator; empty when it can."""
        return ""

    def leaving(self, person: Person) -> int:
        """How many messages to the person are being sent at this moment and can no longer be cancelled."""
        return 0

    def export(self, person: Person) -> Rows:
        """All rows about the person, by kind."""
        return {}

    def erase(self, person: Person) -> Counts:
        """Erase them, in transactions of its own; returns how many rows, by kind. Nothing new is recorded about the
        person meanwhile. Erasing again changes nothing and raises nothing."""
        return {}


_rooms: dict[str, tuple[int, PersonalData]] = {}


def register(turn: int, room: PersonalData) -> None:
    """Rooms export and erase in the order of their turns, whatever order they register in.

    Rows of one room are found by those of another (a lead gives the id of its event, which finds the outbox row).
    The rows that others are found by are erased last, so that an erasure that a crash cut off can be repeated.
    Raises ValueError for a turn that another room has.
    """
    taken = {at: other.name for at, other in _rooms.values() if other.name != room.name}
    if turn in taken:
        raise ValueError(f"The rooms {taken[turn]} and {room.name} have both turn {turn} of erasing a person's data.")
    _rooms[room.name] = (turn, room)


def rooms() -> list[PersonalData]:
    """In the order of their turns."""
    return [room for _, room in sorted(_rooms.values(), key=lambda entry: entry[0])]


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
