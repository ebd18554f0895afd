"""The cool-down of a person: for some days after the last contact no other campaign contacts them by itself."""

from datetime import datetime, timedelta

from bots.models import Delivery
from campaigns.models import Campaign
from leads.models import Lead, Message
from leads.selectors import PersonRef, leads_of

_NOT_SENT = (Delivery.State.FAILED, Delivery.State.REFUSED, Delivery.State.CANCELLED)


def why_cooling_down(lead: Lead, now: datetime) -> str:
    """Why the person is not contacted again so soon; empty if nothing forbids it.

    In the person's conversations with other leads messages of both sides count, and messages that are still queued.
    """
    days = lead.campaign.cool_down_days
    if not days:
        return ""
    others = leads_of(PersonRef.of(lead.telegram_user_id, lead.username)).exclude(id=lead.id)
    recent = Message.objects.filter(conversation__lead__in=others, at__gt=now - timedelta(days=days))
    latest = recent.exclude(delivery__state__in=_NOT_SENT).select_related("conversation__lead__campaign")
    last = latest.order_by("-at").first()
    if last is None:
        return ""
    return (
        f"The latest message between the team and this person ({last.at:%Y-%m-%d %H:%M} UTC, campaign "
        f"“{last.conversation.lead.campaign}”) is less than {days} day{'s' * (days != 1)} old"
    )


def cool_downs_in_use() -> bool:
    """Whether any campaign has a cool-down."""
    return Campaign.objects.filter(cool_down_days__gt=0).exists()
