"""When a message that made a hit is too old to be answered out of the blue."""

from datetime import datetime, timedelta

from leads.models import Lead

# A person who wrote longer ago no longer expects an answer: after an outage nobody is written to out of the blue.
FRESH = timedelta(hours=24)


def why_late(lead: Lead, now: datetime, *, meant: timedelta = timedelta(0)) -> str:
    """Empty when it is not too late. `meant`: how long after the message the campaign wants to write."""
    if now - lead.hit_at <= FRESH + meant:
        return ""
    hours = FRESH.total_seconds() / 3600
    return f"The message that made the hit is more than {hours:.0f} hours old ({lead.hit_at:%Y-%m-%d %H:%M} UTC)"


def why_late_to_send(lead: Lead, now: datetime) -> str:
    """Why a first contact that is queued needs an approval now, in a sentence; empty when it does not."""
    late = why_late(lead, now, meant=timedelta(seconds=lead.campaign.first_contact_interval_seconds))
    return f"{late}: an operator must approve this one." if late and lead.approved_at is None else ""
