"""Looks up chats by their Telegram ids, and campaigns' names."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q

from campaigns.models import Campaign, Chat


def chats_at(telegram_ids: Iterable[int]) -> dict[int, UUID]:
    """The chats with these marked ids, by marked id. A chat that was upgraded is found by its former id too."""
    wanted = set(telegram_ids)
    if not wanted:
        return {}
    found: dict[int, UUID] = {}
    rows = Chat.objects.filter(at_telegram(wanted)).values_list("id", "telegram_id", "upgraded_from_id")
    for chat_id, *ids in rows:
        found |= {telegram_id: chat_id for telegram_id in ids if telegram_id in wanted}
    return found


def at_telegram(telegram_ids: Iterable[int], *, path: str = "") -> Q:
    """Chats whose current or former marked id is one of these. `path` is the lookup prefix of the chat: "chat__"."""
    wanted = set(telegram_ids)
    return Q(**{f"{path}telegram_id__in": wanted}) | Q(**{f"{path}upgraded_from_id__in": wanted})


def campaign_names(ids: Iterable[UUID]) -> dict[UUID, str]:
    """The names of these campaigns by id, without campaigns that do not exist."""
    return dict(Campaign.objects.filter(id__in=list(ids)).values_list("id", "name"))
