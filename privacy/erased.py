"""Keeps what comes from outside about erased people from being recorded again."""

from collections.abc import Callable, Collection

from privacy.person import people_named_in
from texts.json_text import from_json

# Whether one of these ids or usernames (without @, in small letters) is an erased person's.
Guard = Callable[[Collection[int], Collection[str]], bool]
_guards: list[tuple[Guard, Callable[[], None]]] = []


def register_guard(guard: Guard, *, lock: Callable[[], None]) -> None:
    """The only guard; it replaces an earlier one. After `lock()` its answers stay true until the transaction ends."""
    _guards[:] = [(guard, lock)]


def lock_erasing() -> None:
    """Call this before the first `about_erased_person` of a transaction, and before it locks any row."""
    for _, lock in _guards:
        lock()


def about_erased_person(text: str) -> bool:
    """Whether this JSON body names a person whose data was erased: then it is not to be recorded."""
    try:
        ids, names = people_named_in(from_json(text))
    except (ValueError, RecursionError):
        return False
    return bool(ids or names) and any(guard(ids, names) for guard, _ in _guards)
