"""The origin of deliveries of steps: its row locks, its verdicts at the gate, and what follows a delivery."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from bots.gate.row_locks import Statement, execute
from bots.gate.verdicts import ALLOW, Refuse, Verdict, Wait
from bots.models import Delivery
from panelkit.labels import short_choice
from scripts.models import Assignment, Play, Step
from scripts.services import step_settle

_LOCK_PLAYS = """
    SELECT id FROM scripts_run WHERE id IN (SELECT run_id FROM scripts_step WHERE id = ANY(%s)) ORDER BY id FOR SHARE
"""
_LOCK_ASSIGNMENTS = """
    SELECT id FROM scripts_scriptforcampaign WHERE id IN (
        SELECT play.sfc_id FROM scripts_run AS play JOIN scripts_step AS step ON step.run_id = play.id
        WHERE step.id = ANY(%s)
    ) ORDER BY id FOR SHARE
"""
_STANDINGS = """
    SELECT step.id, step.delivery_id, step.state, play.state, assignment.state FROM scripts_step AS step
    JOIN scripts_run AS play ON play.id = step.run_id
    JOIN scripts_scriptforcampaign AS assignment ON assignment.id = play.sfc_id
    WHERE step.id = ANY(%s)
"""


@dataclass(frozen=True)
class Standing:
    """A step's delivery, and the states of the step, its play and its assignment."""

    delivery_id: UUID | None
    step: str
    play: str
    assignment: str


class StepOrigin:
    """`origin_id` is the step's id."""

    def lock_fences(self, origin_ids: Collection[UUID]) -> None:
        """Lock the plays, then the assignments, so that they cannot be paused or stopped or end in this transaction."""
        steps = list(origin_ids)
        execute(Statement(_LOCK_PLAYS, [steps]), Statement(_LOCK_ASSIGNMENTS, [steps]))

    def verdicts(self, deliveries: Sequence[Delivery], *, now: datetime) -> dict[UUID, Verdict]:
        (rows,) = execute(Statement(_STANDINGS, [[delivery.origin_id for delivery in deliveries]]))
        found = {step_id: Standing(*facts) for step_id, *facts in rows}
        return {delivery.pk: _verdict(delivery, found.get(delivery.origin_id)) for delivery in deliveries}

    def settle(self, delivery: Delivery, *, now: datetime) -> None:
        step_settle(delivery=delivery, now=now)


def _verdict(delivery: Delivery, found: Standing | None) -> Verdict:
    if found is None or found.delivery_id != delivery.pk or found.step != Step.State.QUEUED:
        return Refuse("the play does not send this line now")
    assignment, play = Assignment.State(found.assignment), Play.State(found.play)
    if assignment == Assignment.State.PAUSED or play == Play.State.PAUSED:
        return Wait(None, "the play is paused")
    if assignment != Assignment.State.PLAYING:
        return Refuse(f"the assignment is {short_choice(assignment.label).lower()}")
    if play != Play.State.PLAYING:
        return Refuse(f"the play is {play.label.lower()}")
    return ALLOW
