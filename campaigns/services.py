"""Starts, pauses, resumes and finishes campaigns.

Each service locks the campaign's row first. After it has returned, the gate checks every delivery that is not yet
claimed against the new state.
"""

from uuid import UUID

from django.db import transaction

from campaigns.models import Campaign
from campaigns.policy import notices
from campaigns.start_checks import start_problems
from panelkit.errors import NotPossible

_MOVES = {
    Campaign.State.RUNNING: {Campaign.State.DRAFT, Campaign.State.PAUSED},
    Campaign.State.PAUSED: {Campaign.State.RUNNING},
    Campaign.State.FINISHED: {Campaign.State.DRAFT, Campaign.State.RUNNING, Campaign.State.PAUSED},
}


@transaction.atomic
def campaign_start(*, campaign_id: UUID) -> Campaign:
    """Start a draft or continue a paused campaign.

    Raises NotPossible for a finished campaign. For a draft it also raises NotPossible if a start check fails, for
    example because none of the draft's accounts can work. A paused campaign continues without these checks, because
    its conversations go on.
    """
    campaign = Campaign.objects.select_for_update().get(id=campaign_id)
    if campaign.state == Campaign.State.DRAFT and (problems := start_problems(campaign_id=campaign_id)):
        raise NotPossible(f"The campaign was not started. {' '.join(problems)}")
    return _campaign_move(campaign_id, Campaign.State.RUNNING)


def campaign_pause(*, campaign_id: UUID) -> Campaign:
    """Pause the campaign. After it has returned, no delivery of the campaign is claimed.

    Deliveries that were claimed before are still sent (`bots.deliveries.queueing.deliveries_leaving`).
    """
    return _campaign_move(campaign_id, Campaign.State.PAUSED)


def campaign_resume(*, campaign_id: UUID) -> Campaign:
    return _campaign_move(campaign_id, Campaign.State.RUNNING)


def campaign_finish(*, campaign_id: UUID) -> Campaign:
    """Finish the campaign for good. The gate refuses its queued deliveries."""
    return _campaign_move(campaign_id, Campaign.State.FINISHED)


@transaction.atomic
def _campaign_move(campaign_id: UUID, state: Campaign.State) -> Campaign:
    """Change the campaign's state. A second call changes nothing. Raises NotPossible if the state does not allow it."""
    campaign = Campaign.objects.select_for_update().get(id=campaign_id)
    if campaign.state == state:
        return campaign
    if campaign.state not in _MOVES[state]:
        raise NotPossible(f"Campaign {campaign} is {campaign.state}: it cannot become {state}.")
    campaign.state = state
    campaign.save(update_fields=["state"])
    notices.rules_changed()
    return campaign
