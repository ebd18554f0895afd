"""A campaign whose accounts cannot work is not started; the refusal names the accounts and what to do."""

import html
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

import coolthing_site.urls  # noqa: F401  It registers the pages.
from bots.models import Bot, BotSession
from campaigns.models import Campaign
from campaigns.services import campaign_pause, campaign_resume, campaign_start
from leads.models import CampaignManager
from panelkit.errors import NotPossible
from parser.models import WatchedChat
from tests.integration import ledger
from tests.integration.leads_world import World, make_world
from tests.integration.script_world import logged_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    """A draft, as a seed file leaves it: none of its accounts was ever logged in."""
    made = make_world(state=Campaign.State.DRAFT)
    BotSession.objects.all().delete()
    Bot.objects.update(telegram_user_id=None)
    return made


def start(world: World) -> str:
    return str(campaign_start(campaign_id=world.campaign.pk).state)


def test_it_starts_once_one_account_of_each_kind_works(world: World):
    with pytest.raises(NotPossible) as refusal:
        start(world)
    for role, bot in (
        ("manager account", world.managers[0]),
        ("manager account", world.managers[1]),
        ("parser", world.parser),
    ):
        assert f"No {role} of the campaign" in str(refusal.value)
        assert f"{bot} was never logged in: log it in on its page, or choose another account." in str(refusal.value)
    logged_in(world.managers[1])
    with pytest.raises(
        NotPossible, match=r"^The campaign was not started\. No parser of the campaign can read its chats\. "
    ):
        start(world)
    logged_in(world.parser)
    assert start(world) == "running"


def test_a_restricted_or_disabled_account_does_not_do_either(world: World):
    for bot in (*world.managers, world.parser):
        logged_in(bot)
    Bot.objects.filter(pk__in=[bot.pk for bot in world.managers]).update(state="restricted")
    Bot.objects.filter(pk=world.parser.pk).update(enabled=False)
    with pytest.raises(NotPossible) as refusal:
        start(world)
    assert f"{world.managers[0]} is restricted: check it in Telegram and release it on its page" in str(refusal.value)
    assert f"{world.parser} is disabled: enable it on its page" in str(refusal.value)


def test_many_accounts_are_counted(world: World):
    for _ in range(3):
        CampaignManager.objects.create(campaign=world.campaign, bot=ledger.make_bot(role="manager"))
    with pytest.raises(NotPossible, match=r"3 more: see the campaign's page\."):
        start(world)


def test_a_campaign_of_scripts_alone_needs_neither(world: World):
    CampaignManager.objects.all().delete()
    WatchedChat.objects.all().delete()
    assert start(world) == "running"


def test_a_paused_campaign_continues_without_them(world: World):
    Campaign.objects.update(state=Campaign.State.RUNNING)
    campaign_pause(campaign_id=world.campaign.pk)
    assert campaign_resume(campaign_id=world.campaign.pk).state == "running"


def test_its_page_shows_this_instead_of_a_confirmation_and_the_list_when_start_is_pressed(world: World, client: Client):
    client.force_login(User.objects.create_superuser("olga"))
    page = reverse("admin:campaigns_campaign_operate", args=[world.campaign.pk, "start"])
    problem = f"{world.parser} was never logged in: log it in on its page, or choose another account."

    def shown(answer: Any) -> str:
        return html.unescape(answer.content.decode())

    page_text = shown(client.get(page, follow=True))
    assert problem in page_text and "are sent from now on" not in page_text
    chosen = {"action": "do_start", "_selected_action": [str(world.campaign.pk)], "_confirmed": "1"}
    assert problem in shown(client.post(reverse("admin:campaigns_campaign_changelist"), chosen, follow=True))
    world.campaign.refresh_from_db()
    assert world.campaign.state == "draft"
