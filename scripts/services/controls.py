"""Pause, resume and stop. Each acts at the gate: after its commit nothing more is said, except what is leaving.

Pausing changes the fence alone: deliveries wait at the gate. Stopping commits the fence first, then clears what
was behind it; should the process die in between, the watchdog finishes that.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from bots.deliveries.queueing import deliveries_cancel
from bots.models import Delivery
from campaigns.policy.fences import rules_changed
from messaging.database.clock import database_clock
from scripts.errors import MoveRefused, UnknownScript
from scripts.models import Run, ScriptForCampaign, Step
from scripts.services.plays import ALIVE, ORIGIN, run_end, sfc_settle
from scripts.services.rows import run_locked, short

SfcState = ScriptForCampaign.State
# Runs, each a transaction of some ten milliseconds.
CLEARED_AT_ONCE = 100


def sfc_pause(*, sfc_id: UUID, reason: str = "") -> ScriptForCampaign:
    """Nothing of it is said until it is resumed. Pausing twice does nothing. Raises MoveRefused, UnknownScript."""
    return _sfc_move(sfc_id, frm=(SfcState.PLAYING,), to=SfcState.PAUSED, wish="paused", reason=reason)


def sfc_resume(*, sfc_id: UUID) -> ScriptForCampaign:
    """It goes on where it was. Resuming what plays does nothing. Raises MoveRefused, UnknownScript."""
    with transaction.atomic():
        sfc = _sfc_move(sfc_id, frm=(SfcState.PAUSED,), to=SfcState.PLAYING, wish="resumed")
        rules_changed()
        return sfc


def sfc_stop(*, sfc_id: UUID, reason: str = "") -> ScriptForCampaign:
    """End it for good, at any moment from activation on. Its `finished_at` stays empty while something is leaving
    or still being cleared; nothing is said any more either way.

    Two transactions: call it outside of one. Raises MoveRefused, UnknownScript.
    """
    active = (SfcState.ACTIVE, SfcState.PLAYING, SfcState.PAUSED)
    reason = reason or "stopped by an operator"
    sfc = _sfc_move(sfc_id, frm=active, to=SfcState.STOPPED, wish="stopped", reason=reason)
    sfc_clear(sfc_id=sfc_id, reason=sfc.state_reason, now=database_clock())
    sfc.refresh_from_db()
    return sfc


def sfc_clear(*, sfc_id: UUID, reason: str, now: datetime) -> None:
    """Behind a stopped sfc: cancel what waits, end its runs, end the sfc when nothing is leaving.

    Of a very large play only a part, so that nobody waits for it: the watchdog goes on with the rest.
    """
    for run_id in uncleared().filter(sfc_id=sfc_id).order_by("pk").values_list("pk", flat=True)[:CLEARED_AT_ONCE]:
        run_clear(run_id=run_id, state=Run.State.STOPPED, reason=reason, now=now)
    with transaction.atomic():
        sfc_settle(sfc_id=sfc_id, now=now)


def uncleared() -> QuerySet[Run]:
    """Runs that play, or that have steps which neither settled nor are leaving."""
    waiting = Step.objects.filter(run=OuterRef("pk")).filter(
        Q(state=Step.State.PENDING) | Q(state=Step.State.QUEUED, delivery__state=Delivery.State.QUEUED)
    )
    return Run.objects.filter(Q(state__in=ALIVE) | Exists(waiting))


def run_pause(*, run_id: UUID, reason: str = "") -> Run:
    """Nothing more is said in this one chat until it is resumed. Raises MoveRefused."""
    return _run_move(run_id, frm=(Run.State.PLAYING,), to=Run.State.PAUSED, wish="paused", reason=reason)


def run_resume(*, run_id: UUID) -> Run:
    """Raises MoveRefused."""
    with transaction.atomic():
        run = _run_move(run_id, frm=(Run.State.PAUSED,), to=Run.State.PLAYING, wish="resumed")
        rules_changed()
        return run


def run_stop(*, run_id: UUID, reason: str = "") -> Run:
    """End the play in this one chat for good. Two transactions: call it outside of one. Raises MoveRefused."""
    run = _run_move(run_id, frm=ALIVE, to=Run.State.STOPPED, wish="stopped", reason=reason or "stopped by an operator")
    run_clear(run_id=run_id, state=Run.State.STOPPED, reason=run.state_reason, now=database_clock())
    run.refresh_from_db()
    return run


def _sfc_move(sfc_id: UUID, *, frm: tuple[str, ...], to: str, wish: str, reason: str = "") -> ScriptForCampaign:
    found = ScriptForCampaign.objects.filter(pk=sfc_id)
    moved = found.filter(state__in=frm).update(state=to, state_reason=short(reason))
    sfc = found.select_related("campaign", "script").first()
    if sfc is None:
        raise UnknownScript(sfc_id)
    if not moved and sfc.state != to:
        raise MoveRefused("the script", sfc.get_state_display().lower(), wish)
    return sfc


def _run_move(run_id: UUID, *, frm: tuple[str, ...], to: str, wish: str, reason: str = "") -> Run:
    found = Run.objects.filter(pk=run_id)
    ended = {} if to in ALIVE else {"finished_at": database_clock()}
    moved = found.filter(state__in=frm).update(state=to, state_reason=short(reason), incident="", **ended)
    run = found.get()
    if not moved and run.state != to:
        raise MoveRefused("the play", run.get_state_display().lower(), wish)
    return run


def run_clear(*, run_id: UUID, state: str, reason: str, now: datetime) -> None:
    """Behind a stopped run or sfc: cancel what waits, end the run."""
    with transaction.atomic():
        run_locked(run_id)
        queued = Step.objects.filter(run_id=run_id, state=Step.State.QUEUED).values_list("pk", flat=True)
        if queued:
            deliveries_cancel(origin=ORIGIN, origin_ids=list(queued), reason=reason)
        # Read again: each cancelled delivery has settled its step, and perhaps ended the run.
        run_end(run_locked(run_id), state=state, reason=reason, now=now)
