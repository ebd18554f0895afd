"""Queries for the chats that parser bots read, and for hits."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import BigIntegerField, Count, Exists, F, Func, Q, QuerySet, Sum, Value
from django.db.models.functions import Cast, Concat, Now

from bots.accounts.states import BARRED
from bots.accounts.suitability import accounts_advice, bot_advice, bots_suitable
from bots.models import Bot, Role
from campaigns.models import Campaign, Chat, ChatPermission
from campaigns.permissions.validity import gap_at, permissions_given, permissions_in_force
from campaigns.selectors import at_telegram
from panelkit.labels import moment_with_zone
from parser.models import Hit, Keyword, MatchingSettings, WatchedChat


def campaigns_watching(*, bot_id: UUID, telegram_id: int, sent_at: datetime) -> list[WatchedChat]:
    """The watches for which a message counts that this account has read in a chat, each with its chat.

    `telegram_id` is, or was, the chat's marked id. While a chat moves to another account, each message counts for one
    of the two by the time when it was sent; `bot_id` of the returned rows is always the account that has read it.
    """
    permitted = permissions_in_force(purpose=ChatPermission.Grant.PARSE, now=Now())
    until = Q(handover_at=None) | Q(handover_at__gte=sent_at)
    since = Q(read_since=None) | Q(read_since__lt=sent_at)
    mine = Q(bot_id=bot_id) & until & since | Q(next_bot_id=bot_id, handover_at__lt=sent_at)
    watches = _watches(permitted).filter(mine, _read_as(telegram_id), _able(bot_id))
    found = list(watches.select_related("chat").order_by("campaign_id"))
    for watch in found:
        watch.bot_id = bot_id
    return found


def _read_as(telegram_id: int) -> Q:
    """Watches of the chat with this marked id, and of the channel whose discussion group it is."""
    return at_telegram([telegram_id], path="chat__") | Q(chat__discussion_id=telegram_id)


def watches_given(bot_ids: Collection[UUID] | None = None) -> list[tuple[UUID, UUID, UUID]]:
    """(account, chat, campaign) of the chats that these accounts, or all, have to be in, in the order of their rows.

    These are enabled parser bots in permitted chats of running campaigns, also in chats that move to them, and in
    chats that wait until an account has confirmed a changed reference.
    """
    watches = _watches(permissions_given(purpose=ChatPermission.Grant.PARSE, now=Now()))

    def of(account: str) -> QuerySet[WatchedChat, Any]:
        rows = watches.filter(**{f"{account}__enabled": True, f"{account}__role": Role.PARSER})
        if bot_ids is not None:
            rows = rows.filter(**{f"{account}_id__in": bot_ids})
        return rows.values_list("pk", f"{account}_id", "chat_id", "campaign_id")

    return [row[1:] for row in of("bot").union(of("next_bot")).order_by("pk")]


def _watches(permitted: QuerySet[ChatPermission]) -> QuerySet[WatchedChat]:
    """The watches of running campaigns in permitted chats."""
    return WatchedChat.objects.filter(campaign__state=Campaign.State.RUNNING, chat_id__in=permitted.values("chat_id"))


def _able(bot_id: UUID) -> Exists:
    return Exists(Bot.objects.filter(pk=bot_id, enabled=True, role=Role.PARSER))


def bots_wanted() -> set[UUID]:
    return {bot_id for bot_id, *_ in watches_given()}


def hit_of(*, event_id: UUID) -> Hit | None:
    """The hit that this NewTargetMessage event reported; None for another program's event."""
    return Hit.objects.filter(pk=event_id).first()


def hit_change(hit: Hit) -> str:
    """How the message has changed in the chat; "" if no change is known."""
    if hit.deleted_at is not None:
        return f"deleted in the chat at {moment_with_zone(hit.deleted_at)}"
    return f"edited in the chat at {moment_with_zone(hit.edited_at)}" if hit.edited_at is not None else ""


class Content(NamedTuple):
    """A campaign's keywords, by their number and a hash of all of them, and how they are compared with messages."""

    number: int
    keywords: int
    languages: tuple[str, ...]
    ignore_diacritics: bool


def matching_contents(*, campaign_ids: Collection[UUID]) -> dict[UUID, Content]:
    """What decides which messages match, for each of the campaigns that have keywords.

    The database computes the hashes, so no keywords are loaded.
    """
    keyword = Func(
        Concat(F("kind"), Value(":"), F("text")),
        Value(0),
        function="hashtextextended",
        output_field=BigIntegerField(),
    )
    rows = (
        Keyword.objects.filter(campaign_id__in=campaign_ids)
        .values("campaign_id")
        .annotate(number=Count("id"), content=Sum(Cast(keyword, BigIntegerField())))
    )
    settings = {each.campaign_id: each for each in MatchingSettings.objects.filter(campaign_id__in=campaign_ids)}
    default = MatchingSettings()
    found = {}
    for row in rows:
        chosen = settings.get(row["campaign_id"], default)
        found[row["campaign_id"]] = Content(
            row["number"], int(row["content"]), tuple(chosen.languages), chosen.ignore_diacritics
        )
    return found


def parsers_choosable() -> QuerySet[Bot]:
    """Accounts that can read chats now."""
    return bots_suitable(role=Role.PARSER, barred=BARRED, logged_in=True)


def parser_advice(bot: Bot) -> str:
    """Why this account cannot read chats, and what to do; "" if it can."""
    return bot_advice(bot, role=Role.PARSER, barred=BARRED, logged_in=True)


def parsers_advice(*, campaign_id: UUID) -> str:
    """Why no account can read the campaign's chats, and what to do; "" if one can, or if the campaign watches none."""
    advice = accounts_advice(Bot.objects.filter(watches__campaign_id=campaign_id), parser_advice)
    return f"No parser of the campaign can read its chats. {advice}" if advice else ""


def chats_readable() -> QuerySet[Chat]:
    permitted = permissions_given(purpose=ChatPermission.Grant.PARSE, now=Now())
    return Chat.objects.filter(pk__in=permitted.values("chat_id"))


def chat_advice(chat: Chat, now: datetime) -> str:
    """Why this chat cannot be read at `now`, and what to do; "" if it can."""
    gap = gap_at(chat, ChatPermission.Grant.PARSE, now)
    if gap is None or gap.unconfirmed:
        return ""
    return (
        f"{chat}: no permission to read it is in force: {gap.reason}. Ask the chat's owner for it, and record it on "
        "the chat's page."
    )
