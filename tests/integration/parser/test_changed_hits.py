"""The message of a hit is edited or deleted in the chat: the hit, the lead's pages and the prompt go by that."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bots.roles import handler_of
from leads.models import Conversation
from leads.services.llm_jobs import Question, question_messages
from parser.models import Hit
from parser.person_data import ParserPersonalData
from privacy.person import Person
from telegram.types import MessageNow
from tests.integration import ledger
from tests.integration.leads_world import World

pytestmark = pytest.mark.django_db

SUPERGROUP = -1_000_000_000_321
FIRST, LATER = "Where do you buy tea?", "Where do you buy coffee?"


@pytest.fixture
def hit(world: World) -> Hit:
    return make_hit(world)


def make_hit(world: World, **facts: Any) -> Hit:
    return Hit.objects.create(
        **{
            "campaign": world.campaign,
            "bot": world.parser,
            "chat": world.chat,
            "peer_id": SUPERGROUP,
            "message_id": 77,
            "telegram_user_id": 501,
            "text": FIRST,
            "keyword": "tea",
            "said_at": timezone.now(),
            **facts,
        }
    )


def becomes(world: World, *changes: MessageNow) -> list[MessageNow]:
    """What the parser account hears. Returns the changes that it knows nothing about."""
    handler = handler_of("parser")
    assert handler is not None
    return handler.on_changes(bot_id=world.parser.id, changes=changes)


def deleted(number: int = 77, peer_id: int | None = SUPERGROUP) -> MessageNow:
    return MessageNow(peer_id, number, deleted=True)


def edited(text: str, *, seconds: int = 0) -> MessageNow:
    return MessageNow(SUPERGROUP, 77, text=text, edited_at=timezone.now() + timedelta(seconds=seconds), reactions="")


def conversation_of(world: World, hit: Hit) -> Conversation:
    return world.conversation(id=str(hit.id), message=hit.text, message_id=hit.message_id)


def rules(conversation: Conversation) -> str:
    """The rules that the LLM gets before the conversation."""
    return str(question_messages(question=Question(conversation.id, 1, conversation.id, "m"))[0].get("content"))


def pages(conversation: Conversation) -> list[str]:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return [
        client.get(reverse(f"admin:leads_{kind}_change", args=[key])).content.decode()
        for kind, key in (("lead", conversation.lead_id), ("conversation", conversation.pk))
    ]


def test_a_deleted_message_leaves_the_prompt_and_the_pages_show_it(world: World, hit: Hit) -> None:
    conversation = conversation_of(world, hit)
    assert FIRST in rules(conversation) and not any("in the chat at" in page for page in pages(conversation))
    User.objects.all().delete()
    assert becomes(world, deleted()) == []
    hit.refresh_from_db()
    assert hit.deleted_at is not None and hit.text == FIRST
    assert FIRST not in rules(conversation) and "has been deleted since" in rules(conversation)
    assert all("deleted in the chat at 2" in page for page in pages(conversation))
    before = hit.deleted_at
    becomes(world, deleted())
    hit.refresh_from_db()
    assert hit.deleted_at == before


def test_an_edited_message_is_in_the_prompt_as_it_reads_now(world: World, hit: Hit) -> None:
    conversation = conversation_of(world, hit)
    becomes(world, edited(FIRST, seconds=1), MessageNow(SUPERGROUP, 77, reactions="❤ 2"))
    hit.refresh_from_db()
    assert hit.edited_at is None, "Telegram calls it edited when its reactions change, too"
    becomes(world, edited(LATER, seconds=5))
    becomes(world, edited("Something older", seconds=2))
    hit.refresh_from_db()
    assert (hit.text, hit.edited_text) == (FIRST, LATER)
    assert LATER in rules(conversation) and FIRST not in rules(conversation)
    assert all("edited in the chat at 2" in page for page in pages(conversation))
    assert ParserPersonalData().texts(Person(501)) == {FIRST, LATER}
    becomes(world, edited(FIRST, seconds=9))
    assert FIRST in rules(conversation) and LATER not in rules(conversation)


def test_a_lead_of_another_program_has_no_hit(world: World) -> None:
    assert FIRST in rules(world.conversation(message=FIRST))


def test_only_the_message_itself_and_for_every_campaign(world: World, hit: Hit) -> None:
    same = make_hit(world, campaign=ledger.make_campaign())
    others = [make_hit(world, message_id=78), make_hit(world, peer_id=SUPERGROUP - 1), make_hit(world, peer_id=-55)]
    unknown = [deleted(79), deleted(78, SUPERGROUP - 1), MessageNow(SUPERGROUP, 78, reactions="👍 1")]
    assert becomes(world, deleted(), *unknown) == unknown
    gone = set(Hit.objects.exclude(deleted_at=None).values_list("pk", flat=True))
    assert gone == {hit.pk, same.pk} and not gone & {other.pk for other in others}


def test_in_a_basic_group_each_account_counts_for_itself(world: World, hit: Hit) -> None:
    own, other = make_hit(world, peer_id=-55), make_hit(world, peer_id=-56, bot=ledger.make_bot(role="parser"))
    assert becomes(world, deleted(peer_id=None)) == []
    assert set(Hit.objects.exclude(deleted_at=None).values_list("pk", flat=True)) == {own.pk}
    assert hit.pk != other.pk
