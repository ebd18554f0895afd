"""The gate in the panel: what is left of a campaign's budgets, and "would it be sent now?"."""

from types import SimpleNamespace

from bots.admin.gate_preview import LABEL
from campaigns.models import Budget
from tests.browser.panel import Panel


def test_a_campaign_shows_its_budgets_and_asks_the_gate(panel: Panel, world: SimpleNamespace) -> None:
    Budget.objects.create(scope="campaign", counts="new_contacts", limit=12, window_seconds=86_400)
    panel.open(f"/admin/campaigns/campaign/{world.campaign.pk}/change/")
    panel.submit('a:has-text("Budgets and how much")')
    assert "this campaign" in panel.text and "new contacts" in panel.text
    panel.press(LABEL)
    assert panel.value("select[name=campaign]") == str(world.campaign.pk)
    panel.do(lambda page: page.select_option("select[name=bot]", str(world.actors[1].pk)))
    panel.do(lambda page: page.select_option("select[name=chat]", str(world.chats[0].pk)))
    panel.press("Ask the gate")
    assert "Wait: Ben The Actor is not connected." in panel.text
    assert "Nothing was sent, claimed or counted." in panel.text
    panel.fill("input[name=person]", "@somebody")
    panel.press("Ask the gate")
    assert "It goes to a chat or to a person: choose one of them." in panel.text
