"""The progress of a play.

When a step settles, the next one is queued; the last step ends the play, and the last play ends the assignment.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Min

from bots.deliveries.queueing import deliveries_queue
from bots.models import Delivery
from campaigns.models import Purpose
from messaging.publishing.outbox import publish_on_commit
from scripts.events import PlayFailed, ScriptFinishedEvent
from scripts.models import Assignment, Play, Step
from scripts.services.rows import assignment_locked, play_locked, short

ORIGIN = "scripts.step"
ALIVE = (Play.State.PLAYING, Play.State.PAUSED)
# The states from which an assignment ends. A stopped one has ended when none of its messages is being sent.
ENDING = (Assignment.State.PLAYING, Assignment.State.PAUSED, Assignment.State.STOPPED)


def step_settle(*, delivery: Delivery, now: datetime) -> None:
    """Apply the final state of a step's delivery, and continue its play.

    A second call changes nothing, unless an operator has decided meanwhile that an unknown message was sent.
    """
    with transaction.atomic():
        play = play_locked(Step.objects.values_list("play_id", flat=True).get(pk=delivery.origin_id))
        step = Step.objects.get(pk=delivery.origin_id)
        sent = delivery.state == Delivery.State.SENT
        if step.state == Step.State.NOT_SENT and sent and step.delivery_id == delivery.pk:
            Step.objects.filter(pk=step.pk).update(state=Step.State.SENT, reason="", settled_at=now)
        if step.state != Step.State.QUEUED or delivery.state not in Delivery.FINAL:
            return
        step.state = Step.State.SENT if sent else Step.State.NOT_SENT
        step.reason = "" if sent else short(_why_not(delivery))
        step.settled_at = now
        step.save(update_fields=["state", "reason", "settled_at"])
        play.progressed_at, play.incident = now, ""
        play.save(update_fields=["progressed_at", "incident"])
        play_continue(play, now=now)


def _why_not(delivery: Delivery) -> str:
    if delivery.state == Delivery.State.UNKNOWN:
        return "it is not known whether the line was sent"
    return delivery.error or delivery.waiting_reason or delivery.get_state_display().lower()


def play_continue(play: Play, *, now: datetime) -> None:
    """Queue the next step of a locked play, or end the play.

    A line that replies to an unsent line is not sent either.
    """
    if play.steps.filter(state=Step.State.QUEUED).exists():
        return
    if play.assignment.state == Assignment.State.STOPPED:
        play_end(play, state=Play.State.STOPPED, reason=play.assignment.state_reason, now=now)
        return
    if play.state not in ALIVE:
        play_end(play, state=play.state, reason=play.state_reason, now=now)
        return
    pending = play.steps.filter(state=Step.State.PENDING).select_related("reply_to").order_by("position")
    # The steps are loaded one at a time, because usually the first is queued, and there may be hundreds.
    while (step := pending.first()) is not None:
        if step.reply_to is None or step.reply_to.state == Step.State.SENT:
            steps_queue([step], campaign_id=play.assignment.campaign_id, chat_id=play.chat_id, after=now)
            step.save(update_fields=["delivery", "state"])
            return
        reason = f"it replies to line {step.reply_to.position}, which was not sent"
        Step.objects.filter(pk=step.pk).update(state=Step.State.NOT_SENT, reason=reason, settled_at=now)
    _play_finish(play, now=now)


def steps_queue(steps: Sequence[Step], *, campaign_id: UUID, after: datetime, chat_id: UUID | None = None) -> None:
    """Create the deliveries of these pending steps, each due its delay after `after`. The caller saves the steps.

    If `chat_id` is None, each step's message goes to the chat of its play.
    """
    wishes = [
        Delivery(
            bot_id=step.bot_id,
            campaign_id=campaign_id,
            purpose=Purpose.SCRIPT,
            origin=ORIGIN,
            origin_id=step.pk,
            text=step.text,
            due_at=after + timedelta(seconds=step.delay_seconds),
            chat_id=chat_id or step.play.chat_id,
            reply_to_id=step.reply_to.delivery_id if step.reply_to else None,
        )
        for step in steps
    ]
    for step, delivery in zip(steps, deliveries_queue(wishes), strict=True):
        step.delivery, step.state = delivery, Step.State.QUEUED


def _play_finish(play: Play, *, now: datetime) -> None:
    not_sent = play.steps.filter(state=Step.State.NOT_SENT)
    missing, planned = not_sent.count(), play.steps.count()
    if missing == planned:
        first = not_sent.order_by("position").values_list("reason", flat=True).first()
        play_end(
            play, state=Play.State.FAILED, reason=f"no line was sent: {first or 'the script has no lines'}", now=now
        )
        return
    reason = f"{missing} of {planned} lines were not sent" if missing else ""
    play_end(play, state=Play.State.FINISHED, reason=reason, now=now)


def play_end(play: Play, *, state: str, reason: str, now: datetime) -> None:
    """End a locked play in `state`: its remaining steps are not sent.

    A message that is being sent at this moment is recorded when it has settled; the assignment ends only then.
    """
    if play.state in ALIVE:
        play.state, play.state_reason, play.finished_at, play.incident = state, short(reason), now, ""
        play.save(update_fields=["state", "state_reason", "finished_at", "incident"])
        if state == Play.State.FAILED:
            reason = f"{play.chat}: {play.state_reason}"
            publish_on_commit(PlayFailed(play_id=play.pk, sfc_id=play.assignment_id, reason=reason))
    play.steps.filter(state=Step.State.PENDING).update(
        state=Step.State.NOT_SENT, reason=short(reason or play.get_state_display().lower()), settled_at=now
    )
    assignment_settle(assignment_id=play.assignment_id, now=now)


def assignment_settle(*, assignment_id: UUID, now: datetime) -> None:
    """End the assignment if none of its plays is alive and no message is queued.

    Publishes `ScriptFinishedEvent` once.
    """
    with transaction.atomic():
        assignment = assignment_locked(assignment_id)
        if assignment.finished_at is not None or assignment.state not in ENDING:
            return
        if (
            assignment.plays.filter(state__in=ALIVE).exists()
            or Step.objects.filter(play__assignment=assignment, state="queued").exists()
        ):
            return
        assignment.state, assignment.state_reason = _assignment_outcome(assignment)
        assignment.finished_at, assignment.incident = now, ""
        assignment.save(update_fields=["state", "state_reason", "finished_at", "incident"])
        if assignment.started_at is not None:
            publish_on_commit(
                ScriptFinishedEvent(sfc_id=assignment.pk, finished_at=now, problems=[*lines_not_sent(assignment)])
            )


def _assignment_outcome(assignment: Assignment) -> tuple[str, str]:
    if assignment.state == Assignment.State.STOPPED:
        return assignment.state, assignment.state_reason
    plays = list(assignment.plays.order_by("started_at", "id").values_list("state", "state_reason"))
    worse = [(state, reason) for state, reason in plays if state != Play.State.FINISHED]
    if worse and len(worse) == len(plays):
        failed = [reason for state, reason in worse if state == Play.State.FAILED]
        outcome = Assignment.State.FAILED if failed else Assignment.State.STOPPED
        return outcome, (failed or [worse[0][1]])[0]
    return Assignment.State.FINISHED, f"{len(worse)} of {len(plays)} plays did not finish" if worse else ""


def lines_not_sent(assignment: Assignment) -> list[UUID]:
    """The lines that were not sent in at least one chat, in the script's order."""
    return list(
        Step.objects.filter(play__assignment=assignment, state=Step.State.NOT_SENT)
        .values("line_id")
        .annotate(place=Min("position"))
        .order_by("place")
        .values_list("line_id", flat=True)
    )
