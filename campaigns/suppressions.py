"""What the rooms above do when a person is suppressed, in the transaction that records it."""

from collections.abc import Callable
from dataclasses import dataclass

from campaigns.models import Suppression


@dataclass(frozen=True)
class Silenced:
    """Who is not written to any more, by id, name or both, and why."""

    telegram_user_id: int | None
    username: str
    source: Suppression.Source
    reason: str


Step = Callable[[Silenced], None]

_steps: list[tuple[Step, Step]] = []


def register(*, lock: Step, after: Step) -> None:
    """`lock` is called before the suppressions' fence is closed and takes whatever `after` changes: senders lock such
    rows first, too. `after` is called once the suppression is written. Both may be called again for the same person.
    """
    _steps.append((lock, after))


def lock_all(silenced: Silenced) -> None:
    for lock, _ in _steps:
        lock(silenced)


def follow_all(silenced: Silenced) -> None:
    for _, after in _steps:
        after(silenced)
