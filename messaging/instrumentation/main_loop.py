"""Records when this process's main loop last ran. Heartbeats do not show that: they come from another thread."""

import functools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_turned_at: float | None = None


def turned() -> None:
    """Call at each turn of the loop, and before each step of a turn that may take long."""
    global _turned_at
    _turned_at = time.monotonic()


def paused() -> None:
    """Call when the loop has ended, or waits for an unlimited time: no turn is expected until the next `turned`."""
    global _turned_at
    _turned_at = None


def seconds_since_turn() -> float | None:
    """The seconds since the last turn. None if no turn is expected: the loop is paused, or reports no turns."""
    turned_at = _turned_at
    return None if turned_at is None else time.monotonic() - turned_at


def paused_after(loop: Callable[P, T]) -> Callable[P, T]:
    """Decorate a loop so that no turn is expected after it has ended."""

    @functools.wraps(loop)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return loop(*args, **kwargs)
        finally:
            paused()

    return run
