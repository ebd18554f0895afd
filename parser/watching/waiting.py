"""Why a watched chat is not read now and what the operator does about it, and how far its move is."""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from bots.accounts.states import BARRED
from bots.accounts.suitability import with_logins
from bots.chats.entry_refusals import entry_incident
from bots.chats.joins import JoinSlot
from bots.models import Bot, Incident, Presence
from messaging.database.clock import database_clock
from panelkit.labels import moment_with_zone
from parser.models import WatchedChat
from parser.selectors import chat_advice, parser_advice
from parser.watching.joining import joins_expected
from parser.watching.moves import move_state

STAYS = "Until then the chat waits: CoolThing never gives it to another account by itself."


def statuses_of(watches: Collection[WatchedChat]) -> dict[int, str]:
    """What each of these stored rows waits for, by primary key; "" if the chat is read and stays with its account.

    The rows' chats with their permissions, and their accounts, are loaded (`with_facts`).
    """
    now = database_clock()
    bot_ids = {watch.bot_id for watch in watches}
    inside = set(Presence.objects.filter(bot_id__in=bot_ids).values_list("bot_id", "chat_id"))
    refused = _refusals(watches)
    slots = joins_expected(bot_ids)
    found = {}
    for watch in watches:
        place = (watch.bot_id, watch.chat_id)
        parts = [account_problem(watch.bot, inside=place in inside), chat_advice(watch.chat, now)]
        if watch.next_bot is not None:
            parts.append(move_state(watch, watch.bot, watch.next_bot))
        if not any(parts):
            parts = [refused.get(place, "") or _when_joined(watch.bot, slots.get(place), now)]
        found[watch.pk] = " ".join(filter(None, parts))
    return found


def with_facts(watches: QuerySet[WatchedChat]) -> QuerySet[WatchedChat]:
    """The rows with what `problems_of` needs."""
    rows = watches.select_related("chat", "campaign")
    return rows.prefetch_related(
        "chat__permissions", Prefetch("bot", with_logins()), Prefetch("next_bot", with_logins())
    )


def account_problem(bot: Bot, *, inside: bool) -> str:
    """Why the account does not read a chat that it is, or is not, `inside`; "" if it does."""
    advice = parser_advice(bot)
    if advice and bot.state in BARRED:
        reason = f" Reason: {bot.state_reason}." if bot.state_reason else ""
        return f"{advice}{reason} {STAYS}"
    if not advice and bot.state == Bot.State.RESTRICTED and not inside:
        return (
            f"{bot} is restricted ({bot.state_reason}) and joins no chats: check it in Telegram and release it on its "
            f"page, or choose another account. {STAYS}"
        )
    return advice


def _refusals(watches: Iterable[WatchedChat]) -> dict[tuple[UUID, UUID], str]:
    """The open incidents about accounts that cannot enter these chats, as sentences."""
    keys = {entry_incident(bot_id=watch.bot_id, chat_id=watch.chat_id): watch for watch in watches}
    incidents = Incident.objects.filter(key__in=keys).values_list("key", "reason")
    return {(keys[key].bot_id, keys[key].chat_id): f"{reason[:1].upper()}{reason[1:]}." for key, reason in incidents}


def _when_joined(bot: Bot, slot: JoinSlot | None, now: datetime) -> str:
    if slot is None:
        return ""
    if bot.state == Bot.State.WAITING and bot.state_until is not None and bot.state_until > now:
        return (
            f"Joins the chat when the account has waited until {moment_with_zone(bot.state_until)}: {bot.state_reason}."
        )
    if slot.limit:
        return f"Joins at about {slot.at:%H:%M} UTC{_day(slot.at, now)}: {slot.limit}."
    return "Joins the chat within a minute." if bot.lease_expires_at else "Joins the chat when the account connects."


def _day(at: datetime, now: datetime) -> str:
    return "" if at.date() == now.date() else f" on {at:%Y-%m-%d}"
