"""The rights of a person: to know what is held of them, and to have it erased.

An erasure goes in steps, each committed, so that nothing comes back while it runs and a crash in between only means to
do it again: first nobody writes to them any more; then their hash is on record, behind a fence that whoever records
something of a person holds, so that nothing of them is recorded any more; then each room removes what it has; last the
suppression forgets who it was.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from campaigns.errors import NotPossible
from campaigns.models import Suppression
from campaigns.policy import fences
from campaigns.selectors import plain_username
from campaigns.suppressions.hashing import id_hash, key_for_erasing, name_hash
from campaigns.suppressions.recording import suppression_add
from messaging.persons import Person, Rows, rooms
from panelkit.rights import Asking, require, require_view
from texts.wording import counted

# Rows of every room go for good: the right to change leads or conversations does not include it.
ERASE_RIGHT = "campaigns.erase_person"
_USERNAME = re.compile(r"\w{2,32}", re.ASCII)


class StillLeaving(NotPossible):
    """Messages to the person are on their way: try again in a moment."""


@dataclass
class Found:
    """A person and what is held of them. `notes` tell what could not be told apart."""

    person: Person
    rows: dict[str, Rows]
    notes: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows are held, as "room: kind"."""
        return {f"{room}: {kind}": len(rows) for room, kinds in self.rows.items() for kind, rows in kinds.items()}

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def person_named(who: str) -> Person:
    """From an id or "@name". Raises NotPossible when it is neither, or the name is several people's."""
    text = who.strip()
    if re.fullmatch(r"[1-9]\d{0,18}", text, re.ASCII):
        return Person(int(text))
    name = plain_username(text)
    if not text.startswith("@") or not _USERNAME.fullmatch(name):
        raise NotPossible(f"{text[:40]!r} is neither a Telegram id nor an @username.")
    ids = _bearers(name)
    if len(ids) > 1:
        several = ", ".join(str(one) for one in sorted(ids))
        raise NotPossible(f"Several people were met as @{name}: say which of the ids {several} is meant.")
    return Person(next(iter(ids), None), frozenset({name}))


def person_find(person: Person) -> Found:
    """Everything that is held of this person, read as it is now."""
    complete, notes = _complete(person)
    return Found(complete, {room.name: room.export(complete) for room in rooms()}, notes)


def export_require(by: Asking) -> None:
    """An export contains rows of every room: it needs the permission to view all of their models. Raises
    PermissionDenied."""
    require_view(by, (model for room in rooms() for model in room.models))


def person_export(person: Person, *, by: Asking) -> dict[str, Any]:
    """The same as plain values, for a JSON file. Raises PermissionDenied."""
    export_require(by)
    found = person_find(person)
    return {
        "telegram_user_id": found.person.telegram_user_id,
        "usernames": sorted(found.person.usernames),
        "exported_at": timezone.now(),
        "notes": found.notes,
        "held": found.rows,
    }


def person_erase(person: Person, *, by: Asking) -> tuple[dict[str, int], Suppression]:
    """Erase them; how many rows, as "room: kind", and what stays: the suppression by hash.

    May be called again, also after a crash in the middle. Raises PermissionDenied without ERASE_RIGHT and NotPossible,
    before anything is changed, and StillLeaving: then nothing more is said to them, and nothing is erased yet.
    """
    require(by, ERASE_RIGHT)
    if refusal := next(filter(None, (room.refuses(person) for room in rooms())), ""):
        raise NotPossible(refusal)
    complete, _ = _complete(person)
    suppression = _silence(complete)
    leaving = sum(room.leaving(complete) for room in rooms())
    if leaving:
        raise StillLeaving(
            f"{counted(leaving, 'message to this person is', 'messages to this person are')} leaving at this moment. "
            "Nothing more is said to them; erase again in a moment, when it is known what became of those."
        )
    suppression = _mark(suppression, complete)
    # Once more: what was under way until the mark is there by now, and may have told another name.
    complete, _ = _complete(complete)
    counts: dict[str, int] = {}
    for room in rooms():
        counts |= {f"{room.name}: {kind}": count for kind, count in room.erase(complete).items()}
    suppression.refresh_from_db()
    return counts, suppression


def _complete(person: Person) -> tuple[Person, list[str]]:
    """With all names, events and words that lead to their rows."""
    names, notes = set(person.usernames), list[str]()
    who = person.telegram_user_id
    if who is not None:
        names |= set[str]().union(*(room.names(who) for room in rooms()))
        shared = {name for name in names if _bearers(name) - {who}}
        notes = [
            f"@{name} is, or was, somebody else's name too: rows that know only the name are left out."
            for name in sorted(shared)
        ]
        names -= shared
    found = Person(who, frozenset(names))
    events = set[UUID]().union(*(room.events(found) for room in rooms()))
    texts = set[str]().union(*(room.texts(found) for room in rooms()))
    return Person(who, found.usernames, frozenset(events), frozenset(texts) | person.texts), notes


def _bearers(name: str) -> set[int]:
    return set[int]().union(*(room.bearers(name) for room in rooms()))


def _silence(person: Person) -> Suppression:
    names = sorted(person.usernames) or [""]
    rows = [
        suppression_add(
            telegram_user_id=person.telegram_user_id, username=name, source=Suppression.Source.ERASURE, reason=""
        )
        for name in names
    ]
    return rows[0]


@transaction.atomic
def _mark(suppression: Suppression, person: Person) -> Suppression:
    """From its return on nothing of the person is recorded by anybody. Returns what stays of them."""
    fences.erasing_close()
    key = key_for_erasing()
    who = person.telegram_user_id
    hashed = id_hash(key, who) if who is not None else name_hash(key, min(person.usernames))
    kept = Suppression.objects.filter(person_hash=hashed)
    if not kept.exists() and not Suppression.objects.filter(pk=suppression.pk).update(person_hash=hashed):
        # An operator has just deleted their own entry.
        Suppression.objects.create(person_hash=hashed, source=Suppression.Source.ERASURE)
    return kept.get()
