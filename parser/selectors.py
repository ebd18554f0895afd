"""Queries for the chats that parser bots read, and for hits."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import BigIntegerField, Count, F, Func, QuerySet, Sum, Value
from django.db.models.functions import Cast, Concat, Now

from bots.accounts.states import BARRED
from bots.accounts.suitability import accounts_advice, bot_advice, bots_suitable
from bots.models import Bot, Role
from campaigns.models import Campaign, Chat, ChatPermission
from campaigns.permissions.validity import gap_at, permissions_given, permissions_in_force
from campaigns.selectors import at_telegram
from panelkit.labels import moment_with_zone
from parser.models import Hit, Keyword, MatchingSettings, WatchedChat


def watches_in_force() -> QuerySet[WatchedChat]:
    """Enabled parser bots in permitted chats of running campaigns, by the database's clock."""
    return _watches(permissions_in_force(purpose=ChatPermission.Grant.PARSE, now=Now()))


def watches_given() -> QuerySet[WatchedChat]:
    """Like `watches_in_force`, and also those that wait until an account has confirmed the chat's changed reference."""
    return _watches(permissions_given(purpose=ChatPermission.Grant.PARSE, now=Now()))


def _watches(permitted: QuerySet[ChatPermission]) -> QuerySet[WatchedChat]:
    return WatchedChat.objects.filter(
        campaign__state=Campaign.State.RUNNING,
        bot__enabled=True,
        bot__role=Role.PARSER,
        chat_id__in=permitted.values("chat_id"),
    )


def bots_wanted() -> set[UUID]:
    return set(watches_given().values_list("bot_id", flat=True))


def campaigns_watching(*, bot_id: UUID, telegram_id: int) -> list[WatchedChat]:
    """The bot's watches of the chat that has, or had, this marked id, each with its chat."""
    watches = watches_in_force().filter(at_telegram([telegram_id], path="chat__"), bot_id=bot_id)
    return list(watches.select_related("chat").order_by("campaign_id"))


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
