"""The campaigns that other rooms' pickers offer."""

from campaigns.models import Campaign
from panelkit.forms.suitable import Suitable


def _finished(campaign: Campaign) -> str:
    if campaign.state != Campaign.State.FINISHED:
        return ""
    return f"{campaign} has finished for good: choose another campaign, or add a new one."


OPEN_CAMPAIGN = Suitable(lambda _row: Campaign.objects.exclude(state=Campaign.State.FINISHED), _finished)
