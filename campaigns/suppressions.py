"""What the rooms above do when a person is suppressed, in the transaction that records it."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from campaigns.models import Suppression


@dataclass(frozen=True)
class Silenced:
    """Who is not written to any more, by id, name or both, and why."""

    telegram_user_id: int | None
    username: str
    source: Suppression.Source
    reason: str


@dataclass(frozen=True)
class Seen:
    """A room has met this id under the name that was asked about."""

    telegram_user_id: int
    at: datetime


Step = Callable[[Silenced], None]
# Called with plain usernames: who was seen under them.
Finder = Callable[[str], Iterable[Seen]]
# Called with ids: those among them that the room has anything to do about when they are suppressed.
Concerned = Callable[[Collection[int]], set[int]]

_steps: list[tuple[Step, Step]] = []
_finders: list[Finder] = []
_concerned: list[Concerned] = []


def register_finder(finder: Finder) -> None:
    """A room tells whom it has met under a name."""
    _finders.append(finder)


def bearer_of(username: str) -> int | None:
    """Whom the rooms have seen last under this plain name; None when nobody has."""
    seen = [one for finder in _finders for one in finder(username)]
    return max(seen, key=lambda one: one.at).telegram_user_id if seen else None


def concerned(user_ids: Collection[int]) -> set[int]:
    """Those whose suppression has consequences in a room above."""
    return set().union(*(ask(user_ids) for ask in _concerned))


def register(*, lock: Step, after: Step, concerned: Concerned) -> None:
    """`lock` is called before the suppressions' fence is closed and takes whatever `after` changes: senders lock such
    rows first, too. `after` is called once the suppression is written. Both may be called again for the same person.
    `concerned` tells for many people at once of whom `after` would change something.
    """
    _steps.append((lock, after))
    _concerned.append(concerned)


def lock_all(silenced: Silenced) -> None:
    for lock, _ in _steps:
        lock(silenced)


def follow_all(silenced: Silenced) -> None:
    for _, after in _steps:
        after(silenced)
