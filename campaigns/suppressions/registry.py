"""Registry of what the rooms above do when a person is suppressed, in the transaction that records it.

They register here once, in their apps' `ready`.
"""

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
    """A room has met this id under a plain name."""

    username: str
    telegram_user_id: int
    at: datetime


Step = Callable[[Silenced], None]
# Called with plain usernames: who was seen last under each of them.
Finder = Callable[[Collection[str]], Iterable[Seen]]
# Called with ids, and with plain usernames of people of whom nothing else is known: those among them that the room has
# anything to do about when they are suppressed.
Concerned = Callable[[Collection[int], Collection[str]], tuple[set[int], set[str]]]

_steps: list[tuple[Step, Step]] = []
_finders: list[Finder] = []
_concerned: list[Concerned] = []


def register_finder(finder: Finder) -> None:
    """`finder` says whom the room has met last under a username. Of all rooms' answers the latest counts, so the order
    of registration has no effect."""
    if finder not in _finders:
        _finders.append(finder)


def bearer_of(username: str) -> int | None:
    """Whom the rooms have seen last under this plain name; None when nobody has."""
    return bearers_of([username]).get(username)


def bearers_of(usernames: Collection[str]) -> dict[str, int]:
    """As `bearer_of` for many, without those under whose name nobody was seen."""
    last: dict[str, Seen] = {}
    for seen in (sighting for finder in _finders for sighting in finder(usernames)) if usernames else ():
        if seen.username not in last or last[seen.username].at < seen.at:
            last[seen.username] = seen
    return {name: seen.telegram_user_id for name, seen in last.items()}


def concerned(user_ids: Collection[int], usernames: Collection[str]) -> tuple[set[int], set[str]]:
    """Those whose suppression has consequences in a room above."""
    told = [ask(user_ids, usernames) for ask in _concerned]
    return set().union(*(ids for ids, _ in told)), set().union(*(names for _, names in told))


def register_steps(*, lock: Step, after: Step, concerned: Concerned) -> None:
    """`lock` is called before the suppressions' fence is closed and takes whatever `after` changes: senders lock such
    rows first, too. `after` is called once the suppression is written. Both may be called again for the same person.
    `concerned` says for many people at once about whom `after` would change something.

    The steps run in the order of registration, which is the order of INSTALLED_APPS. So far `leads` is the only room; a
    second one whose `lock` takes other rows needs its place in the order of locks (docs/architecture.md).
    """
    if (lock, after) not in _steps:
        _steps.append((lock, after))
        _concerned.append(concerned)


def lock_all(silenced: Silenced) -> None:
    for lock, _ in _steps:
        lock(silenced)


def follow_all(silenced: Silenced) -> None:
    for _, after in _steps:
        after(silenced)
