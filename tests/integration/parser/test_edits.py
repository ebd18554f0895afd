"""A message that was no hit is compared once more when its author edits it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from bots.models import Cursor
from messaging.models import OutboxEvent
from parser.events import NewTargetMessage
from parser.models import Hit, Keyword, WatchedChat
from telegram.types import Author, IncomingMessage, MessageNow
from tests.integration import ledger
from tests.integration.leads_world import World, private_message, role_handler

pytestmark = pytest.mark.django_db
BEFORE, AFTER = "Where do you buy coffee?", "Where do you buy tea?"


@pytest.fixture
def cursor(world: World) -> Cursor:
    peer_id = world.chat.telegram_id
    assert peer_id is not None
    cursor = Cursor.objects.create(bot=world.parser, peer_id=peer_id, last_message_id=80)
    Cursor.objects.update(started_at=timezone.now() - timedelta(days=9))
    return cursor


def said(world: World, **facts: Any) -> IncomingMessage:
    here = {"peer_id": world.chat.telegram_id, "private": False, "message_id": 77, "text": BEFORE}
    at = timezone.now() - timedelta(hours=1)
    return private_message(**{**here, "from_username": "tea_lover", "sent_at": at, **facts})


def hear(world: World, message: IncomingMessage) -> None:
    role_handler("parser").on_messages(messages={world.parser.id: [message]})


def edit(world: World, message: IncomingMessage, text: str = AFTER, at: datetime | None = None) -> list[MessageNow]:
    """Telegram reports the edit. Returns the changes that the role knows nothing about."""
    now = replace(message, text=text, edited_at=at or timezone.now())
    change = MessageNow(now.peer_id, now.message_id, text=text, edited_at=now.edited_at, message=now)
    return role_handler("parser").on_changes(bot_id=world.parser.id, changes=[change])


def test_an_edited_message_that_matches_now_becomes_one_hit(world: World, cursor: Cursor):
    message, at = said(world), timezone.now()
    hear(world, message)
    assert not Hit.objects.exists()
    for _ in range(3):
        assert edit(world, message, at=at) == []
    hit = Hit.objects.get()
    assert (hit.text, hit.said_at, hit.from_edit, hit.edited_at) == (AFTER, at, True, None)
    event = NewTargetMessage.model_validate_json(OutboxEvent.objects.get().body)
    assert (event.message, event.said_at, event.message_id, event.chat_id) == (AFTER, at, 77, world.chat.telegram_id)
    edit(world, message, "Where do you buy green tea?", at + timedelta(minutes=1))
    hit = Hit.objects.get()
    assert (hit.text, hit.edited_text) == (AFTER, "Where do you buy green tea?")
    assert OutboxEvent.objects.count() == 1


def test_the_edit_of_a_hit_makes_no_other_hit_of_its_campaign(world: World, cursor: Cursor):
    message = said(world, text=AFTER)
    hear(world, message)
    other = ledger.make_campaign()
    Keyword.objects.create(campaign=other, text="coffee")
    WatchedChat.objects.create(campaign=other, chat=world.chat, bot=world.parser)
    edit(world, message, "Where do you buy tea and coffee?")
    hits = Hit.objects.order_by("created_at").values_list("campaign", "from_edit")
    assert list(hits) == [(world.campaign.id, False), (other.id, True)]


def test_nor_does_the_edit_of_a_hit_that_another_account_has_read(world: World, cursor: Cursor):
    message = said(world, text=AFTER)
    hear(world, message)
    Hit.objects.update(bot=ledger.make_bot(role="parser"))
    edit(world, message, AFTER + " Or two?")
    assert Hit.objects.count() == 1


def test_the_caption_of_an_album_that_is_a_hit_makes_no_other(world: World, cursor: Cursor):
    first, second = said(world, text=AFTER, grouped_id=5), said(world, grouped_id=5, message_id=78)
    hear(world, first)
    hear(world, second)
    edit(world, second)
    assert Hit.objects.count() == 1


@pytest.mark.parametrize(("hours", "hits"), [(47, 1), (49, 0)])
def test_an_edit_counts_for_48_hours(world: World, cursor: Cursor, hours: int, hits: int):
    message = said(world, sent_at=timezone.now() - timedelta(hours=hours))
    edit(world, message)
    assert Hit.objects.count() == hits


@pytest.mark.parametrize(
    "facts",
    [{"author": Author("bot")}, {"forwarded": True}, {"outgoing": True}, {"from_user_id": None}],
    ids=lambda facts: next(iter(facts)),
)
def test_what_is_no_target_is_none_after_an_edit(world: World, cursor: Cursor, facts: dict[str, Any]):
    edit(world, said(world, **facts))
    assert not Hit.objects.exists()


def test_a_message_that_is_not_read_yet_is_left_to_the_history(world: World, cursor: Cursor):
    assert len(edit(world, said(world, message_id=81))) == 1
    assert not Hit.objects.exists()


def test_a_message_from_before_the_chat_was_read_is_not_read_because_it_is_edited(world: World, cursor: Cursor):
    Cursor.objects.update(started_at=timezone.now() - timedelta(minutes=30))
    assert len(edit(world, said(world))) == 1
    Cursor.objects.all().delete()
    assert len(edit(world, said(world))) == 1
    assert not Hit.objects.exists()
