"""In the discussion group of a watched channel only the comments on the channel's posts are read."""

from typing import Any

import pytest

from campaigns.models import Chat
from leads.models import Lead
from parser.models import Hit, ReadTally, WatchedChat
from parser.services import messages_match
from telegram.types import Author, IncomingMessage
from tests.integration import ledger
from tests.integration.leads_world import World, handle_lead, permit, private_message

pytestmark = pytest.mark.django_db
GROUP, POST = -1_000_000_777_000, 40


@pytest.fixture
def group(world: World) -> int:
    """The discussion group of the world's chat, in which a post of the channel is."""
    Chat.objects.filter(pk=world.chat.pk).update(discussion_id=GROUP)
    post: dict[str, Any] = {
        "is_post": True,
        "forwarded": True,
        "author": Author("channel"),
        "from_user_id": None,
        "text": "We sell tea",
    }
    read(world, said(world, message_id=POST, **post))
    assert not Hit.objects.exists()
    return GROUP


def said(world: World, text: str = "Where do you buy tea?", **facts: Any) -> IncomingMessage:
    here = {"peer_id": GROUP, "private": False, "message_id": next(world.ids), "text": text}
    return private_message(**{**here, **facts})


def read(world: World, *messages: IncomingMessage) -> list[Hit]:
    return messages_match(messages={world.parser.id: messages})


def test_a_comment_is_a_hit_of_the_channel_and_other_messages_are_none(world: World, group: int):
    others = [said(world), said(world, thread_id=POST + 1), said(world, thread_id=POST, author=Author("bot"))]
    assert read(world, *others) == []
    [hit] = read(world, said(world, thread_id=POST))
    assert (hit.chat, hit.peer_id) == (world.chat, group)
    assert ReadTally.objects.get(outcome="no_comment").number == 2


def test_a_person_may_forward_a_post_without_making_it_one(world: World, group: int):
    read(world, said(world, message_id=50, is_post=True, forwarded=True))
    assert read(world, said(world, thread_id=50)) == []


def test_the_channels_permission_does_not_cover_first_contacts_in_the_group(world: World, group: int):
    [hit] = read(world, said(world, thread_id=POST))
    handle_lead(world.event(id=str(hit.id), chat_id=group, message_id=hit.message_id))
    lead = Lead.objects.get()
    assert lead.state == Lead.State.AWAITING_APPROVAL and "does not cover first contacts" in lead.state_reason


def test_without_the_channels_permission_no_comment_is_read(world: World, group: int):
    world.chat.permissions.filter(purpose="parse").update(suspended_at=ledger.START, suspended_reason="removed")
    assert read(world, said(world, thread_id=POST)) == []


def test_a_group_that_is_watched_itself_is_read_as_a_whole_and_once(world: World, group: int):
    own = ledger.make_chat(telegram_id=group, permitted=False)
    permit(own, "parse")
    WatchedChat.objects.create(campaign=world.campaign, chat=own, bot=world.parser)
    hits = read(world, said(world, "Any tea?"), said(world, "Some tea, please", thread_id=POST))
    assert [hit.chat for hit in hits] == [own, own]
