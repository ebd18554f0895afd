"""Which chats an account joins and when, and what the panel shows of a chat that is not read."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bots.accounts.incidents import incident_report
from bots.accounts.states import bot_restrict, bot_set_state
from bots.chats.entry_refusals import entry_incident
from bots.chats.joins import join_claim
from bots.models import Bot, JoinRequest, Presence
from campaigns.models import Campaign, Chat
from parser.models import WatchedChat
from parser.watching.joining import chats_of
from parser.watching.waiting import statuses_of, with_facts
from tests.integration import ledger
from tests.integration.leads_world import World, make_world, permit

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def panel(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator", "", "secret"))
    return client


def watched(bot: Bot, campaign: Campaign, *keys: str) -> list[Chat]:
    chats = [ledger.make_chat(permitted=False, key=key, title=key) for key in keys]
    for chat in chats:
        permit(chat, "parse")
        WatchedChat.objects.create(campaign=campaign, chat=chat, bot=bot)
    return chats


def joined(bot: Bot, *chats: Chat) -> None:
    for chat in chats:
        Presence.objects.create(bot=bot, chat=chat, peer_id=chat.telegram_id or 0)


def problems(*bots: Bot) -> list[str]:
    found = statuses_of(with_facts(WatchedChat.objects.filter(bot__in=bots).order_by("pk")))
    return list(found.values())


def test_joins_are_counted_across_restarts_and_another_attempt_at_a_chat_is_free(world: World, settings: Any):
    settings.JOINS_PER_HOUR, settings.JOINS_PER_DAY = 2, 3
    chats = watched(world.parser, world.campaign, "a", "b", "c", "d")
    claim = [join_claim(bot_id=world.parser.pk, chat_id=chat.pk) for chat in chats[:3]]
    assert claim[:2] == [0, 0] and 3500 < claim[2] <= 3600
    assert join_claim(bot_id=world.parser.pk, chat_id=chats[0].pk) == 0
    JoinRequest.objects.update(at=timezone.now() - timedelta(hours=2))
    assert join_claim(bot_id=world.parser.pk, chat_id=chats[2].pk) == 0
    assert 3600 * 21 < join_claim(bot_id=world.parser.pk, chat_id=chats[3].pk) <= 3600 * 22
    JoinRequest.objects.update(at=timezone.now() - timedelta(days=2))
    assert join_claim(bot_id=world.parser.pk, chat_id=chats[0].pk) == 0
    assert JoinRequest.objects.filter(bot=world.parser, chat=chats[0]).count() == 1


def test_campaigns_take_turns_in_joining(world: World):
    joined(world.parser, world.chat)
    watched(world.parser, world.campaign, "a", "b", "c")
    watched(world.parser, ledger.make_campaign(), "x", "y")
    assert [chat.key for chat in chats_of(bot_id=world.parser.pk)] == [world.chat.key, "a", "x", "b", "y", "c"]


def test_a_chat_that_waits_for_its_join_says_until_when(world: World, settings: Any):
    settings.JOINS_PER_HOUR = 1
    watched(world.parser, world.campaign, "a")
    first, second = problems(world.parser)
    assert first == "Joins the chat within a minute."
    assert second.startswith("Joins at about ") and second.endswith(": the account joins at most 1 chat an hour.")
    join_claim(bot_id=world.parser.pk, chat_id=world.chat.pk)
    incident_report(
        key=entry_incident(bot_id=world.parser.pk, chat_id=world.chat.pk), reason="the account cannot join: BROKEN"
    )
    assert problems(world.parser)[0] == "The account cannot join: BROKEN."
    joined(world.parser, world.chat)
    assert problems(world.parser)[1].startswith("Joins at about ")


def test_the_chats_of_an_account_that_may_not_work_stay_and_say_why(world: World, panel: Client):
    bot_set_state(bot_id=world.parser.pk, state=Bot.State.BANNED, reason="USER_DEACTIVATED_BAN")
    pages = [
        reverse("admin:parser_watchedchat_changelist"),
        reverse("admin:campaigns_campaign_change", args=[world.campaign.pk]),
    ]
    for page in pages:
        shown = panel.get(page).content.decode()
        assert "is banned: choose another account. Reason: USER_DEACTIVATED_BAN. Until then the chat waits" in shown


def test_a_restricted_account_reads_on_in_its_chats_and_joins_no_others(world: World):
    joined(world.parser, world.chat)
    watched(world.parser, world.campaign, "a")
    bot_restrict(bot_id=world.parser.pk, reason="PEER_FLOOD")
    first, second = problems(world.parser)
    assert first == "" and "is restricted (PEER_FLOOD) and joins no chats" in second


def test_a_chat_that_waits_for_telegram_says_until_when(world: World):
    until = timezone.now() + timedelta(minutes=10)
    bot_set_state(bot_id=world.parser.pk, state=Bot.State.WAITING, reason="FLOOD_WAIT_600", until=until)
    [status] = problems(world.parser)
    assert status.startswith("Joins the chat when the account has waited until ") and "FLOOD_WAIT_600" in status
