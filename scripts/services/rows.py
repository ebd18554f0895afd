"""Functions that lock rows, and that shorten reasons to the length of their columns."""

from uuid import UUID

from scripts.errors import UnknownScript
from scripts.models import Assignment, Play

LONGEST_REASON = 300  # characters of every reason column


def assignment_locked(assignment_id: UUID | str) -> Assignment:
    """The assignment, locked for update until the caller's transaction ends. Raises UnknownScript."""
    try:
        key = assignment_id if isinstance(assignment_id, UUID) else UUID(assignment_id)
        return Assignment.objects.select_for_update(of=("self",)).select_related("campaign", "script").get(pk=key)
    except (ValueError, Assignment.DoesNotExist) as error:
        raise UnknownScript(assignment_id) from error


def play_locked(play_id: UUID) -> Play:
    """The play, locked for update until the caller's transaction ends. The assignment's snapshot is not loaded."""
    plays = (
        Play.objects.select_for_update(of=("self",)).select_related("chat", "assignment").defer("assignment__snapshot")
    )
    return plays.get(pk=play_id)


def short(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 1] + "…"
