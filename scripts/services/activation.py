"""The activation of drafts, whose cast and targets may change until then."""

import secrets
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from messaging.database.clock import database_clock
from messaging.publishing.outbox import publish_on_commit
from scripts import checks, snapshot
from scripts.errors import AssignedAlready, CannotStart, CastFixed, MoveRefused
from scripts.events import NewActiveScript
from scripts.models import OPEN_STATES, Assignment, Casting, Target
from scripts.services.rows import assignment_locked

State = Assignment.State


def assignment_activate(*, assignment_id: UUID, now: datetime | None = None) -> Assignment:
    """Activate the assignment: store its script in the snapshot, and publish `NewActiveScript` in the same transaction.

    If the assignment has a seed, it is kept, so that a play can be repeated word for word. Nothing happens if the
    assignment is already active or playing. Raises CannotStart (nothing is changed), MoveRefused, UnknownScript.
    """
    with transaction.atomic():
        assignment = assignment_locked(assignment_id)
        if assignment.state in (State.ACTIVE, State.PLAYING):
            return assignment
        if not may_be_activated(assignment):
            raise MoveRefused("the assignment", assignment.state_name, "activated")
        found = activate_locked(assignment, now=now or database_clock())
        if found:
            raise CannotStart(found)
        assignment.supervised_at = None
        assignment.save(update_fields=["supervised_at"])
        publish_on_commit(NewActiveScript(script_for_campaign_id=str(assignment.pk)))
        return assignment


def assignment_missing(*, assignment: Assignment) -> list[str]:
    """The reasons why `assignment_activate` would refuse the assignment now."""
    if not may_be_activated(assignment):
        return []
    return checks.problems(assignment, snapshot.lines_of(assignment.script), now=database_clock())


def may_be_activated(assignment: Assignment) -> bool:
    """Whether the assignment is a draft, or failed before any play existed and may be tried again."""
    return assignment.state == State.DRAFT or (assignment.state == State.FAILED and not assignment.plays.exists())


def preparation_lock(*, assignment_ids: Iterable[UUID]) -> None:
    """Lock these assignments before a change of their cast, targets or script.

    None of them can be activated until the transaction ends. Raises CastFixed for an assignment that is not in
    preparation.
    """
    wanted = Assignment.objects.filter(pk__in=set(assignment_ids)).select_related("campaign", "script")
    for assignment in wanted.select_for_update(of=("self",)).order_by("pk"):
        if not may_be_activated(assignment):
            raise CastFixed(str(assignment), assignment.state_name)


def may_be_repeated(assignment: Assignment) -> bool:
    """Whether the assignment has ended and cannot be activated itself."""
    return assignment.state not in OPEN_STATES and not may_be_activated(assignment)


def assignment_repeat(*, assignment_id: UUID) -> Assignment:
    """Create a draft with the cast and the targets of an assignment that has ended, and leave that unchanged.

    The draft's variants are chosen again. Raises AssignedAlready, MoveRefused, UnknownScript.
    """
    with transaction.atomic():
        ended = assignment_locked(assignment_id)
        if not may_be_repeated(ended):
            raise MoveRefused("the assignment", ended.state_name, "played again")
        try:
            with transaction.atomic():
                draft = Assignment.objects.create(campaign=ended.campaign, script=ended.script)
        except IntegrityError as error:
            raise AssignedAlready from error
        Casting.objects.bulk_create(
            Casting(assignment=draft, slot_id=casting.slot_id, bot_id=casting.bot_id) for casting in ended.cast.all()
        )
        Target.objects.bulk_create(
            Target(assignment=draft, chat_id=target.chat_id) for target in ended.targets.order_by("id")
        )
        return draft


def activate_locked(assignment: Assignment, *, now: datetime) -> list[str]:
    """Move a locked assignment to active. If it cannot start, change nothing and return the reasons."""
    lines = snapshot.lines_of(assignment.script)
    found = checks.problems(assignment, lines, now=now)
    if found:
        return found
    assignment.state = State.ACTIVE
    assignment.state_reason = assignment.incident = ""
    assignment.snapshot = snapshot.dump(lines)
    assignment.seed = assignment.seed or secrets.randbits(63)
    assignment.activated_at = now
    assignment.started_at = assignment.finished_at = None
    assignment.save(
        update_fields=[
            "state", "state_reason", "incident", "snapshot", "seed", "activated_at", "started_at", "finished_at",
        ]
    )  # fmt: skip
    return []
