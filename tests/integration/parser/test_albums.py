"""An album is several messages to Telegram, and one to its reader."""

from dataclasses import replace

import pytest

from leads.llm.prompt import conversation_prompt
from leads.models import LlmJob, Message
from leads.selectors import messages_in_chat
from messaging.models import OutboxEvent
from parser.models import Hit
from parser.services import message_match
from telegram.types import IncomingMessage
from tests.integration.leads_world import World, private_message, texts

pytestmark = pytest.mark.django_db
ALBUM = 13_900_000_000_000_001


def in_chat(world: World, **facts: object) -> IncomingMessage:
    here = {"peer_id": world.chat.telegram_id, "private": False, "grouped_id": ALBUM, "message_id": next(world.ids)}
    return private_message(**{**here, **facts})


def turns(conversation) -> list[tuple[str, object]]:
    messages = messages_in_chat(conversation_id=conversation.id)
    prompt = conversation_prompt(
        campaign=conversation.lead.campaign, hit_text=conversation.lead.message, messages=messages
    )
    return [(turn["role"], turn.get("content")) for turn in prompt[2:]]


def test_an_album_whose_pictures_all_match_is_one_hit(world):
    items = [in_chat(world, text=text) for text in ("", "Black tea", "Green tea")]
    for item in [*items, *items]:
        message_match(bot_id=world.parser.id, message=item)
    assert (Hit.objects.get().text, OutboxEvent.objects.count()) == ("Black tea", 1)
    message_match(bot_id=world.parser.id, message=replace(items[1], message_id=next(world.ids), grouped_id=ALBUM + 1))
    message_match(bot_id=world.parser.id, message=in_chat(world, text="More tea", grouped_id=None))
    assert Hit.objects.count() == 3


def test_a_lead_s_album_is_one_message_to_the_llm(world, conversation):
    items = [world.incoming(conversation, text, grouped_id=ALBUM) for text in ("Which of these?", "", "", "", "")]
    assert (conversation.epoch, LlmJob.objects.count()) == (1, 1)
    assert turns(conversation) == [("user", "Which of these?")]
    # Each keeps its number: an edit or a deletion names nothing else.
    received = Message.objects.filter(author="lead").order_by("telegram_message_id")
    assert [message.telegram_message_id for message in received] == [item.message_id for item in items]
    world.incoming(conversation, "", grouped_id=ALBUM + 1)
    world.incoming(conversation, "", grouped_id=ALBUM + 1)
    assert conversation.epoch == 2
    without_text = "[a message without text: a picture, a voice message, a sticker]"
    assert turns(conversation) == [("user", "Which of these?"), ("user", without_text)]


def test_words_later_in_an_album_are_heard(world, conversation):
    world.incoming(conversation, "", grouped_id=ALBUM)
    world.incoming(conversation, "Or this?", grouped_id=ALBUM)
    assert list(LlmJob.objects.order_by("epoch").values_list("state", flat=True)) == ["stale", "due"]
    assert turns(conversation) == [("user", "Or this?")]
    world.incoming(conversation, "STOP", grouped_id=ALBUM)
    assert conversation.owner == "none"


def test_an_album_from_the_phone_is_one_message_of_ours(world, conversation):
    for text in ("Our teas", "", ""):
        world.outgoing(conversation, text, grouped_id=ALBUM)
    assert (conversation.owner, texts(conversation, "phone")) == ("human", ["Our teas", "", ""])
    assert turns(conversation) == [("assistant", "Our teas")]
