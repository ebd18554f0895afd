"""The section of a campaign's page that shows how much of its budgets is left."""

from typing import Any

from bots.gate.budget_usage import campaign_usage
from campaigns.models import Campaign
from messaging.database.clock import database_clock
from panelkit.registry import Section, add_section


def _budgets(campaign: Campaign) -> dict[str, Any]:
    now = database_clock()
    return {"usages": campaign_usage(campaign=campaign, now=now), "at": now}


add_section(Campaign, Section("bots/budget_usage.html", _budgets, name="budgets", title="Budget usage"))
