"""Suppresses many people at once, from a file: the number of statements does not depend on the number of people."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.db.models.functions import Lower

from campaigns.identifiers import plain_username
from campaigns.models import Suppression
from campaigns.policy import locks
from campaigns.suppressions import registry
from campaigns.suppressions.lookup import suppressed
from campaigns.suppressions.recording import OWN_RECORDS, suppression_add

# The rows of a file that one transaction writes. Senders wait until it ends, so it must be short.
ROWS_AT_ONCE = 500
# One row for each element of the arrays. Django takes several times as long to build its own statement for many rows.
_INSERT = """
    INSERT INTO campaigns_suppression
        (id, person_hash, resolved_at, resolved_by, telegram_user_id, username, source, reason)
    SELECT gen_random_uuid(), '', CASE WHEN found THEN statement_timestamp() END, CASE WHEN found THEN %s ELSE '' END,
        user_id, name, source, reason
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::bool[]) 
        AS row (user_id, name, source, reason, found)
"""


@dataclass(frozen=True)
class SuppressionEntry:
    """A person to suppress, from a line of a file."""

    telegram_user_id: int | None
    username: str
    source: Suppression.Source
    reason: str = ""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class _Person:
    """The person of an entry. As in `suppression_add`, our records give the id of a username."""

    entry: SuppressionEntry
    user_id: int | None
    name: str

    @property
    def found(self) -> bool:
        return self.user_id is not None and self.entry.telegram_user_id is None

    @property
    def key(self) -> object:
        return self.name if self.user_id is None else self.user_id


def suppressions_import(*, entries: Sequence[SuppressionEntry]) -> int:
    """Suppress all people of a file. Returns how many were not suppressed before.

    Their queued deliveries are cancelled. Works in transactions of ROWS_AT_ONCE rows. It may be called again, also
    after a crash.
    """
    return sum(_import(part) for part in _parts(entries))


def suppressions_known(entries: Sequence[SuppressionEntry]) -> int:
    """The number of entries that are suppressed already, for a dry run."""
    fresh = set[object]()
    for part in _parts(entries):
        people = _people(part)
        fresh |= {person.key for person in people} - _known(people)
    return len(entries) - len(fresh)


def _parts(entries: Sequence[SuppressionEntry]) -> Iterator[Sequence[SuppressionEntry]]:
    for start in range(0, len(entries), ROWS_AT_ONCE):
        yield entries[start : start + ROWS_AT_ONCE]


def _import(part: Sequence[SuppressionEntry]) -> int:
    with transaction.atomic():
        people = _people(part)
        locks.suppressions_lock_exclusive()
        known = _known(people)
        fresh: dict[object, _Person] = {}
        for person in people:
            if person.key not in known:
                fresh.setdefault(person.key, person)
        affecting = _affecting_other_rows(people)
        _write(fresh.values())
    # This ends the conversations of people whom a room knows. Since the commit the gate has refused to write to them.
    for person in affecting:
        entry = person.entry
        suppression_add(
            telegram_user_id=entry.telegram_user_id, username=entry.username, source=entry.source, reason=entry.reason
        )
    return len(fresh)


def _people(part: Sequence[SuppressionEntry]) -> list[_Person]:
    names_alone = {plain_username(entry.username) for entry in part if entry.telegram_user_id is None}
    last_ids = registry.last_ids_of(names_alone)
    return [
        _Person(
            entry,
            last_ids.get(plain_username(entry.username)) if entry.telegram_user_id is None else entry.telegram_user_id,
            plain_username(entry.username),
        )
        for entry in part
    ]


def _known(people: Sequence[_Person]) -> set[object]:
    """The keys of the people who are suppressed already."""
    ids = [person.user_id for person in people if person.user_id is not None]
    found = suppressed(user_ids=ids, usernames=[person.name for person in people if person.user_id is None])
    return {*found.user_ids, *found.names}


def _affecting_other_rows(people: Sequence[_Person]) -> list[_Person]:
    """People whose suppression changes other rows, in the order in which they are locked: by id.

    These are rows of other rooms, or the suppression of a username that gets an id now.
    """
    ids = {person.user_id for person in people if person.user_id is not None}
    names = {person.name for person in people} - {""}
    met_ids, met_names = registry.concerned(ids, names)
    unresolved = Suppression.objects.annotate(name=Lower("username")).exclude(username="")
    unresolved = unresolved.filter(name__in=names, telegram_user_id=None)
    waiting = set(unresolved.values_list("name", flat=True))
    chosen = [
        person
        for person in people
        if person.user_id in met_ids
        or person.name in met_names
        or (person.name in waiting and person.user_id is not None)
    ]
    return sorted(chosen, key=lambda person: (person.user_id or 0, person.name))


def _write(people: Collection[_Person]) -> None:
    columns = zip(*map(_columns, people), strict=True) if people else ()
    with connection.cursor() as cursor:
        if people:
            cursor.execute(_INSERT, [OWN_RECORDS, *map(list, columns)])


def _columns(person: _Person) -> tuple[int | None, str, str, str, bool]:
    return person.user_id, person.name, person.entry.source, person.entry.reason[:300], person.found
