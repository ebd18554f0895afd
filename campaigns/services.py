"""Starts, pauses, resumes and finishes campaigns.

Each service changes the campaign's row first: when it returns, every message not yet claimed is judged by it.
"""

from uuid import UUID

from django.db import transaction

from campaigns.models import Campaign
from campaigns.policy import fences
from campaigns.start_checks import start_problems
from panelkit.errors import NotPossible

_MOVES = {
    Campaign.State.RUNNING: {Campaign.State.DRAFT, Campaign.State.PAUSED},
    Campaign.State.PAUSED: {Campaign.State.RUNNING},
    Campaign.State.FINISHED: {Campaign.State.DRAFT, Campaign.State.RUNNING, Campaign.State.PAUSED},
}


@transaction.atomic
def campaign_start(*, campaign_id: UUID) -> Campaign:
    """Raises NotPossible, also for a draft that was given accounts none of which does its work. One that has run goes
    on without: its conversations do."""
    campaign = Campaign.objects.select_for_update().get(id=campaign_id)
    if campaign.state == Campaign.State.DRAFT and (problems := start_problems(campaign_id=campaign_id)):
        raise NotPossible(f"It is not started. {' '.join(problems)}")
    return _campaign_move(campaign_id, Campaign.State.RUNNING)


def campaign_pause(*, campaign_id: UUID) -> Campaign:
    """From its return on nothing of the campaign is claimed; what was claimed before is still leaving
    (`bots.deliveries.queueing.deliveries_leaving`)."""
    return _campaign_move(campaign_id, Campaign.State.PAUSED)


def campaign_resume(*, campaign_id: UUID) -> Campaign:
    return _campaign_move(campaign_id, Campaign.State.RUNNING)


def campaign_finish(*, campaign_id: UUID) -> Campaign:
    """For good: what is still queued is refused."""
    return _campaign_move(campaign_id, Campaign.State.FINISHED)


@transaction.atomic
def _campaign_move(campaign_id: UUID, state: Campaign.State) -> Campaign:
    """Doing it twice is no error."""
    campaign = Campaign.objects.select_for_update().get(id=campaign_id)
    if campaign.state == state:
        return campaign
    if campaign.state not in _MOVES[state]:
        raise NotPossible(f"Campaign {campaign} is {campaign.state}: it cannot become {state}.")
    campaign.state = state
    campaign.save(update_fields=["state"])
    fences.rules_changed()
    return campaign
