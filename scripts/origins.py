"""What the bots room asks about a delivery of a script's step: its fences, the verdict, and what comes after it."""

from collections.abc import Collection, Sequence
from uuid import UUID

from bots.deliveries import register_origin
from bots.gate import ALLOW, Refuse, Verdict, Wait
from bots.models import Delivery
from campaigns.fences import lock_shared
from scripts.models import Run, ScriptForCampaign, Step
from scripts.services.plays import ORIGIN, step_settle


class StepOrigin:
    """`origin_id` is the step's id."""

    def lock_fences(self, origin_ids: Collection[UUID]) -> None:
        """Hold the runs, then the sfcs, against pause, stop and end until the transaction ends."""
        rows = list(Run.objects.filter(steps__in=list(origin_ids)).values_list("pk", "sfc_id"))
        lock_shared(Run, [run_id for run_id, _ in rows])
        lock_shared(ScriptForCampaign, [sfc_id for _, sfc_id in rows])

    def verdicts(self, deliveries: Sequence[Delivery]) -> dict[UUID, Verdict]:
        steps = Step.objects.select_related("run__sfc").in_bulk([delivery.origin_id for delivery in deliveries])
        return {delivery.pk: _verdict(delivery, steps.get(delivery.origin_id)) for delivery in deliveries}

    def settle(self, delivery: Delivery) -> None:
        step_settle(delivery=delivery)


def _verdict(delivery: Delivery, step: Step | None) -> Verdict:
    if step is None or step.delivery_id != delivery.pk or step.state != Step.State.QUEUED:
        return Refuse("the play has no such step to say")
    run, sfc = step.run, step.run.sfc
    if sfc.state == ScriptForCampaign.State.PAUSED or run.state == Run.State.PAUSED:
        return Wait(None, "the play is paused")
    if sfc.state != ScriptForCampaign.State.PLAYING:
        return Refuse(f"the script is {sfc.get_state_display().lower()}")
    if run.state != Run.State.PLAYING:
        return Refuse(f"the play is {run.get_state_display().lower()}")
    return ALLOW


register_origin(ORIGIN, StepOrigin())
