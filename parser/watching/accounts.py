"""Chooses the accounts that watch chats, and decides whose chats may be moved at all."""

from collections import defaultdict
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from bots.accounts.suitability import with_logins
from bots.models import Bot, Presence, Role
from messaging.database.clock import database_clock
from panelkit.errors import NotPossible
from parser.models import WatchedChat
from parser.selectors import parser_advice

State = Bot.State
ADVICE = "Log in another parser account, or raise CHATS_PER_PARSER if Telegram lets your accounts into more chats"


@dataclass
class Account:
    """A parser account and its chats. `problem` is why no chat may be moved to or from it; "" if it works.

    `watched` are the chats that it reads or that move to it, `seats` these and all chats that it is in: Telegram limits
    the number of chats of an account.
    """

    bot: Bot
    problem: str
    watched: set[UUID] = field(default_factory=set)
    seats: set[UUID] = field(default_factory=set)

    def has_room(self, chat_id: UUID) -> bool:
        return chat_id in self.seats or len(self.seats) < settings.CHATS_PER_PARSER


def standstill(bot: Bot) -> str:
    """Why the account's chats wait for an operator and move nowhere, and what to do; "" if the account works.

    What Telegram restricts is a stop signal: no other account takes over the work of a restricted or banned one.
    """
    if bot.state == State.RESTRICTED:
        return f"{bot} is restricted: check it in Telegram and release it on its page."
    if bot.blocked_until is not None and bot.blocked_until > database_clock():
        return f"{bot} has to wait until {bot.blocked_until:%Y-%m-%d %H:%M} UTC because of Telegram."
    return parser_advice(bot)


def accounts() -> list[Account]:
    """All parser accounts, and other accounts that watch chats, by key."""
    watched: dict[UUID, set[UUID]] = defaultdict(set)
    for bot_id, next_id, chat_id in WatchedChat.objects.values_list("bot_id", "next_bot_id", "chat_id"):
        watched[next_id or bot_id].add(chat_id)
    seats: dict[UUID, set[UUID]] = defaultdict(set)
    for bot_id, chat_id in Presence.objects.filter(bot__role=Role.PARSER).values_list("bot_id", "chat_id"):
        seats[bot_id].add(chat_id)
    bots = with_logins().filter(Q(role=Role.PARSER) | Q(pk__in=watched)).defer("phone", "api_hash", "proxy_url")
    return [
        Account(bot, standstill(bot), watched[bot.pk], watched[bot.pk] | seats[bot.pk]) for bot in bots.order_by("key")
    ]


def account_choose(*, chat_id: UUID) -> Bot:
    """The account to watch this chat: one that watches it already, else the one with the fewest watched chats.

    Raises NotPossible if no account works and has room.
    """
    able = [account for account in accounts() if not account.problem]
    if not able:
        raise NotPossible("No parser account can read chats now. Choose an account to see the reason.")
    room = [account for account in able if account.has_room(chat_id)]
    if not room:
        raise NotPossible(f"Every parser account is in {settings.CHATS_PER_PARSER} chats. {ADVICE}.")
    return min(room, key=lambda account: (chat_id not in account.watched, len(account.watched))).bot
