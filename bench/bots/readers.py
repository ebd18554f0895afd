"""The accounts, chats and messages with which reading is measured, beside Telethon alone in the same chats."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.utils import timezone

from bench.bots.telegram import Telegram
from bots.models import Bot, BotSession, Role
from campaigns.models import Campaign, Chat, ChatPermission
from parser.models import Keyword, WatchedChat
from telegram.connection.session_store import StoredSession

# Accounts, the chats that each of them watches alone, and the campaigns that watch each chat.
ACCOUNTS, CHATS_EACH, CAMPAIGNS = 10, 4, 10
PEOPLE = 20
TERMS = 20
# One in so many messages contains a keyword, which is one campaign's.
HIT_EVERY = 50
# The words of the messages are drawn by frequency from so many. The length of a message varies around the median.
MEDIAN_WORDS, VOCABULARY = 15, 3_000
_SYLLABLES = ("ba", "con", "der", "fi", "gal", "hu", "jen", "ko", "lim", "mor", "nu", "pes", "ra", "sol", "ti", "vu")


@dataclass
class Readers:
    """Logged-in accounts, which are members of their chats: `bots` for the worker (not enabled yet), and the keys of
    others that Telethon alone connects with.
    """

    bots: list[Bot] = field(default_factory=list)
    bare_keys: list[str] = field(default_factory=list)
    chats: list[Chat] = field(default_factory=list)
    senders: list[int] = field(default_factory=list)

    def messages(self, count: int) -> list[tuple[int, int, str]]:
        """(sender, chat, text): the same with each call."""
        texts = _texts(random.Random(11))
        chats = [chat.telegram_id for chat in self.chats if chat.telegram_id is not None]
        return [
            (self.senders[number % PEOPLE], chats[number % len(chats)], _with_keyword(number, next(texts)))
            for number in range(count)
        ]

    def hits_in(self, count: int) -> int:
        return -(-count // HIT_EVERY)


def gather(telegram: Telegram) -> Readers:
    made = Readers(senders=[telegram.person(f"neighbour_{number}") for number in range(PEOPLE)])
    campaigns = [_campaign(number) for number in range(CAMPAIGNS)]
    for number in range(ACCOUNTS):
        bot = _bot(telegram, number)
        bare_id, text = telegram.account(f"bare_{number}", f"99965{number:05d}")
        key = StoredSession(text).auth_key
        assert key is not None
        made.bots.append(bot)
        made.bare_keys.append(key.key.hex())
        for place in range(CHATS_EACH):
            chat = _chat(telegram, f"market_{number}_{place}", [*made.senders, bot.telegram_user_id or 0, bare_id])
            made.chats.append(chat)
            WatchedChat.objects.bulk_create(WatchedChat(campaign=each, chat=chat, bot=bot) for each in campaigns)
    return made


def _bot(telegram: Telegram, number: int) -> Bot:
    phone = f"99964{number:05d}"
    user_id, text = telegram.account(f"reader_{number}", phone)
    bot = Bot.objects.create(
        key=f"reader-{number}", role=Role.PARSER, phone=f"+{phone}", telegram_user_id=user_id,
        username=f"reader_{number}", enabled=False,
    )  # fmt: skip
    BotSession.objects.create(bot=bot, data=text)
    return bot


def _campaign(number: int) -> Campaign:
    campaign = Campaign.objects.create(slug=f"market-{number}", name=f"Market {number}", state=Campaign.State.RUNNING)
    words = [_keyword(number), *(f"trade{number} word{place}" for place in range(TERMS - 1))]
    Keyword.objects.bulk_create([Keyword(campaign=campaign, text=word) for word in words])
    return campaign


def _keyword(number: int) -> str:
    return f"craftsman{number % CAMPAIGNS}"


def _chat(telegram: Telegram, name: str, members: list[int]) -> Chat:
    chat = Chat.objects.create(
        key=name.replace("_", "-"),
        reference=f"@{name}",
        telegram_id=telegram.chat(name, members),
        kind=Chat.Kind.SUPERGROUP,
        title=name.title(),
    )
    ChatPermission.objects.create(
        chat=chat, purpose=ChatPermission.Grant.PARSE, granted_by="the owner", granted_at=timezone.now(),
        evidence="a letter",
    )  # fmt: skip
    return chat


def _with_keyword(number: int, text: str) -> str:
    # The number: the same text by the same person again would be no hit of its own.
    return text if number % HIT_EVERY else f"{text} {_keyword(number // HIT_EVERY)} {number}"


def _texts(chance: random.Random) -> Iterator[str]:
    words = ["".join(chance.choices(_SYLLABLES, k=chance.randint(1, 4))) for _ in range(VOCABULARY)]
    by_rank = [1 / rank for rank in range(1, VOCABULARY + 1)]
    while True:
        length = max(1, round(chance.lognormvariate(math.log(MEDIAN_WORDS), 0.5)))
        yield " ".join(chance.choices(words, by_rank, k=length)).capitalize()
