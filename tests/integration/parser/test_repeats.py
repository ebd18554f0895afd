"""The same text by the same person in several chats is one hit."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from bots.models import Cursor
from messaging.models import OutboxEvent
from parser.models import Hit, HitRepeat, WatchedChat
from parser.person_data import ParserPersonalData
from parser.repeats import text_key
from parser.services import message_match
from privacy.person import Person
from telegram.types import MessageNow
from tests.integration import ledger
from tests.integration.leads_world import World, make_world, permit, private_message, role_handler
from tests.integration.locks import at_once

pytestmark = pytest.mark.django_db
TEXT = "Where do you buy TEA?!"


def chat_of(world: World, number: int) -> int:
    """The marked id of the numbered chat, which the campaign watches."""
    chat = ledger.make_chat(telegram_id=-1_000_000_500_000 - number, permitted=False)
    permit(chat, "parse")
    WatchedChat.objects.create(campaign=world.campaign, chat=chat, bot=world.parser)
    return chat.telegram_id or 0


def hear(world: World, peer_id: int | None, text: str = TEXT, **facts: Any) -> None:
    here = {"peer_id": peer_id, "private": False, "text": text, "message_id": next(world.ids), **facts}
    message_match(bot_id=world.parser.id, message=private_message(**here))


def test_ten_chats_make_one_hit_and_nine_repeats(world: World):
    hear(world, world.chat.telegram_id)
    others = [chat_of(world, number) for number in range(9)]
    for peer_id in others:
        hear(world, peer_id, "where do you buy  tea")
    hit = Hit.objects.get()
    assert sorted(hit.repeats.values_list("peer_id", flat=True)) == sorted(others)
    assert (hit.text, OutboxEvent.objects.count()) == (TEXT, 1)


def test_the_same_message_again_is_the_same_repeat(world: World):
    other = chat_of(world, 1)
    hear(world, world.chat.telegram_id)
    for _ in range(2):
        hear(world, other, message_id=5)
    assert (Hit.objects.count(), HitRepeat.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    "facts",
    [{"text": "Where do you buy green tea?"}, {"from_user_id": 502}, {"sent_at": timezone.now() + timedelta(days=8)}],
    ids=["text", "person", "time"],
)
def test_another_text_person_or_week_is_another_hit(world: World, facts: dict[str, Any]):
    hear(world, world.chat.telegram_id)
    other = chat_of(world, 1)
    hear(world, other, **facts)
    assert (Hit.objects.count(), HitRepeat.objects.count()) == (2, 0)
    hear(world, chat_of(world, 2), **facts)
    assert (Hit.objects.count(), HitRepeat.objects.count()) == (2, 1)


def test_another_campaign_and_the_same_chat_have_hits_of_their_own(world: World):
    hear(world, world.chat.telegram_id)
    other = make_world()
    hear(other, other.chat.telegram_id)
    hear(world, world.chat.telegram_id)
    assert (Hit.objects.count(), HitRepeat.objects.count()) == (3, 0)


def test_a_repeat_that_is_edited_is_no_new_hit(world: World):
    hear(world, world.chat.telegram_id)
    other = chat_of(world, 1)
    Cursor.objects.create(bot=world.parser, peer_id=other, last_message_id=9000)
    hear(world, other, message_id=8000)
    now = timezone.now() + timedelta(minutes=1)
    edited = private_message(
        peer_id=other, private=False, text="Any tea at all?", message_id=8000, edited_at=now, sent_at=timezone.now()
    )
    change = MessageNow(other, 8000, text=edited.text, edited_at=now, message=edited)
    role_handler("parser").on_changes(bot_id=world.parser.id, changes=[change])
    assert Hit.objects.count() == 1


def test_repeats_are_exported_and_erased_with_the_person(world: World):
    hear(world, world.chat.telegram_id)
    hear(world, chat_of(world, 1))
    data = ParserPersonalData()
    assert len(data.export(Person(501))["repeated messages"]) == 1
    erased = data.erase(Person(501))
    assert (erased["hits"], erased["repeated messages"]) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_the_same_text_in_several_chats_at_the_same_moment_is_one_hit():
    world = make_world()
    peers = [world.chat.telegram_id, *(chat_of(world, number) for number in range(3))]
    at_once(*(partial(hear, world, peer_id) for peer_id in peers))
    assert (Hit.objects.count(), HitRepeat.objects.count()) == (1, 3)


def test_only_words_count():
    assert text_key("Ищу  мастера!!!") == text_key("ищу мастера") != text_key("ищу мастеров")
    assert text_key("☕☕") != text_key("🍰")
