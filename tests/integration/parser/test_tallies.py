"""Messages that were read are counted by what became of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.utils import timezone

from messaging.retention import prune_all
from parser.models import Hit, ReadTally, WatchedChat
from parser.services import messages_match
from parser.tallies import chats_read
from telegram.types import Author, IncomingMessage
from tests.integration import ledger
from tests.integration.leads_world import World, private_message

pytestmark = pytest.mark.django_db


def said(world: World, text: str = "Good morning", **facts: Any) -> IncomingMessage:
    here = {"peer_id": world.chat.telegram_id, "private": False, "message_id": next(world.ids)}
    return private_message(**{**here, "text": text, "sent_at": timezone.now(), **facts})


def read(world: World, *messages: IncomingMessage) -> list[Hit]:
    return messages_match(messages={world.parser.id: messages})


def counts() -> dict[str, int]:
    return dict(ReadTally.objects.values_list("outcome", "number"))


def test_each_message_counts_once_under_its_outcome(world: World):
    messages = [
        said(world),
        said(world, "Where do you buy tea?"),
        said(world, forwarded=True),
        said(world, author=Author("bot")),
        said(world, author=Author("bot")),
    ]
    read(world, *messages[:3])
    read(world, *messages[3:])
    assert counts() == {"compared": 2, "forwarded": 1, "bot": 2}
    assert Hit.objects.count() == 1


def test_an_album_counts_once(world: World):
    read(world, *(said(world, text, grouped_id=4) for text in ("", "Look", "")), said(world, "", grouped_id=5))
    assert counts() == {"compared": 1, "no_text": 1}


def test_what_is_rolled_back_and_what_nobody_watches_does_not_count(world: World):
    with pytest.raises(ValueError, match="the handler"), transaction.atomic():
        read(world, said(world))
        raise ValueError("the handler failed later")
    read(world, said(world, peer_id=-1_000_000_999_999))
    assert counts() == {}


def test_an_edit_does_not_count_again(world: World):
    messages_match(messages={world.parser.id: [said(world, edited_at=timezone.now())]}, edited=True)
    assert counts() == {}


def test_the_pages_show_why_messages_were_left_out(world: World):
    message = said(world, "Where do you buy tea?")
    read(world, message, *(said(world, forwarded=True) for _ in range(3)), said(world, author=Author("channel")))
    read(world, replace(message, message_id=next(world.ids), sent_at=timezone.now() - timedelta(days=8), text="old"))
    other = ledger.make_campaign()
    elsewhere = WatchedChat.objects.create(campaign=other, chat=world.chat, bot=ledger.make_bot(role="parser"))
    watched = WatchedChat.objects.select_related("chat").get(campaign=world.campaign)
    [line] = chats_read(watched=[watched], today=timezone.now().date())
    assert (line["compared"], line["hits"], line["left_out"]) == (1, 1, 4)
    assert [number for _, number in line["reasons"]] == [3, 1]
    [line] = chats_read(watched=[elsewhere], today=timezone.now().date())
    assert (line["compared"], line["hits"], line["left_out"]) == (0, 0, 0)
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    for page in (f"watchedchat/{watched.pk}/change/", f"readtally/{ReadTally.objects.all()[0].pk}/change/"):
        assert client.get(f"/admin/parser/{page}").status_code == 200
    page = client.get(f"/admin/parser/watchedchat/{watched.pk}/change/").content.decode()
    assert "3: It was forwarded" in page and "1: A channel is its author." in page


def test_counts_are_deleted_after_90_days(world: World):
    read(world, said(world), said(world, sent_at=timezone.now() - timedelta(days=95)))
    assert prune_all()["parser_readtally"] == 1
    assert ReadTally.objects.count() == 1
