"""Which account watches a chat: chosen for the operator, balanced on the operator's decision, and never by itself."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bots.accounts.states import bot_restrict, bot_set_state
from bots.models import Bot, Cursor, Presence, Role
from campaigns.models import Campaign, Chat
from panelkit.errors import NotPossible
from parser.models import Hit, WatchedChat
from parser.services import messages_match
from parser.watching.accounts import account_choose
from parser.watching.balancing import JOINED_WORTH, moves_proposed
from parser.watching.joining import chats_of
from parser.watching.moves import AFTER, AHEAD, chat_move, move_cancel, moves_advance
from parser.watching.waiting import statuses_of, with_facts
from telegram.types import Author, IncomingMessage
from tests.integration import ledger
from tests.integration.leads_world import World, logged_in, make_world, permit

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    """A campaign with one watched chat, and its parser."""
    return make_world()


@pytest.fixture
def other(world: World) -> Bot:
    return logged_in(ledger.make_bot(role=Role.PARSER))


@pytest.fixture
def panel(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator", "", "secret"))
    return client


def a_chat(**facts: Any) -> Chat:
    chat = ledger.make_chat(permitted=False, **facts)
    permit(chat, "parse")
    return chat


def watch(bot: Bot, campaign: Campaign, count: int, *, joined: bool = False) -> list[Chat]:
    chats = [a_chat() for _ in range(count)]
    for chat in chats:
        WatchedChat.objects.create(campaign=campaign, chat=chat, bot=bot)
        if joined:
            join(bot, chat)
    return chats


def join(bot: Bot, chat: Chat, *, at: int = 0) -> None:
    assert chat.telegram_id is not None
    Presence.objects.create(bot=bot, chat=chat, peer_id=chat.telegram_id)
    Cursor.objects.create(bot=bot, peer_id=chat.telegram_id, last_message_id=at)


def watchers(chats: Iterable[Chat]) -> set[Bot]:
    return {row.bot for row in WatchedChat.objects.filter(chat__in=chats)}


def only() -> WatchedChat:
    return with_facts(WatchedChat.objects.all()).get()


def status() -> str:
    return statuses_of([only()])[only().pk]


def hear(bot: Bot, chat: Chat, message_id: int, sent_at: datetime) -> None:
    message = IncomingMessage(
        chat.telegram_id or 0,
        message_id,
        501,
        "tea_lover",
        "",
        "tea?",
        sent_at,
        False,
        None,
        False,
        author=Author("person"),
    )
    messages_match(messages={bot.pk: [message]})


class TestChoosing:
    def test_the_account_with_the_fewest_chats_is_chosen_or_one_that_watches_the_chat(self, world: World, other: Bot):
        assert account_choose(chat_id=a_chat().pk) == other
        assert account_choose(chat_id=world.chat.pk) == world.parser
        watch(other, world.campaign, 2)
        assert account_choose(chat_id=a_chat().pk) == world.parser

    def test_an_account_that_is_full_or_restricted_gets_no_chat(self, world: World, other: Bot, settings: Any):
        bot_restrict(bot_id=other.pk, reason="PEER_FLOOD")
        assert account_choose(chat_id=a_chat().pk) == world.parser
        settings.CHATS_PER_PARSER = 1
        with pytest.raises(NotPossible, match="Every parser account is in 1 chats"):
            account_choose(chat_id=a_chat().pk)
        assert account_choose(chat_id=world.chat.pk) == world.parser
        bot_set_state(bot_id=world.parser.pk, state=Bot.State.BANNED, reason="USER_DEACTIVATED_BAN")
        with pytest.raises(NotPossible, match="No parser account can read chats now"):
            account_choose(chat_id=world.chat.pk)

    def test_an_empty_account_on_the_form_is_filled_in(self, world: World, other: Bot, panel: Client):
        chat = a_chat()
        values = {"campaign": world.campaign.pk, "chat": chat.pk, "bot": "", "topics_rule": "all"}
        assert panel.post(reverse("admin:parser_watchedchat_add"), values).status_code == 302
        assert watchers([chat]) == {other}
        Bot.objects.update(enabled=False)
        refused = panel.post(reverse("admin:parser_watchedchat_add"), values | {"chat": a_chat().pk})
        assert "No parser account can read chats now" in refused.content.decode()


class TestBalancing:
    def test_chats_that_nobody_has_joined_are_spread_evenly_once_the_operator_agrees(
        self, world: World, other: Bot, panel: Client
    ):
        chats = [world.chat, *watch(world.parser, world.campaign, 5)]
        page = reverse("admin:parser_watchedchat_balance")
        shown = panel.get(page).content.decode()
        assert "3 chats will move." in shown and f"{world.parser} watches 6 chats, {other} 0." in shown
        assert watchers(chats) == {world.parser}
        moves = [f"{move.chat.pk} {move.source.pk} {move.target.pk}" for move in moves_proposed().moves]
        panel.post(page, {"move": moves})
        assert WatchedChat.objects.filter(bot=other).count() == WatchedChat.objects.filter(bot=world.parser).count()
        assert moves_proposed().moves == []

    def test_chats_that_an_account_has_joined_move_only_if_the_difference_is_large(self, world: World, other: Bot):
        watch(world.parser, world.campaign, JOINED_WORTH - 2, joined=True)
        join(world.parser, world.chat)
        assert moves_proposed().moves == []
        watch(world.parser, world.campaign, 1, joined=True)
        [move] = moves_proposed().moves
        assert (move.source, move.target) == (world.parser, other)
        assert move.reason.endswith(f"{other} joins it and reads on.")

    @pytest.mark.parametrize("state", [Bot.State.BANNED, Bot.State.NEEDS_LOGIN, Bot.State.RESTRICTED])
    def test_the_chats_of_an_account_that_telegram_stopped_stay(
        self, world: World, other: Bot, panel: Client, state: Bot.State
    ):
        chats = [world.chat, *watch(world.parser, world.campaign, 20)]
        if state == Bot.State.RESTRICTED:
            bot_restrict(bot_id=world.parser.pk, reason="PEER_FLOOD")
        else:
            bot_set_state(bot_id=world.parser.pk, state=state, reason="GONE")
        proposal = moves_proposed()
        assert proposal.moves == [] and [stays[:2] for stays in proposal.staying] == [(world.parser, 21)]
        shown = panel.post(
            reverse("admin:parser_watchedchat_balance"),
            {"move": [f"{world.chat.pk} {world.parser.pk} {other.pk}"]},
            follow=True,
        )
        assert "The chat stays with its account." in shown.content.decode()
        with pytest.raises(NotPossible, match="The chat stays with its account"):
            chat_move(chat_id=world.chat.pk, source_id=world.parser.pk, target_id=other.pk)
        assert watchers(chats) == {world.parser}


class TestMoving:
    def move(self, world: World, other: Bot) -> datetime:
        """Move the joined chat as far as to the handover; returns its time."""
        join(world.parser, world.chat, at=10)
        chat_move(chat_id=world.chat.pk, source_id=world.parser.pk, target_id=other.pk)
        assert moves_advance(bot_id=other.pk, at_end=()) == set() and only().handover_at is None
        assert status() == f"Moves to {other} as soon as it has joined the chat."
        assert chats_of(bot_id=other.pk) == chats_of(bot_id=world.parser.pk) == [world.chat]
        join(other, world.chat, at=12)
        moves_advance(bot_id=other.pk, at_end=())
        moment = only().handover_at
        assert moment is not None and timezone.now() < moment <= timezone.now() + AHEAD
        return moment

    def later(self, moment: datetime) -> datetime:
        """As if the handover had been long ago. Returns its time."""
        WatchedChat.objects.update(handover_at=moment - AHEAD - AFTER - timedelta(seconds=1))
        found = only().handover_at
        assert found is not None
        return found

    def test_each_message_counts_for_exactly_one_of_the_accounts(self, world: World, other: Bot):
        moment = self.move(world, other)
        for number, seconds in enumerate((-1, 0, 1), start=13):
            for bot in (world.parser, other):
                hear(bot, world.chat, number, moment + timedelta(seconds=seconds))
        hits = Hit.objects.order_by("message_id").values_list("message_id", "bot")
        assert list(hits) == [(13, world.parser.pk), (14, world.parser.pk), (15, other.pk)]

    def test_the_first_account_goes_when_it_has_read_to_the_end(self, world: World, other: Bot):
        self.move(world, other)
        assert moves_advance(bot_id=world.parser.pk, at_end=()) == set()
        moment = self.later(only().handover_at or timezone.now())
        end = (world.chat.telegram_id or 0, moment)
        assert moves_advance(bot_id=world.parser.pk, at_end=()) == {end}
        assert "still reads the messages sent until" in status()
        assert moves_advance(bot_id=world.parser.pk, at_end={(end[0], moment - AFTER)}) == {end}
        assert moves_advance(bot_id=world.parser.pk, at_end={end}) == set()
        assert (only().bot, only().next_bot, only().read_since) == (other, None, moment)
        assert chats_of(bot_id=world.parser.pk) == []
        hear(other, world.chat, 11, moment)
        assert not Hit.objects.exists()
        hear(other, world.chat, 12, moment + timedelta(seconds=1))
        assert Hit.objects.get().bot == other

    def test_what_an_account_counted_before_is_no_second_hit_of_another_in_a_supergroup(self, world: World, other: Bot):
        hear(world.parser, world.chat, 5, timezone.now())
        WatchedChat.objects.update(bot=other)
        hear(other, world.chat, 5, timezone.now())
        assert Hit.objects.count() == 1

    def test_an_account_that_is_banned_before_the_handover_keeps_its_chat(self, world: World, other: Bot):
        join(world.parser, world.chat)
        chat_move(chat_id=world.chat.pk, source_id=world.parser.pk, target_id=other.pk)
        bot_set_state(bot_id=world.parser.pk, state=Bot.State.BANNED, reason="USER_DEACTIVATED_BAN")
        join(other, world.chat)
        moves_advance(bot_id=other.pk, at_end=())
        assert (only().bot, only().handover_at) == (world.parser, None)
        assert f"The move to {other} waits: {world.parser} is banned" in status()

    def test_a_move_is_cancelled_until_the_handover(self, world: World, other: Bot, panel: Client):
        join(world.parser, world.chat)
        chat_move(chat_id=world.chat.pk, source_id=world.parser.pk, target_id=other.pk)
        with pytest.raises(NotPossible, match="is being moved already"):
            chat_move(chat_id=world.chat.pk, source_id=world.parser.pk, target_id=other.pk)
        page = reverse("admin:parser_watchedchat_operate", args=[only().pk, "cancel_move"])
        panel.post(page)
        assert only().next_bot is None
        with pytest.raises(NotPossible):
            move_cancel(watch_id=only().pk)

    def test_one_chat_is_moved_to_an_account_that_the_operator_chooses(self, world: World, other: Bot, panel: Client):
        join(world.parser, world.chat)
        page = reverse("admin:parser_watchedchat_operate", args=[only().pk, "move"])
        assert str(other) in panel.get(page).content.decode()
        shown = panel.post(page, {"account": other.pk}, follow=True).content.decode()
        assert f"is moved. {other} joins the chat. Until then {world.parser} reads on." in shown
        assert (only().bot, only().next_bot) == (world.parser, other)

    def test_an_account_that_is_chosen_by_hand_ends_the_move(self, world: World, other: Bot, panel: Client):
        moment = self.move(world, other)
        page = reverse("admin:parser_watchedchat_change", args=[only().pk])
        values = {"campaign": world.campaign.pk, "chat": world.chat.pk, "bot": other.pk, "topics_rule": "all"}
        assert panel.post(page, values).status_code == 302
        assert (only().bot, only().next_bot, only().handover_at, only().read_since) == (other, None, None, moment)
        before = timezone.now()
        assert panel.post(page, values | {"bot": world.parser.pk}).status_code == 302
        chosen = only()
        assert chosen.bot == world.parser and chosen.read_since is not None and chosen.read_since >= before
