"""Pickers of campaigns and permissions offer only what works; what does not any more stays, with the reason."""

import html
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

import coolthing_site.urls  # noqa: F401  It registers the pages.
from bots.models import Bot, BotSession
from campaigns.models import Campaign, Chat
from leads.models import CampaignManager
from parser.models import WatchedChat
from tests.integration.leads_world import World, make_world, permit
from tests.integration.script_world import logged_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def panel(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga"))
    return client


def offered(panel: Client, model: str, field: str) -> set[str]:
    app, name = model.split(".")
    query = {"app_label": app, "model_name": name, "field_name": field, "for_row": ""}
    answer = panel.get(reverse("admin:autocomplete"), query)
    return {result["text"] for result in json.loads(answer.content)["results"]}


def text(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def add(panel: Client, model: str, **values: Any) -> str:
    return text(panel.post(reverse(f"admin:{model.replace('.', '_')}_add"), values))


def accounts() -> None:
    for key, facts in (
        ("anna", {"role": "actor"}),
        ("off", {"enabled": False}),
        ("out", {"state": "needs_login"}),
        ("halted", {"state": "stopped"}),
        ("limited", {"state": "restricted"}),
        ("fresh", {}),
    ):
        for role in {facts.get("role", ""), *({"manager", "parser"} if "role" not in facts else set())} - {""}:
            bot = Bot.objects.create(key=f"{key}-{role}", **{"role": role, **facts})
            if key != "fresh":
                logged_in(bot)


def test_a_campaign_gets_only_managers_that_take_leads(world: World, panel: Client):
    accounts()
    assert offered(panel, "leads.campaignmanager", "bot") == {str(bot) for bot in world.managers}
    before = CampaignManager.objects.count()
    for key, refusal in (
        ("anna-actor", "anna-actor does not have the role manager: choose an account of the role manager."),
        ("off-manager", "off-manager is disabled: enable it on its page, or choose another account."),
        ("out-manager", "out-manager needs login: log it in on its page, or choose another account."),
        ("halted-manager", "halted-manager is stopped: start it on its page, or choose another account."),
        ("limited-manager", "limited-manager is restricted: check it in Telegram and release it on its page, or"),
        ("fresh-manager", "fresh-manager was never logged in: log it in on its page, or choose another account."),
    ):
        bot = Bot.objects.get(key=key)
        assert refusal in add(panel, "leads.campaignmanager", campaign=world.campaign.pk, bot=bot.pk)
        assert refusal in text(panel.post(_campaign(world), _managers_inline(bot)))
    assert CampaignManager.objects.count() == before


def _campaign(world: World) -> str:
    return reverse("admin:campaigns_campaign_change", args=[world.campaign.pk])


def _managers_inline(bot: Bot) -> dict[str, Any]:
    values: dict[str, Any] = {"managers-0-bot": bot.pk}
    for prefix, number in (("managers", 1), ("keywords", 0), ("watched_chats", 0), ("second_look", 0)):
        values |= {f"{prefix}-TOTAL_FORMS": number, f"{prefix}-INITIAL_FORMS": 0}
    return values


def test_a_manager_that_takes_no_leads_any_more_is_shown_with_the_reason(world: World, panel: Client):
    Bot.objects.filter(pk=world.managers[0].pk).update(role="actor")
    BotSession.objects.filter(bot=world.managers[1]).delete()
    for page in (_campaign(world), reverse("admin:leads_campaignmanager_changelist")):
        shown = text(panel.get(page))
        assert f"{world.managers[0]} does not have the role manager: choose an account of the role manager." in shown
        assert f"{world.managers[1]} was logged out: log it in on its page, or choose another account." in shown


def test_a_campaign_watches_permitted_chats_with_parsers_that_read(world: World, panel: Client):
    accounts()
    bare = Chat.objects.create(key="bare", reference="@bare", title="Bare")
    future = Chat.objects.create(key="future", reference="@future_chat", title="Future")
    given = permit(future, "parse")
    type(given).objects.filter(pk=given.pk).update(valid_from=timezone.now() + timedelta(days=3))
    assert offered(panel, "parser.watchedchat", "bot") == {"limited-parser", str(world.parser)}
    assert offered(panel, "parser.watchedchat", "chat") == {str(world.chat)}
    values = {"campaign": world.campaign.pk, "chat": bare.pk, "bot": world.parser.pk}
    watched = WatchedChat.objects.count()
    refusal = "Bare: no permission to read it is in force: none is on record."
    assert refusal in add(panel, "parser.watchedchat", **values)
    assert "it begins at" in add(panel, "parser.watchedchat", **values | {"chat": future.pk})
    manager = values | {"bot": world.managers[0].pk}
    assert "does not have the role parser: choose an account of the role parser." in add(
        panel, "parser.watchedchat", **manager
    )
    fresh = values | {"chat": world.chat.pk, "bot": Bot.objects.get(key="fresh-parser").pk}
    refusal = "fresh-parser was never logged in: log it in on its page, or choose another account."
    assert refusal in add(panel, "parser.watchedchat", **fresh)
    assert WatchedChat.objects.count() == watched
    world.chat.permissions.filter(purpose="parse").update(revoked_at=timezone.now(), revoked_reason="no more")
    BotSession.objects.filter(bot=world.parser).delete()
    for page in (_campaign(world), reverse("admin:parser_watchedchat_changelist")):
        shown = text(panel.get(page))
        assert "no permission to read it is in force: it was revoked" in shown
        assert f"{world.parser} was logged out: log it in on its page" in shown


def test_nothing_is_added_to_a_campaign_that_has_finished(world: World, panel: Client):
    Campaign.objects.update(state="finished")
    refusal = "has finished for good: choose another campaign, or add a new one."
    assert offered(panel, "leads.campaignmanager", "campaign") == set()
    assert refusal in add(panel, "parser.keyword", campaign=world.campaign.pk, kind="plus", text="tea")
    assert refusal in add(panel, "leads.campaignmanager", campaign=world.campaign.pk, bot=world.managers[0].pk)


def test_a_permission_is_recorded_for_chats_that_are_not_in_doubt(world: World, panel: Client):
    lost = Chat.objects.create(key="lost", reference="@lost_chat", title="Lost", telegram_id=-5, reference_leads_to=-7)
    assert offered(panel, "campaigns.chatpermission", "chat") == {str(world.chat)}
    assert "leads to another chat" in add(panel, "campaigns.chatpermission", chat=lost.pk, purpose="parse")
