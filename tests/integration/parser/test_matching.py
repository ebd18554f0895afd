"""A parser bot's messages become hits and their events."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest
from django.utils import timezone

from bots.models import Bot
from campaigns.chats.references import reference_change
from campaigns.models import Campaign
from campaigns.permissions.services import permissions_suspend
from messaging.models import OutboxEvent
from parser.events import NewTargetMessage
from parser.models import Hit, Keyword, WatchedChat
from telegram.types import Author, AuthorKind, IncomingMessage
from tests.integration import ledger
from tests.integration.leads_world import GRANTED, permit, role_handler

pytestmark = pytest.mark.django_db


@pytest.fixture
def message(world):
    return IncomingMessage(
        peer_id=world.chat.telegram_id,
        message_id=77,
        from_user_id=501,
        from_username="Tea_Lover",
        from_name="Somebody",
        text="Where do you buy TEA?",
        sent_at=timezone.now(),
        outgoing=False,
        reply_to_message_id=None,
        private=False,
        author=Author("person"),
    )


def hear(world, message):
    handler = role_handler("parser")
    assert handler.reads_chats and not handler.reads_private
    handler.on_messages(messages={world.parser.id: [message]})


def test_a_match_becomes_one_hit_with_its_event(world, message):
    hear(world, message)
    hit = Hit.objects.get()
    assert (hit.campaign, hit.chat, hit.message_id, hit.keyword) == (world.campaign, world.chat, 77, "tea")
    event = OutboxEvent.objects.get()
    assert (event.exchange, event.routing_key) == ("leads_exchange", f"lead.{world.campaign.id}")
    assert event.service == "parser"
    body = json.loads(event.body)
    assert body["worker_id"] == str(world.parser.id) and body["campaign_id"] == str(world.campaign.id)
    assert (body["chat_id"], body["username"], body["message"]) == (
        world.chat.telegram_id,
        "Tea_Lover",
        message.text,
    )
    assert (body["telegram_user_id"], body["message_id"], body["keyword"]) == (501, 77, "tea")


def test_the_same_message_again_changes_nothing(world, message):
    hear(world, message)
    hear(world, message)
    assert Hit.objects.count() == OutboxEvent.objects.count() == 1


def test_a_person_without_a_username_is_a_hit_too(world, message):
    hear(world, replace(message, from_username=""))
    event = NewTargetMessage.model_validate_json(OutboxEvent.objects.get().body)
    assert (event.username, event.telegram_user_id) == ("", 501)


def test_every_running_campaign_that_watches_the_chat_gets_its_own_hit(world, message):
    other = ledger.make_campaign()
    paused = ledger.make_campaign(state=Campaign.State.PAUSED)
    deaf = ledger.make_campaign()
    for campaign in (other, paused):
        Keyword.objects.create(campaign=campaign, text="buying tea")
        Keyword.objects.create(campaign=campaign, text="tea")
    for campaign in (other, paused, deaf):
        WatchedChat.objects.create(campaign=campaign, chat=world.chat, bot=world.parser)
    hear(world, message)
    assert {hit.campaign for hit in Hit.objects.all()} == {world.campaign, other}


@pytest.mark.parametrize(
    "change",
    [
        {"text": "Where do you buy coffee?"},
        {"text": "  "},
        {"outgoing": True},
        {"private": True},
        {"from_user_id": None},
        {"from_user_id": -1001},
        {"peer_id": -1009999},
        *({"author": Author(kind)} for kind in get_args(AuthorKind) if kind != "person"),
        {"author": Author("person", scam=True)},
        {"author": Author("person", fake=True)},
        {"via_bot_id": 900},
        {"forwarded": True},
    ],
)
def test_what_is_no_target_leaves_nothing(world, message, change):
    hear(world, replace(message, **change))
    assert not Hit.objects.exists() and not OutboxEvent.objects.exists()


def test_the_teams_own_accounts_are_nobodys_leads(world, message):
    hear(world, replace(message, from_user_id=world.managers[0].telegram_user_id))
    assert not Hit.objects.exists()
    # A username that now belongs to another person does not match.
    Bot.objects.filter(id=world.managers[0].id).update(username="tea_lover")
    hear(world, message)
    assert Hit.objects.get().telegram_user_id == message.from_user_id


def test_an_account_of_ours_that_never_logged_in_is_known_by_its_name(world, message):
    Bot.objects.filter(id=world.managers[0].id).update(username="tea_lover", telegram_user_id=None)
    hear(world, message)
    assert not Hit.objects.exists()


@pytest.mark.parametrize(
    "facts",
    [
        {"revoked_at": GRANTED},
        {"granted_at": GRANTED - timedelta(days=9), "valid_until": GRANTED},
        {"suspended_at": GRANTED, "suspended_reason": "removed"},
    ],
    ids=["revoked", "expired", "suspended"],
)
def test_without_a_permission_in_force_nothing_is_read(world, message, facts):
    world.chat.permissions.filter(purpose="parse").update(**facts)
    hear(world, message)
    assert not Hit.objects.exists()
    handler = role_handler("parser")
    assert handler.wanted(timezone.now()) == set() and handler.chats(world.parser.id) == []
    world.chat.permissions.filter(purpose="parse").update(revoked_at=GRANTED)
    permit(world.chat, "parse")
    assert handler.wanted(timezone.now()) == {world.parser.id} and handler.chats(world.parser.id) == [world.chat]


def test_a_chat_whose_reference_was_changed_is_wanted_and_not_read(world, message):
    """Somebody has to look where it leads."""
    reference_change(chat_id=world.chat.pk, reference="@another_name")
    hear(world, message)
    assert not Hit.objects.exists()
    parser, manager = role_handler("parser"), role_handler("manager")
    assert parser.wanted(timezone.now()) == {world.parser.id}
    assert parser.chats(world.parser.id) == [world.chat] == manager.chats(world.managers[0].id)
    permissions_suspend(chat_id=world.chat.pk, reason="the owner is asked")
    assert parser.wanted(timezone.now()) == set() and manager.chats(world.managers[0].id) == []


def test_a_disabled_bot_and_a_stopped_campaign_are_not_wanted(world):
    handler = role_handler("parser")
    world.parser.enabled = False
    world.parser.save()
    assert handler.wanted(timezone.now()) == set()
    world.parser.enabled = True
    world.parser.save()
    world.campaign.state = Campaign.State.PAUSED
    world.campaign.save()
    assert handler.wanted(timezone.now()) == set()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda campaign: Keyword.objects.create(campaign=campaign, text="buy", kind="minus"), False),
        (lambda campaign: Keyword.objects.filter(campaign=campaign).update(text="coffee"), False),
        (lambda campaign: Keyword.objects.filter(campaign=campaign).update(kind="minus"), False),
        (lambda campaign: Keyword.objects.filter(campaign=campaign).delete(), False),
        (lambda campaign: None, True),
    ],
)
def test_changed_keywords_count_from_the_next_message_on_however_they_were_written(world, message, change, found):
    hear(world, message)
    change(world.campaign)
    hear(world, replace(message, message_id=78))
    assert Hit.objects.filter(message_id=78).exists() is found


def test_an_unchanged_campaign_costs_no_reading_of_keywords(world, message, django_assert_num_queries):
    hear(world, message)
    with django_assert_num_queries(4):  # savepoint, version, counts, release
        hear(world, replace(message, message_id=79, text="coffee"))
