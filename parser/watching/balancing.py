"""Proposes moves of watched chats between accounts. Only an operator carries them out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from bots.models import Bot, Presence
from campaigns.models import Chat
from parser.models import WatchedChat
from parser.watching.accounts import Account, accounts

# How many more chats one account has to watch than another before a move is worth it: of a chat that it has not
# joined, and of a chat that it has joined.
WORTH, JOINED_WORTH = 2, 10
# The most moves of one proposal.
MOST = 100


@dataclass(frozen=True)
class Move:
    """A chat that `source` watches, for all its campaigns, and that `target` would watch instead."""

    chat: Chat
    source: Bot
    target: Bot
    reason: str


@dataclass(frozen=True)
class Proposal:
    """`staying` are accounts whose chats do not move, each with the number of its chats and the reason."""

    moves: list[Move]
    staying: list[tuple[Bot, int, str]]


def moves_proposed() -> Proposal:
    found = accounts()
    able = [account for account in found if not account.problem]
    staying = [(account.bot, len(account.watched), account.problem) for account in found if account.problem]
    chosen = list(_moves(able))
    chats = Chat.objects.in_bulk({chat_id for chat_id, *_ in chosen})
    moves = [Move(chats[chat_id], source, target, reason) for chat_id, source, target, reason in chosen]
    return Proposal(moves, [stays for stays in staying if stays[1]])


def _moves(able: Sequence[Account]) -> Iterator[tuple[UUID, Bot, Bot, str]]:
    joined = set(Presence.objects.values_list("bot_id", "chat_id"))
    # Nobody can join a chat by its id: a member has to add the account.
    fixed = WatchedChat.objects.filter(Q(next_bot__isnull=False) | Q(chat__reference__regex=r"^-?\d+$"))
    moving = set(fixed.values_list("chat_id", flat=True))
    for _ in range(MOST):
        found = _next(able, joined, moving)
        if found is None:
            return
        chat_id, source, target = found
        inside = (source.bot.pk, chat_id) in joined
        how = "joins it and reads on" if inside else "joins it; no account has read it yet"
        numbers = f"{source.bot} watches {len(source.watched)} chats, {target.bot} {len(target.watched)}"
        moving.add(chat_id)
        source.watched.discard(chat_id)
        target.watched.add(chat_id)
        target.seats.add(chat_id)
        yield chat_id, source.bot, target.bot, f"{numbers}. {target.bot} {how}."


def _next(
    able: Sequence[Account], joined: set[tuple[UUID, UUID]], moving: set[UUID]
) -> tuple[UUID, Account, Account] | None:
    """The next move: from the account with the most chats to the one with the fewest, if it is worth it."""
    fewest = min((len(account.watched) for account in able), default=0)
    for source in sorted(able, key=lambda account: -len(account.watched)):
        if len(source.watched) - fewest < WORTH:
            return None
        # Chats that are not joined yet first: moving them costs nothing.
        by_cost = sorted(
            (chat_id for chat_id in source.watched if chat_id not in moving),
            key=lambda chat_id: ((source.bot.pk, chat_id) in joined, str(chat_id)),
        )
        for chat_id in by_cost:
            least = JOINED_WORTH if (source.bot.pk, chat_id) in joined else WORTH
            room = [account for account in able if account is not source and account.has_room(chat_id)]
            target = min(room, key=lambda account: len(account.watched), default=None)
            if target is not None and len(source.watched) - len(target.watched) >= least:
                return chat_id, source, target
    return None
