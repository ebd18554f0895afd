"""What a process remembers of watches and keywords: no message is left out by what was true before."""

from collections.abc import Callable
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from bots.models import Bot
from campaigns.models import Campaign, Chat, ChatPermission
from parser import memory
from parser.keywords.index import KeywordIndex
from parser.models import Hit, Keyword, MatchingSettings, WatchedChat
from parser.services import messages_match
from telegram.types import Author, IncomingMessage
from tests.integration import ledger
from tests.integration.leads_world import GRANTED, World, role_handler


def message(world: World, text: str = "Where do you buy tea?", **facts: Any) -> IncomingMessage:
    made = IncomingMessage(
        world.chat.telegram_id or 0, next(world.ids), 501, "tea_lover", "", text, timezone.now(), False, None, False,
        author=Author("person"),
    )  # fmt: skip
    return replace(made, **facts)


def hits(world: World, *messages: IncomingMessage, bot: Bot | None = None) -> list[str]:
    return [hit.keyword for hit in messages_match(messages={(bot or world.parser).pk: messages})]


def in_other_connection(work: Callable[[], Any]) -> None:
    """Run in a thread, with a connection and transaction of its own."""

    def run() -> None:
        try:
            with transaction.atomic():
                work()
        finally:
            connections.close_all()

    thread = Thread(target=run)
    thread.start()
    thread.join()


def keyword_added(world: World) -> None:
    Keyword.objects.create(campaign=world.campaign, text="coffee")


def keyword_changed(world: World) -> None:
    Keyword.objects.filter(campaign=world.campaign).update(text="coffee")


def keyword_moved(world: World) -> None:
    Keyword.objects.create(campaign=ledger.make_campaign(), text="coffee")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE parser_keyword SET campaign_id = %s", [world.campaign.pk])


def exclusion_deleted(world: World) -> None:
    keyword_added(world)
    minus = Keyword.objects.create(campaign=world.campaign, text="cheap", kind=Keyword.Kind.MINUS)
    assert hits(world, message(world, "cheap coffee")) == []
    minus.delete()


def watch_added(world: World) -> None:
    campaign = ledger.make_campaign()
    Keyword.objects.create(campaign=campaign, text="coffee")
    WatchedChat.objects.create(campaign=campaign, chat=world.chat, bot=world.parser)


def diacritics_ignored(world: World) -> None:
    Keyword.objects.create(campaign=world.campaign, text="coffée")
    assert hits(world, message(world, "cheap coffee")) == []
    MatchingSettings.objects.create(campaign=world.campaign, ignore_diacritics=True)


CHANGES = [keyword_added, keyword_changed, keyword_moved, exclusion_deleted, watch_added, diacritics_ignored]


@pytest.mark.django_db
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_counts_for_the_next_batch_however_it_was_made(world: World, change: Callable[[World], None]):
    assert hits(world, message(world), message(world, "cheap coffee")) == ["tea"]
    change(world)
    assert hits(world, message(world, "cheap coffee")) in (["coffee"], ["coffée"])


@pytest.mark.django_db
def test_a_watch_that_passes_to_another_account_counts_for_that_one(world: World):
    other = Bot.objects.create(key="other-ears", role="parser")
    assert hits(world, message(world), bot=other) == []
    WatchedChat.objects.update(bot=other)
    assert hits(world, message(world), bot=other) == ["tea"]
    assert hits(world, message(world)) == []


@pytest.mark.django_db
def test_a_chat_with_a_new_id_is_known_by_it(world: World):
    upgraded = -1_000_000_777
    assert hits(world, message(world, peer_id=upgraded)) == []
    Chat.objects.filter(pk=world.chat.pk).update(telegram_id=upgraded)
    assert hits(world, message(world, peer_id=upgraded)) == ["tea"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        lambda: Campaign.objects.update(state=Campaign.State.PAUSED),
        lambda: ChatPermission.objects.update(revoked_at=GRANTED),
        lambda: Bot.objects.update(enabled=False),
    ],
    ids=["paused", "revoked", "disabled"],
)
def test_what_is_no_longer_permitted_is_decided_by_the_database(world: World, change: Callable[[], Any]):
    assert hits(world, message(world)) == ["tea"]
    change()
    assert hits(world, message(world)) == []


@pytest.mark.django_db(transaction=True)
def test_keywords_that_were_committed_before_count_and_others_do_not(world: World):
    with transaction.atomic():
        in_other_connection(lambda: keyword_added(world))
        assert hits(world, message(world, "coffee")) == ["coffee"]

    def not_committed() -> None:
        Keyword.objects.create(campaign=world.campaign, text="cocoa")
        # A later change that is committed first.
        in_other_connection(lambda: Keyword.objects.create(campaign=world.campaign, text="milk"))
        in_other_connection(lambda: results.extend(hits(world, message(world, "milk, no cocoa"))))

    results: list[str] = []
    in_other_connection(not_committed)
    assert results == ["milk"]
    assert hits(world, message(world, "cocoa")) == ["cocoa"]
    Hit.objects.all().delete()


@pytest.mark.django_db
def test_messages_that_match_nothing_cost_two_statements_together(world: World, django_assert_num_queries: Any):
    hits(world, message(world))
    many = [message(world, f"coffee {number}") for number in range(40)]
    with django_assert_num_queries(4):  # savepoint, version, counts, release
        assert hits(world, *many) == []


@pytest.mark.django_db
def test_dictionaries_are_loaded_before_the_first_message(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "_memory", memory.Memory(memory._NEVER, {}, KeywordIndex()))
    monkeypatch.setattr(memory, "_indexed", {})
    assert role_handler("parser").chats(world.parser.id) == [world.chat]
    assert memory._memory.watched(world.parser.id, world.chat.telegram_id or 0) == {world.campaign.pk}


@pytest.mark.django_db
def test_the_notes_of_changes_are_few_and_each_change_is_noticed(world: World):
    hits(world, message(world))
    for number in range(150):
        Keyword.objects.filter(campaign=world.campaign).update(text=f"word{number}")
    assert hits(world, message(world, "word149")) == ["word149"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM parser_matchingchange")
        assert cursor.fetchone()[0] <= 102


@pytest.mark.django_db
def test_keywords_that_break_the_compiler_harm_no_other_campaign(world: World, monkeypatch: pytest.MonkeyPatch):
    other = ledger.make_campaign()
    Keyword.objects.create(campaign=other, text="coffee")
    WatchedChat.objects.create(campaign=other, chat=world.chat, bot=world.parser)
    assert hits(world, message(world), message(world, "coffee")) == ["tea", "coffee"]
    real = memory.compile_known_terms

    def breaks(terms: Any, *arguments: Any, **options: Any) -> Any:
        if any(term.text == "bomb" for term in terms):
            raise RecursionError
        return real(terms, *arguments, **options)

    monkeypatch.setattr(memory, "compile_known_terms", breaks)
    Keyword.objects.create(campaign=world.campaign, text="bomb")
    Keyword.objects.create(campaign=other, text="milk")
    assert hits(world, message(world, "some milk"), message(world, "green tea")) == ["milk", "tea"]
