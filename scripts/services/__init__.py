"""What may be done to a script in a campaign, and what happens to its plays. Each call is one transaction
unless it says otherwise, and may run twice and beside itself.

Locks are taken in one order everywhere: delivery, run (by id), sfc; whoever holds a run never waits for a delivery.
A fence that has to stop what is being said is committed first, and what is behind it is cleared afterwards, run by run.

Callers outside this package use what is listed here, and it alone; these rules hold for it. The modules share more with
each other (locked rows, moves inside a transaction), for which they do not.
"""

from scripts.services.activation import (
    may_be_activated,
    may_be_repeated,
    preparation_lock,
    sfc_activate,
    sfc_missing,
    sfc_repeat,
)
from scripts.services.controls import run_pause, run_resume, run_stop, sfc_pause, sfc_resume, sfc_stop
from scripts.services.plays import ORIGIN, step_settle
from scripts.services.preparation import sfc_prepare
from scripts.services.supervision import runs_supervise, sfc_arm

__all__ = [
    "ORIGIN",
    "may_be_activated",
    "may_be_repeated",
    "preparation_lock",
    "run_pause",
    "run_resume",
    "run_stop",
    "runs_supervise",
    "sfc_activate",
    "sfc_arm",
    "sfc_missing",
    "sfc_pause",
    "sfc_prepare",
    "sfc_repeat",
    "sfc_resume",
    "sfc_stop",
    "step_settle",
]
