"""Queries about the second look, for the panel."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Count

from campaigns.models import Campaign
from parser.models import HitLook, SecondLook

# The span of the counts on a campaign's page: counts of all time would take longer with every hit.
COUNTED = timedelta(days=7)


@dataclass(frozen=True)
class LookCount:
    """How many hits have a verdict like `look`, an unsaved row: the same state, judge and rule."""

    look: HitLook
    number: int


def look_counts(*, campaign: Campaign, now: datetime) -> list[LookCount]:
    """The campaign's hits of the last 7 days by state, judge and rule, the most frequent first."""
    looks = HitLook.objects.filter(campaign=campaign, created_at__gt=now - COUNTED)
    rows = looks.values("state", "judge", "rule").annotate(number=Count("pk")).order_by("-number")
    return [LookCount(HitLook(state=row["state"], judge=row["judge"], rule=row["rule"]), row["number"]) for row in rows]


def tokens_today(*, settings: SecondLook, now: datetime) -> int:
    """The tokens counted for the campaign's present day."""
    day = now.astimezone(ZoneInfo(settings.campaign.time_zone)).date()
    return settings.spent_tokens if settings.spent_on == day else 0


def look_waits(look: HitLook) -> str:
    """Why the hit waits; "" if it does not."""
    if look.state == HitLook.State.WAITING:
        return look.reason
    if look.state != HitLook.State.DUE:
        return ""
    campaign = look.campaign
    if campaign.state != Campaign.State.RUNNING:
        return f"The LLM is not asked while the campaign is {campaign.get_state_display().lower()}."
    return f"The LLM is asked again: {look.error}" if look.error else "The LLM is asked."
