"""The text of the first message to a lead."""

import random
from uuid import UUID

from campaigns.models import Campaign
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
    """One variant of the campaign's text, always the same one for the same lead. Raises SpintaxError."""
    template = campaign.first_contact_template.strip()
    if template:
        return spintax.render(template, random.Random(str(lead_id))).strip()
    language = "ru" if campaign.locale.lower().startswith("ru") else "en"
    return _DEFAULTS[language].format(name=campaign.name)
