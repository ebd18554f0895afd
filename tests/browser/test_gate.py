"""The gate in the panel: what is left of a campaign's budgets, and the gate preview."""

from types import SimpleNamespace

from bots.admin.gate_preview import LABEL
from campaigns.models import Budget
from tests.browser.panel import Panel


def test_a_campaign_shows_its_budgets_and_previews_a_message(panel: Panel, world: SimpleNamespace) -> None:
    Budget.objects.create(scope="campaign", counts="new_contacts", limit=12, window_seconds=86_400)
    panel.open(f"/admin/campaigns/campaign/{world.campaign.pk}/change/")
    panel.submit('a:has-text("Budget usage")')
    assert "this campaign" in panel.text and "new contacts" in panel.text
    panel.press(LABEL)
    assert panel.value("select[name=campaign]") == str(world.campaign.pk)
    panel.do(lambda page: page.select_option("select[name=bot]", str(world.actors[1].pk)))
    panel.do(lambda page: page.select_option("select[name=chat]", str(world.chats[0].pk)))
    panel.press("Check")
    assert "Wait: Ben The Actor is not connected." in panel.text
    assert "The preview sends nothing and uses no budget." in panel.text
    panel.fill("input[name=person]", "@somebody")
    panel.press("Check")
    assert "Choose either a chat or a person." in panel.text
