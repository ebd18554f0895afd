"""Finds a person's data in all rooms and exports it."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.utils import timezone

from panelkit.rights import PermissionHolder, require_view
from privacy.person import Person
from privacy.registry import Rows, rooms


@dataclass
class Found:
    """A person and the person's data. `notes` explain which rows are left out because they may be another person's."""

    person: Person
    rows: dict[str, Rows]
    notes: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of rows, by "room: kind"."""
        return {f"{room}: {kind}": len(rows) for room, kinds in self.rows.items() for kind, rows in kinds.items()}

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def person_find(person: Person) -> Found:
    """Find all data about this person in the database now."""
    complete, notes = person_complete(person)
    return Found(complete, {room.name: room.export(complete) for room in rooms()}, notes)


def export_require(by: PermissionHolder) -> None:
    """Raises PermissionDenied unless the user may view the models of all rooms, since an export contains their rows."""
    require_view(by, (model for room in rooms() for model in room.models))


def person_export(person: Person, *, by: PermissionHolder) -> dict[str, Any]:
    """The result of `person_find` as plain values, for a JSON file. Raises PermissionDenied, see `export_require`."""
    export_require(by)
    found = person_find(person)
    return {
        "telegram_user_id": found.person.telegram_user_id,
        "usernames": sorted(found.person.usernames),
        "exported_at": timezone.now(),
        "notes": found.notes,
        "held": found.rows,
    }


def person_complete(person: Person) -> tuple[Person, list[str]]:
    """Add all usernames, event ids and texts by which rooms find the person's rows.

    Returns the completed person, and notes about usernames that were left out because another person has or had them.
    """
    names, notes = set(person.usernames), list[str]()
    user_id = person.telegram_user_id
    if user_id is not None:
        names |= set[str]().union(*(room.usernames_of(user_id) for room in rooms()))
        shared = {name for name in names if ids_met_as(name) - {user_id}}
        notes = [
            f"Another person has or had the username @{name} too. Rows with only this username are left out."
            for name in sorted(shared)
        ]
        names -= shared
    found = Person(user_id, frozenset(names))
    events = set[UUID]().union(*(room.event_ids(found) for room in rooms()))
    texts = set[str]().union(*(room.texts(found) for room in rooms()))
    return Person(user_id, found.usernames, frozenset(events), frozenset(texts) | person.texts), notes


def ids_met_as(username: str) -> set[int]:
    """The ids of all people that the rooms' rows show under this username (without @, in lower case)."""
    return set[int]().union(*(room.ids_met_as(username) for room in rooms()))
