"""The order in which a parser account joins its chats, and when it will join each of them."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from bots.chats.joins import DAY, JoinSlot, join_slots
from bots.models import JoinRequest, Presence
from campaigns.models import Chat
from messaging.database.clock import database_clock
from parser.selectors import watches_given


def chats_of(*, bot_id: UUID) -> list[Chat]:
    """The chats that the account reads: first those that it is in, then the others in the order of joining."""
    watched = _Watched([bot_id])
    chats = Chat.objects.in_bulk(watched.campaigns[bot_id].keys())
    inside = sorted(chats.keys() & watched.inside[bot_id], key=lambda chat_id: chats[chat_id].key)
    return [chats[chat_id] for chat_id in (*inside, *watched.to_join(bot_id)) if chat_id in chats]


def joins_expected(bot_ids: Collection[UUID]) -> dict[tuple[UUID, UUID], JoinSlot]:
    """When each account that is allowed to join will join its chats, by account and chat.

    Chats that the account is in, or has asked to join lately, are left out.
    """
    now = database_clock()
    watched = _Watched(bot_ids)
    expected: dict[tuple[UUID, UUID], JoinSlot] = {}
    for bot_id in bot_ids:
        asked = watched.asked[bot_id]
        waiting = [chat_id for chat_id in watched.to_join(bot_id) if chat_id not in asked]
        slots = join_slots(sorted(asked.values()), now=now, count=len(waiting))
        expected |= {(bot_id, chat_id): slot for chat_id, slot in zip(waiting, slots, strict=True)}
    return expected


class _Watched:
    """What some accounts watch, in a few queries: all dictionaries are by account."""

    def __init__(self, bot_ids: Collection[UUID]) -> None:
        # chat → the campaigns that watch it, in the order in which operators added the chats.
        self.campaigns: dict[UUID, dict[UUID, list[UUID]]] = defaultdict(dict)
        self.inside: dict[UUID, set[UUID]] = defaultdict(set)
        # chat → when the account last asked to join it, within a day; only for accounts that have chats to join.
        self.asked: dict[UUID, dict[UUID, datetime]] = defaultdict(dict)
        for bot_id, chat_id, campaign_id in watches_given(bot_ids):
            self.campaigns[bot_id].setdefault(chat_id, []).append(campaign_id)
        for bot_id, chat_id in Presence.objects.filter(bot_id__in=bot_ids).values_list("bot_id", "chat_id"):
            self.inside[bot_id].add(chat_id)
        # Most accounts are in all their chats, and each asks every few seconds.
        if joining := [bot_id for bot_id in bot_ids if self.campaigns[bot_id].keys() - self.inside[bot_id]]:
            requests = JoinRequest.objects.filter(bot_id__in=joining, at__gt=database_clock() - DAY)
            for bot_id, chat_id, at in requests.values_list("bot_id", "chat_id", "at"):
                self.asked[bot_id][chat_id] = at

    def to_join(self, bot_id: UUID) -> list[UUID]:
        chats = self.campaigns[bot_id]
        waiting = {chat: campaigns for chat, campaigns in chats.items() if chat not in self.inside[bot_id]}
        lately = [campaign for chat in self.asked[bot_id] for campaign in chats.get(chat, ())]
        return list(in_turn(waiting, lately))


def in_turn(waiting: Mapping[UUID, Sequence[UUID]], lately: Collection[UUID]) -> Iterator[UUID]:
    """The waiting chats in an order that is fair to their campaigns: the one with the fewest joins is next.

    `waiting` maps each chat to its campaigns, `lately` has a campaign once for each chat that was joined for it.
    """
    joins = Counter(lately)
    queues: dict[UUID, list[UUID]] = defaultdict(list)
    for chat, campaigns in waiting.items():
        for campaign in campaigns:
            queues[campaign].append(chat)
    done = set[UUID]()
    while queues:
        campaign = min(queues, key=lambda campaign: joins[campaign])
        chat = queues[campaign].pop(0)
        if not queues[campaign]:
            del queues[campaign]
        if chat not in done:
            done.add(chat)
            joins.update(waiting[chat])
            yield chat
