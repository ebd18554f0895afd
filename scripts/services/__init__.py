"""Operations on assignments and their plays.

Each call is one transaction unless its docstring says otherwise, and may run several times at once. Locks are taken in
one order everywhere: delivery, play (by id), assignment; a transaction that has locked a play never waits for a
delivery. To stop plays, the new state is committed first, so that the gate refuses their deliveries; the plays are
cleared afterwards, each in a transaction of its own.

These rules apply to the names listed here, and callers outside this package use only these. The modules of the package
share further functions, for example for locked rows and for changes inside a caller's transaction.
"""

from scripts.services.activation import (
    assignment_activate,
    assignment_missing,
    assignment_repeat,
    may_be_activated,
    may_be_repeated,
    preparation_lock,
)
from scripts.services.controls import (
    assignment_pause,
    assignment_resume,
    assignment_stop,
    play_pause,
    play_resume,
    play_stop,
)
from scripts.services.plays import ORIGIN, step_settle
from scripts.services.preparation import assignment_prepare
from scripts.services.supervision import assignment_arm, plays_supervise

__all__ = [
    "ORIGIN",
    "assignment_activate",
    "assignment_arm",
    "assignment_missing",
    "assignment_pause",
    "assignment_prepare",
    "assignment_repeat",
    "assignment_resume",
    "assignment_stop",
    "may_be_activated",
    "may_be_repeated",
    "play_pause",
    "play_resume",
    "play_stop",
    "plays_supervise",
    "preparation_lock",
    "step_settle",
]
