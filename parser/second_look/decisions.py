"""Decisions on hits that the second look holds back: by the LLM, and by operators."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from campaigns.policy.locks import erasures_lock_shared
from messaging.database.clock import database_clock
from messaging.publishing.outbox import publish_on_commit
from messaging.wire import storable
from panelkit.errors import NotPossible
from parser.hit_events import hit_event
from parser.models import Hit, HitLook

State, Judge = HitLook.State, HitLook.Judge

# A hit that has passed has been reported: its lead can be rejected, but the hit stays.
MOVES: dict[HitLook.State, set[HitLook.State]] = {
    State.DUE: {State.WAITING, State.PASSED, State.REJECTED},
    State.WAITING: {State.PASSED, State.REJECTED},
    State.REJECTED: {State.PASSED},
    State.PASSED: set(),
}


def hit_lock(hit_id: UUID) -> HitLook | None:
    """Lock the hit and the verdict on it; None if they were erased. Call it before taking other locks."""
    erasures_lock_shared()
    if not Hit.objects.select_for_update(no_key=True).filter(pk=hit_id).exists():
        return None
    looks = HitLook.objects.select_for_update(of=("self",)).select_related("hit__chat", "campaign")
    return looks.filter(pk=hit_id).first()


def look_move(
    *, look: HitLook, state: HitLook.State, now: datetime, judge: str = "", reason: str | None = None
) -> None:
    """Change the state of a locked look. If the hit passes, its event is published, with the hit's id.

    Without a new reason the last one stays: an operator may let a hit through that a rule has rejected.
    """
    if state not in MOVES[State(look.state)]:
        raise NotPossible(f"The second look is over: “{look.get_state_display()}”.")
    look.state, look.judge = state, judge
    look.reason = look.reason if reason is None else storable(reason)[:300]
    look.decided_at = now if judge else None
    look.due_at = look.claimed_until = look.dispatched_at = None
    look.save()
    if state == State.PASSED:
        publish_on_commit(hit_event(look.hit))


@transaction.atomic
def look_pass(*, hit_id: UUID, by: str) -> HitLook:
    """Let a hit through that waits or was rejected. Repeating it is no error.

    Raises NotPossible for a hit without a second look: it was reported when it was recorded.
    """
    look = _look_locked(hit_id)
    if look.state != State.PASSED:
        look.operator = by[:150]
        look_move(look=look, state=State.PASSED, judge=Judge.OPERATOR, now=database_clock())
    return look


@transaction.atomic
def look_reject(*, hit_id: UUID, by: str, reason: str = "") -> HitLook:
    """Reject a hit that waits: no lead comes of it. Repeating it is no error.

    Raises NotPossible for a hit that has passed.
    """
    look = _look_locked(hit_id)
    if look.state != State.REJECTED:
        look.operator = by[:150]
        look_move(look=look, state=State.REJECTED, judge=Judge.OPERATOR, reason=reason or None, now=database_clock())
    return look


def _look_locked(hit_id: UUID) -> HitLook:
    look = hit_lock(hit_id)
    if look is None:
        raise NotPossible("This hit has no second look: its campaign did not use it when the hit was found.")
    return look
