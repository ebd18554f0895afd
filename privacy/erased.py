"""Recognises data about erased people. Such data may arrive from other programs and must not be recorded."""

from collections.abc import Callable, Collection

from privacy.person import people_named_in
from texts.json_text import from_json

# Returns whether an erased person has one of these ids or usernames (without @, in lower case).
Guard = Callable[[Collection[int], Collection[str]], bool]
_guards: list[tuple[Guard, Callable[[], None]]] = []


def register_guard(guard: Guard, *, lock: Callable[[], None]) -> None:
    """Register the guard, which replaces an earlier guard.

    After `lock()` the guard's results must stay valid until the transaction ends.
    """
    _guards[:] = [(guard, lock)]


def lock_erasing() -> None:
    """Keep people from being marked as erased until the transaction ends.

    Call it in a transaction before the first `about_erased_person` and before locking any row.
    """
    for _, lock in _guards:
        lock()


def about_erased_person(text: str) -> bool:
    """Whether this JSON text names a person whose data was erased. Such a text must not be recorded."""
    try:
        ids, names = people_named_in(from_json(text))
    except (ValueError, RecursionError):
        return False
    return bool(ids or names) and any(guard(ids, names) for guard, _ in _guards)
