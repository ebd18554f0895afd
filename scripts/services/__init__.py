"""What may be done to an assignment, and what happens to its plays. Each call is one transaction
unless it says otherwise, and may run twice and beside itself.

Locks are taken in one order everywhere: delivery, play (by id), assignment; a transaction that has locked a play never
waits for a delivery. A fence that stops what is being said is committed first; what is behind it is cleared afterwards,
play by play.

Callers outside this package use what is listed here, and it alone; these rules hold for it. The modules share more with
each other (locked rows, moves inside a transaction), for which they do not.
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
