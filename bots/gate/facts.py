"""Reads and locks the facts for the gate, for a batch of deliveries at once.

Every claim takes the locks in this order: campaigns, the rows of the origins in the order of the origins' names, chats,
suppressions, bots, deliveries, budgets.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from bots.accounts.suitability import login_problem
from bots.gate.budgets import BudgetBook
from bots.gate.origins import origin_verdicts, origins_lock
from bots.gate.row_locks import Statement, execute, locking, select, selecting
from bots.gate.rules import Facts, FloodWait
from bots.gate.verdicts import Refuse
from bots.models import Bot, BotBlock, Delivery
from campaigns.identifiers import plain_username
from campaigns.models import Campaign, Chat, ChatPermission, Purpose
from campaigns.permissions.validity import permission_gaps_of_rows, permission_gaps_query
from campaigns.policy.disclosure import is_disclosed
from campaigns.policy.locks import SUPPRESSIONS_LOCK_SHARED
from campaigns.selectors import chats_at
from campaigns.suppressions.lookup import suppressed

State = Delivery.State

# Telegram's methods that sending needs: always; for a person known by username only; to find a message in the history.
_SEND = {"SendMessage", ""}
_RESOLVE = {"ResolveUsername"}
_HISTORY = {"GetHistory", "Search", "GetMessages"}

BEHIND = "The account has to send an earlier message to the same chat or person first."

ORIGIN_GONE = "The play or conversation that this message belongs to no longer exists."


@dataclass(frozen=True)
class BotOwner:
    """The process that owns a bot: the epoch of its lease, and the chats that the account is a member of."""

    epoch: int
    chats: frozenset[UUID]


@dataclass(frozen=True)
class Key:
    """The columns of a delivery that are needed to lock the rows that the gate reads about it."""

    id: UUID
    bot_id: UUID
    campaign_id: UUID
    chat_id: UUID | None
    via_chat_id: int | None
    origin: str
    origin_id: UUID


@dataclass(frozen=True)
class LockedRows:
    """The rows that a claim has locked, by id. They cannot change until the transaction ends."""

    campaigns: Mapping[UUID, Campaign]
    chats: Mapping[UUID, Chat]
    bots: Mapping[UUID, Bot]


# Turns off PostgreSQL's JIT. The planner overestimates the rows in the windows of budgets, and would compile the query
# for many windows, which takes thirty times as long as running the query.
_UNCOMPILED = Statement("SELECT set_config('jit', 'off', true)", ())
# Encrypted columns of bots, which the gate does not need.
_SECRETS = ("phone", "api_hash", "proxy_url")


def gate_rows_lock(keys: Sequence[Key]) -> LockedRows:
    """Lock the rows that the gate reads about these deliveries, until the transaction ends.

    This takes the locks of the module's order up to bots. Returns the locked campaigns, chats and bots.
    """
    (campaigns,) = execute(locking(Campaign, {key.campaign_id for key in keys}, "FOR SHARE"))
    origins_lock((key.origin, key.origin_id) for key in keys)
    _, chats, _, bots = execute(
        _UNCOMPILED,
        locking(Chat, _chats(keys), "FOR SHARE"),
        Statement(SUPPRESSIONS_LOCK_SHARED[0], SUPPRESSIONS_LOCK_SHARED[1:]),
        # Exclusive: of two processes that both believe that they own a bot, the second waits for the first one's claim
        # and sees it.
        locking(Bot, {key.bot_id for key in keys}, "FOR NO KEY UPDATE", deferred=_SECRETS),
    )
    return LockedRows(campaigns, chats, bots)


def _chats(keys: Sequence[Key]) -> set[UUID]:
    """The chats that the deliveries go to, and those through which the bot reaches a person (`via_chat_id`)."""
    via = {key.via_chat_id for key in keys if key.via_chat_id is not None}
    known = set(chats_at(via).values())
    return known | {key.chat_id for key in keys if key.chat_id is not None}


def locked_deliveries(keys: Sequence[Key], locked: LockedRows, state: Delivery.State) -> list[Delivery]:
    """Lock the deliveries that are still in `state`; return them in sending order, with the related rows for the facts.

    Deliveries that another transaction has locked are left out.
    """
    wanted = "WHERE id = ANY(%s) AND state = %s ORDER BY due_at, created_at, id FOR UPDATE SKIP LOCKED"
    deliveries = select(Delivery, wanted, [[key.id for key in keys], state])
    replied_to = _replied_to(deliveries)
    for delivery in deliveries:
        delivery.campaign, delivery.bot = locked.campaigns[delivery.campaign_id], locked.bots[delivery.bot_id]
        delivery.chat = None if delivery.chat_id is None else locked.chats[delivery.chat_id]
        delivery.reply_to = None if delivery.reply_to_id is None else replied_to[delivery.reply_to_id]
    return deliveries


def _replied_to(deliveries: Sequence[Delivery]) -> dict[UUID, Delivery]:
    """The deliveries that these reply to, with their bots, by id."""
    ids = {delivery.reply_to_id for delivery in deliveries if delivery.reply_to_id is not None}
    if not ids:
        return {}
    secrets = (f"bot__{name}" for name in _SECRETS)
    return {row.pk: row for row in Delivery.objects.filter(pk__in=ids).select_related("bot").defer(*secrets)}


def with_facts(deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Load the related rows that the facts are read from, without the accounts' secrets."""
    secrets = (f"{path}__{name}" for path in ("bot", "reply_to__bot") for name in _SECRETS)
    return deliveries.select_related("campaign", "chat", "bot", "reply_to", "reply_to__bot").defer(*secrets)


class GateFacts:
    """The facts about a batch of locked deliveries at `now`."""

    def __init__(
        self, deliveries: Sequence[Delivery], owners: Mapping[UUID, BotOwner], now: datetime, book: BudgetBook | None
    ) -> None:
        """Pass no `book` for deliveries that are claimed already: budgets and sending order no longer concern them."""
        self._owners, self._now, self._book = owners, now, book
        self._logged_in: dict[UUID, bool] = {}
        self._origins = origin_verdicts(deliveries, now=now)
        chat_ids = {delivery.chat_id for delivery in deliveries if delivery.chat_id is not None}
        permissions, self._flood_waits, self._heads = execute(
            Statement(*permission_gaps_query(chat_ids=chat_ids, purpose=ChatPermission.Grant.SCRIPT)),
            _flood_waits(deliveries, now),
            _heads(deliveries),
        )
        self._gaps = permission_gaps_of_rows(permissions, chat_ids=chat_ids, now=now)
        self._suppressed = suppressed(
            user_ids=[delivery.peer_id for delivery in deliveries if delivery.peer_id is not None],
            usernames=[delivery.peer_username for delivery in deliveries],
        )
        if book is None:
            self._heads = {}
        else:
            book.open(now)

    def facts(self, delivery: Delivery) -> Facts:
        bot, campaign, chat = delivery.bot, delivery.campaign, delivery.chat
        owner = self._owners.get(bot.id)
        owned = self._owned(bot, owner)
        return Facts(
            now=self._now,
            purpose=delivery.purpose,
            bot=str(bot),
            owned=owned,
            logged_in=owned or self._is_logged_in(bot),
            bot_state=bot.state,
            bot_state_reason=bot.state_reason,
            met_restriction=delivery.error_kind == "bot_restricted",
            flood_waits=self._flood_waits_of(delivery),
            blocked_until=bot.blocked_until,
            campaign=str(campaign),
            campaign_state=campaign.state,
            time_zone=campaign.time_zone,
            quiet_from=campaign.quiet_from,
            quiet_to=campaign.quiet_to,
            origin=self._origins.get(delivery.id, Refuse(ORIGIN_GONE)),
            suppressed=chat is None and self._suppressed.covers(delivery.peer_id, delivery.peer_username),
            disclosed=delivery.purpose != Purpose.FIRST_CONTACT or is_disclosed(delivery.text, campaign.locale),
            chat=None if chat is None else str(chat),
            in_supergroup=chat is not None and chat.kind == Chat.Kind.SUPERGROUP,
            permission_gap=None if delivery.chat_id is None else self._gaps.get(delivery.chat_id),
            chat_labelled=chat is not None and bool(chat.label.strip()),
            member=owner is not None and delivery.chat_id in owner.chats,
            replies_to=None if delivery.reply_to is None else delivery.reply_to.state,
            ahead=BEHIND if self._heads.get(_place(delivery), delivery.id) != delivery.id else "",
            full_budgets=() if self._book is None else self._book.full(delivery),
        )

    def _is_logged_in(self, bot: Bot) -> bool:
        """Cached for each bot. Called only for bots that are not owned, since an owned bot is logged in."""
        if bot.pk not in self._logged_in:
            self._logged_in[bot.pk] = not login_problem(bot)
        return self._logged_in[bot.pk]

    def _owned(self, bot: Bot, owner: BotOwner | None) -> bool:
        leased = bot.lease_expires_at is not None and bot.lease_expires_at > self._now
        return owner is not None and leased and bot.lease_epoch == owner.epoch

    def _flood_waits_of(self, delivery: Delivery) -> tuple[FloodWait, ...]:
        return tuple(
            FloodWait(wait.until, wait.reason)
            for wait in self._flood_waits.get(delivery.bot_id, ())
            if wait.method in _methods(delivery) and wait.peer_id in (0, destination_id(delivery))
        )


def destination_id(delivery: Delivery) -> int | None:
    """The marked id of the chat, or the person's id; None if it is not known."""
    return delivery.chat.telegram_id if delivery.chat is not None else delivery.peer_id


def needs_reply_lookup(delivery: Delivery) -> bool:
    """Whether the bot must look up its own number of the message that it replies to.

    This is so for another bot's message in a basic group, where every account numbers messages itself.
    """
    reply_to, chat = delivery.reply_to, delivery.chat
    if reply_to is None or chat is None or reply_to.bot_id == delivery.bot_id:
        return False
    return chat.kind != Chat.Kind.SUPERGROUP


def _methods(delivery: Delivery) -> set[str]:
    by_name = delivery.chat_id is None and delivery.peer_id is None
    return _SEND | (_RESOLVE if by_name else set()) | (_HISTORY if needs_reply_lookup(delivery) else set())


def _flood_waits(deliveries: Sequence[Delivery], now: datetime) -> Statement:
    """The flood waits of the deliveries' bots, by bot."""
    bots = list({delivery.bot_id for delivery in deliveries})
    wanted = selecting(BotBlock, "WHERE bot_id = ANY(%s) AND until > %s", [bots, now])

    def by_bot(rows: list[Any]) -> dict[UUID, list[BotBlock]]:
        found: dict[UUID, list[BotBlock]] = defaultdict(list)
        for wait in wanted.read(rows):
            found[wait.bot_id].append(wait)
        return found

    return wanted._replace(read=by_bot)


Place = tuple[UUID, UUID | None, int | None, str, UUID, str]


def _place(delivery: Delivery) -> Place:
    """The queue that a delivery belongs to: deliveries with the same place are sent in order."""
    to = (delivery.chat_id, delivery.peer_id, delivery.peer_username)
    return _place_of(delivery.bot_id, *to, delivery.campaign_id, delivery.purpose)


def _place_of(
    bot_id: UUID, chat_id: UUID | None, peer_id: int | None, username: str, campaign_id: UUID, purpose: str
) -> Place:
    name = "" if peer_id is not None else plain_username(username)
    return bot_id, chat_id, peer_id, name, campaign_id, purpose


_FIRST_IN_LINE = """
    SELECT DISTINCT ON (bot_id, chat_id, peer_id, peer_username, campaign_id, purpose)
        bot_id, chat_id, peer_id, peer_username, campaign_id, purpose, due_at, created_at, id
    FROM bots_delivery WHERE state = 'queued' AND bot_id = ANY(%s)
        AND (chat_id = ANY(%s) OR peer_id = ANY(%s) OR peer_username = ANY(%s))
    ORDER BY bot_id, chat_id, peer_id, peer_username, campaign_id, purpose, due_at, created_at, id
"""


def _heads(deliveries: Sequence[Delivery]) -> Statement:
    """The queued delivery to be sent first, for each place in the batch."""
    attributes = ("bot_id", "chat_id", "peer_id", "peer_username")
    values = [list({getattr(delivery, name) for delivery in deliveries} - {None, ""}) for name in attributes]
    return Statement(_FIRST_IN_LINE, values, _by_place)


def _by_place(rows: list[Any]) -> dict[Place, UUID]:
    heads: dict[Place, tuple[datetime, datetime, UUID]] = {}
    for bot_id, chat_id, peer_id, username, campaign_id, purpose, *turn in rows:
        place = _place_of(bot_id, chat_id, peer_id, username, campaign_id, purpose)
        heads[place] = min(heads.get(place, tuple(turn)), tuple(turn))
    return {place: delivery_id for place, (_, _, delivery_id) in heads.items()}
