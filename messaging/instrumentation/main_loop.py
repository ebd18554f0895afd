"""When the main loop of this process last took a turn: a thread sends heartbeats also while that loop hangs."""

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
    """The loop has ended, or waits for as long as it takes: nothing is to be expected of it until its next turn."""
    global _turned_at
    _turned_at = None


def seconds_since_turn() -> float | None:
    """None when no turn is to be expected: of a process that notes none, or whose loop is paused."""
    turned_at = _turned_at
    return None if turned_at is None else time.monotonic() - turned_at


def paused_after(loop: Callable[P, T]) -> Callable[P, T]:
    """`loop`, after whose end no turn is expected."""

    @functools.wraps(loop)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return loop(*args, **kwargs)
        finally:
            paused()

    return run
