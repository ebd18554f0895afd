"""This process's runtime, if it is a bots worker; apart from it, so that others need not import Telethon."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bots.runtime import Runtime

_current: "Runtime | None" = None


def start(*, role: str, name: str, capacity: int) -> None:
    """Make this process a bots worker."""
    from bots.runtime import Runtime

    global _current
    _current = Runtime(role=role, name=name, capacity=capacity)
    _current.start()


def current() -> "Runtime | None":
    """This process's runtime; None in a process that is no bots worker."""
    return _current
