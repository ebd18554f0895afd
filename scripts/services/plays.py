"""How a play goes on: a step settles, the next one is queued, the last one ends the run, the last run ends the sfc."""

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
from scripts.models import Run, ScriptForCampaign, Step
from scripts.services.rows import run_locked, sfc_locked, short

ORIGIN = "scripts.step"
ALIVE = (Run.State.PLAYING, Run.State.PAUSED)
# From which an sfc comes to its end: a stopped one has ended once nothing of it is leaving.
ENDING = (ScriptForCampaign.State.PLAYING, ScriptForCampaign.State.PAUSED, ScriptForCampaign.State.STOPPED)


def step_settle(*, delivery: Delivery, now: datetime) -> None:
    """Take over the final state of a step's delivery and let its run go on. A second call changes nothing,
    unless a person found out meanwhile that an unknown message was said after all."""
    with transaction.atomic():
        run = run_locked(Step.objects.values_list("run_id", flat=True).get(pk=delivery.origin_id))
        step = Step.objects.get(pk=delivery.origin_id)
        said = delivery.state == Delivery.State.SENT
        if step.state == Step.State.NOT_SAID and said and step.delivery_id == delivery.pk:
            Step.objects.filter(pk=step.pk).update(state=Step.State.SAID, reason="", settled_at=now)
        if step.state != Step.State.QUEUED or delivery.state not in Delivery.FINAL:
            return
        step.state = Step.State.SAID if said else Step.State.NOT_SAID
        step.reason = "" if said else short(_why_not(delivery))
        step.settled_at = now
        step.save(update_fields=["state", "reason", "settled_at"])
        run.progressed_at, run.incident = now, ""
        run.save(update_fields=["progressed_at", "incident"])
        run_go_on(run, now=now)


def _why_not(delivery: Delivery) -> str:
    if delivery.state == Delivery.State.UNKNOWN:
        return "it is not known whether it was said"
    return delivery.error or delivery.waiting_reason or delivery.get_state_display().lower()


def run_go_on(run: Run, *, now: datetime) -> None:
    """Queue a locked run's next step, or end the run. A line that answers one that was not said is not said either."""
    if run.steps.filter(state=Step.State.QUEUED).exists():
        return
    if run.sfc.state == ScriptForCampaign.State.STOPPED:
        run_end(run, state=Run.State.STOPPED, reason=run.sfc.state_reason, now=now)
        return
    if run.state not in ALIVE:
        run_end(run, state=run.state, reason=run.state_reason, now=now)
        return
    pending = run.steps.filter(state=Step.State.PENDING).select_related("reply_to").order_by("position")
    # One at a time: mostly the first of them is the one, and there may be hundreds.
    while (step := pending.first()) is not None:
        if step.reply_to is None or step.reply_to.state == Step.State.SAID:
            steps_queue([step], campaign_id=run.sfc.campaign_id, chat_id=run.chat_id, after=now)
            step.save(update_fields=["delivery", "state"])
            return
        reason = f"line {step.reply_to.position}, which it answers, was not said"
        Step.objects.filter(pk=step.pk).update(state=Step.State.NOT_SAID, reason=reason, settled_at=now)
    _run_finish(run, now=now)


def steps_queue(steps: Sequence[Step], *, campaign_id: UUID, after: datetime, chat_id: UUID | None = None) -> None:
    """Give each of these pending steps its delivery, due its delay after `after`; the caller saves the steps.

    `chat_id` None: each run's own.
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
            chat_id=chat_id or step.run.chat_id,
            reply_to_id=step.reply_to.delivery_id if step.reply_to else None,
        )
        for step in steps
    ]
    for step, delivery in zip(steps, deliveries_queue(wishes), strict=True):
        step.delivery, step.state = delivery, Step.State.QUEUED


def _run_finish(run: Run, *, now: datetime) -> None:
    not_said = run.steps.filter(state=Step.State.NOT_SAID)
    missing, planned = not_said.count(), run.steps.count()
    if missing == planned:
        first = not_said.order_by("position").values_list("reason", flat=True).first()
        run_end(run, state=Run.State.FAILED, reason=f"no line was said: {first or 'there are none'}", now=now)
        return
    reason = f"{missing} of {planned} lines were not said" if missing else ""
    run_end(run, state=Run.State.FINISHED, reason=reason, now=now)


def run_end(run: Run, *, state: str, reason: str, now: datetime) -> None:
    """End a locked run in `state`: what was still to come is not said. A message that is leaving at this moment is
    recorded when it has settled; the sfc ends only then."""
    if run.state in ALIVE:
        run.state, run.state_reason, run.finished_at, run.incident = state, short(reason), now, ""
        run.save(update_fields=["state", "state_reason", "finished_at", "incident"])
        if state == Run.State.FAILED:
            reason = f"{run.chat}: {run.state_reason}"
            publish_on_commit(PlayFailed(play_id=run.pk, sfc_id=run.sfc_id, reason=reason))
    run.steps.filter(state=Step.State.PENDING).update(
        state=Step.State.NOT_SAID, reason=short(reason or run.get_state_display().lower()), settled_at=now
    )
    sfc_settle(sfc_id=run.sfc_id, now=now)


def sfc_settle(*, sfc_id: UUID, now: datetime) -> None:
    """End the sfc if nothing of it plays or leaves any more: once, with `ScriptFinishedEvent`."""
    with transaction.atomic():
        sfc = sfc_locked(sfc_id)
        if sfc.finished_at is not None or sfc.state not in ENDING:
            return
        if sfc.runs.filter(state__in=ALIVE).exists() or Step.objects.filter(run__sfc=sfc, state="queued").exists():
            return
        sfc.state, sfc.state_reason = _sfc_outcome(sfc)
        sfc.finished_at, sfc.incident = now, ""
        sfc.save(update_fields=["state", "state_reason", "finished_at", "incident"])
        if sfc.started_at is not None:
            publish_on_commit(ScriptFinishedEvent(sfc_id=sfc.pk, finished_at=now, problems=[*lines_not_said(sfc)]))


def _sfc_outcome(sfc: ScriptForCampaign) -> tuple[str, str]:
    if sfc.state == ScriptForCampaign.State.STOPPED:
        return sfc.state, sfc.state_reason
    runs = list(sfc.runs.order_by("started_at", "id").values_list("state", "state_reason"))
    worse = [(state, reason) for state, reason in runs if state != Run.State.FINISHED]
    if worse and len(worse) == len(runs):
        failed = [reason for state, reason in worse if state == Run.State.FAILED]
        outcome = ScriptForCampaign.State.FAILED if failed else ScriptForCampaign.State.STOPPED
        return outcome, (failed or [worse[0][1]])[0]
    return ScriptForCampaign.State.FINISHED, f"{len(worse)} of {len(runs)} plays did not finish" if worse else ""


def lines_not_said(sfc: ScriptForCampaign) -> list[UUID]:
    """The lines that at least one chat did not get to hear, in the script's order."""
    return list(
        Step.objects.filter(run__sfc=sfc, state=Step.State.NOT_SAID)
        .values("line_id")
        .annotate(place=Min("position"))
        .order_by("place")
        .values_list("line_id", flat=True)
    )
