"""The first message to a lead: its text, and when it is too late to send it without approval."""

import random
from datetime import datetime, timedelta
from uuid import UUID

from campaigns.models import Campaign
from leads.models import Lead
from texts import spintax

# Used when a campaign has no text of its own. {name} is the campaign's name.
_DEFAULTS = {
    "en": (
        "Hello! This is the AI assistant of “{name}”: I saw your message in our shared chat and can tell you more. "
        'Reply "stop" and I will not write again.'
    ),
    "ru": (
        "Здравствуйте! Пишет ИИ-помощник «{name}»: увидел ваше сообщение в общем чате и могу рассказать подробнее. "
        "Чтобы я больше не писал, ответьте «стоп»."
    ),
}


def first_contact_text(*, campaign: Campaign, lead_id: UUID) -> str:
    """A variant of the campaign's text; a lead always gets the same variant. Raises SpintaxError."""
    template = campaign.first_contact_template.strip()
    if template:
        return spintax.render(template, random.Random(str(lead_id))).strip()
    language = "ru" if campaign.locale.lower().startswith("ru") else "en"
    return _DEFAULTS[language].format(name=campaign.name)


def why_late(lead: Lead, now: datetime, *, interval: timedelta = timedelta(0)) -> str:
    """Why it is too late for a first contact; empty if it is not. `interval`: the campaign's wait after the hit.

    A person who wrote longer ago than the campaign's horizon no longer expects an answer. This prevents belated
    messages after an outage.
    """
    hours = lead.campaign.first_contact_horizon_hours
    if now - lead.hit_at <= timedelta(hours=hours) + interval:
        return ""
    at = f"{lead.hit_at:%Y-%m-%d %H:%M} UTC"
    return f"The message that matched the keywords is more than {hours} hour{'s' * (hours != 1)} old ({at})"


def why_late_to_send(lead: Lead, now: datetime) -> str:
    """Why a queued first contact now needs an approval, as a sentence; empty if it needs none."""
    late = why_late(lead, now, interval=timedelta(seconds=lead.campaign.first_contact_interval_seconds))
    return f"{late}: an operator must approve the first contact." if late and lead.approved_at is None else ""
