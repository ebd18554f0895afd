"""Pause, resume and stop assignments and plays.

Each takes effect at the gate: after its commit no more messages are sent, except those that are being sent. Pausing
only changes the state: deliveries wait at the gate. Stopping commits the new state first, then clears the plays; if the
process dies in between, the watchdog finishes this.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from bots.deliveries.queueing import deliveries_cancel
from bots.models import Delivery
from campaigns.policy.notices import rules_changed
from messaging.database.clock import database_clock
from scripts.errors import MoveRefused, UnknownScript
from scripts.models import Assignment, Play, Step
from scripts.services.plays import ALIVE, ORIGIN, assignment_settle, play_end
from scripts.services.rows import play_locked, short

AssignmentState = Assignment.State
# The most plays that are cleared at once. Each is a transaction of some ten milliseconds.
CLEARED_AT_ONCE = 100


def assignment_pause(*, assignment_id: UUID, reason: str = "") -> Assignment:
    """Pause the assignment until it is resumed. Pausing twice does nothing. Raises MoveRefused, UnknownScript."""
    return _assignment_move(
        assignment_id, frm=(AssignmentState.PLAYING,), to=AssignmentState.PAUSED, wish="paused", reason=reason
    )


def assignment_resume(*, assignment_id: UUID) -> Assignment:
    """Continue a paused assignment. If it is playing, this does nothing. Raises MoveRefused, UnknownScript."""
    with transaction.atomic():
        assignment = _assignment_move(
            assignment_id, frm=(AssignmentState.PAUSED,), to=AssignmentState.PLAYING, wish="resumed"
        )
        rules_changed()
        return assignment


def assignment_stop(*, assignment_id: UUID, reason: str = "") -> Assignment:
    """End the assignment permanently, at any time after its activation.

    No more messages are sent. `finished_at` remains empty while a message is being sent or plays are being cleared. Two
    transactions: call it outside of one. Raises MoveRefused, UnknownScript.
    """
    active = (AssignmentState.ACTIVE, AssignmentState.PLAYING, AssignmentState.PAUSED)
    reason = reason or "stopped by an operator"
    assignment = _assignment_move(assignment_id, frm=active, to=AssignmentState.STOPPED, wish="stopped", reason=reason)
    assignment_clear(assignment_id=assignment_id, reason=assignment.state_reason, now=database_clock())
    assignment.refresh_from_db()
    return assignment


def assignment_clear(*, assignment_id: UUID, reason: str, now: datetime) -> None:
    """Clear a stopped assignment: cancel waiting deliveries, end its plays, and end it when no message is being sent.

    Of a very large assignment it clears only a part, so that the caller does not wait long. The watchdog clears the
    rest.
    """
    for play_id in (
        uncleared().filter(assignment_id=assignment_id).order_by("pk").values_list("pk", flat=True)[:CLEARED_AT_ONCE]
    ):
        play_clear(play_id=play_id, state=Play.State.STOPPED, reason=reason, now=now)
    with transaction.atomic():
        assignment_settle(assignment_id=assignment_id, now=now)


def uncleared() -> QuerySet[Play]:
    """Plays that are alive, or that have steps which are neither settled nor being sent."""
    waiting = Step.objects.filter(play=OuterRef("pk")).filter(
        Q(state=Step.State.PENDING) | Q(state=Step.State.QUEUED, delivery__state=Delivery.State.QUEUED)
    )
    return Play.objects.filter(Q(state__in=ALIVE) | Exists(waiting))


def play_pause(*, play_id: UUID, reason: str = "") -> Play:
    """Pause the play in one chat until it is resumed. Raises MoveRefused."""
    return _play_move(play_id, frm=(Play.State.PLAYING,), to=Play.State.PAUSED, wish="paused", reason=reason)


def play_resume(*, play_id: UUID) -> Play:
    """Continue a paused play. Raises MoveRefused."""
    with transaction.atomic():
        play = _play_move(play_id, frm=(Play.State.PAUSED,), to=Play.State.PLAYING, wish="resumed")
        rules_changed()
        return play


def play_stop(*, play_id: UUID, reason: str = "") -> Play:
    """End the play in one chat permanently. Two transactions: call it outside of one. Raises MoveRefused."""
    play = _play_move(
        play_id, frm=ALIVE, to=Play.State.STOPPED, wish="stopped", reason=reason or "stopped by an operator"
    )
    play_clear(play_id=play_id, state=Play.State.STOPPED, reason=play.state_reason, now=database_clock())
    play.refresh_from_db()
    return play


def _assignment_move(assignment_id: UUID, *, frm: tuple[str, ...], to: str, wish: str, reason: str = "") -> Assignment:
    found = Assignment.objects.filter(pk=assignment_id)
    moved = found.filter(state__in=frm).update(state=to, state_reason=short(reason))
    assignment = found.select_related("campaign", "script").first()
    if assignment is None:
        raise UnknownScript(assignment_id)
    if not moved and assignment.state != to:
        raise MoveRefused("the assignment", assignment.state_name, wish)
    return assignment


def _play_move(play_id: UUID, *, frm: tuple[str, ...], to: str, wish: str, reason: str = "") -> Play:
    found = Play.objects.filter(pk=play_id)
    ended = {} if to in ALIVE else {"finished_at": database_clock()}
    moved = found.filter(state__in=frm).update(state=to, state_reason=short(reason), incident="", **ended)
    play = found.get()
    if not moved and play.state != to:
        raise MoveRefused("the play", play.get_state_display().lower(), wish)
    return play


def play_clear(*, play_id: UUID, state: str, reason: str, now: datetime) -> None:
    """Clear a play that was stopped, alone or with its assignment: cancel its waiting deliveries and end it."""
    with transaction.atomic():
        play_locked(play_id)
        queued = Step.objects.filter(play_id=play_id, state=Step.State.QUEUED).values_list("pk", flat=True)
        if queued:
            deliveries_cancel(origin=ORIGIN, origin_ids=list(queued), reason=reason)
        # Locked and read again, because each cancelled delivery has settled its step, and may have ended the play.
        play_end(play_locked(play_id), state=state, reason=reason, now=now)
