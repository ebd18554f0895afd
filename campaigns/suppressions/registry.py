"""Functions of rooms above that act on a suppression, in the transaction that records it.

Each room registers once, in its app's `ready`.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from campaigns.models import Suppression


@dataclass(frozen=True)
class SuppressedPerson:
    """A person who is being suppressed, by id, username or both, and the reason."""

    telegram_user_id: int | None
    username: str
    source: Suppression.Source
    reason: str


@dataclass(frozen=True)
class Seen:
    """A room's record that this id had this plain username at this time."""

    username: str
    telegram_user_id: int
    at: datetime


Step = Callable[[SuppressedPerson], None]
# Called with plain usernames; returns the latest record of each username.
Finder = Callable[[Collection[str]], Iterable[Seen]]
# Called with ids, and with plain usernames of people without a known id; returns the ids and usernames whose
# suppression changes rows of the room.
Concerned = Callable[[Collection[int], Collection[str]], tuple[set[int], set[str]]]

_steps: list[tuple[Step, Step]] = []
_finders: list[Finder] = []
_concerned: list[Concerned] = []


def register_finder(finder: Finder) -> None:
    """Register a room's `finder`, which looks up the ids that the room last recorded with usernames.

    The latest record of all rooms counts, so the order of registration has no effect.
    """
    if finder not in _finders:
        _finders.append(finder)


def last_id_of(username: str) -> int | None:
    """The id that had this plain username in the rooms' latest record; None without a record."""
    return last_ids_of([username]).get(username)


def last_ids_of(usernames: Collection[str]) -> dict[str, int]:
    """The results of `last_id_of` by username, without usernames that have no record."""
    last: dict[str, Seen] = {}
    for seen in (sighting for finder in _finders for sighting in finder(usernames)) if usernames else ():
        if seen.username not in last or last[seen.username].at < seen.at:
            last[seen.username] = seen
    return {name: seen.telegram_user_id for name, seen in last.items()}


def concerned(user_ids: Collection[int], usernames: Collection[str]) -> tuple[set[int], set[str]]:
    """The ids and usernames whose suppression changes rows of a room above."""
    found = [concerned_of_room(user_ids, usernames) for concerned_of_room in _concerned]
    return set().union(*(ids for ids, _ in found)), set().union(*(names for _, names in found))


def register_steps(*, lock: Step, after: Step, concerned: Concerned) -> None:
    """Register what a room does when a person is suppressed.

    `lock` is called before the suppressions are locked and must lock everything that `after` changes, because senders
    also lock those rows before the suppressions. `after` is called once the suppression is written. Both may be called
    again for the same person. `concerned` returns, for many people at once, the people for whom `after` would change
    something.

    The steps run in the order of registration, which is the order of INSTALLED_APPS. So far `leads` is the only room;
    if the `lock` of a second room locks other rows, they need a place in the order of locks (docs/architecture.md).
    """
    if (lock, after) not in _steps:
        _steps.append((lock, after))
        _concerned.append(concerned)


def lock_all(person: SuppressedPerson) -> None:
    for lock, _ in _steps:
        lock(person)


def after_all(person: SuppressedPerson) -> None:
    for _, after in _steps:
        after(person)
