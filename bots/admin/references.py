"""Links between pages: which account confirms a chat's changed reference, and which chat an incident is about."""

from typing import Any

from django.http import HttpRequest

from bots.accounts.incidents import chats_about
from bots.chats.identity import unconfirmed_reason
from bots.chats.references import insiders
from bots.models import Bot, Incident, Presence
from campaigns.models import Chat
from messaging.database.clock import database_clock
from panelkit.labels import page_of
from panelkit.registry import Link, Section, add_link, add_section
from panelkit.rights import may_view


def confirming(chat: Chat) -> dict[str, Any]:
    """The context of a chat's section about its changed reference.

    `accounts` are the accounts in the chat, `able` is the number of those that can check the reference, `told` is the
    problem of the last check.
    """
    if chat.reference_changed_at is None:
        return {"waits": False}
    now = database_clock()
    able = set(insiders().filter(chat=chat).values_list("bot_id", flat=True))
    there = Presence.objects.filter(chat=chat).select_related("bot").order_by("bot__key")
    accounts = [(presence.bot, _does(presence.bot, able=presence.bot_id in able, now=now)) for presence in there]
    permitted = chat.permissions.filter(revoked_at__isnull=True).exists()
    return {
        "waits": True,
        "chat": chat,
        "accounts": accounts,
        "able": len(able),
        "told": unconfirmed_reason(chat),
        "permitted": permitted,
    }


def _does(bot: Bot, *, able: bool, now: Any) -> str:
    if not able:
        return "cannot check it: the account is disabled, logged out, stopped or banned"
    if bot.blocked_until is not None and bot.blocked_until > now:
        return "checks it when the wait that Telegram asked for is over"
    connected = bot.lease_expires_at is not None and bot.lease_expires_at > now
    return "checks it within seconds" if connected else "checks it as soon as it is connected"


def _chat_page(incident: Incident) -> str:
    chat = chats_about([incident]).get(incident.key)
    return page_of(chat) if chat is not None else ""


def _may_see_chats(request: HttpRequest) -> bool:
    return may_view(request.user, "campaigns.Chat")


add_section(Chat, Section("bots/confirming.html", confirming))
add_link(Incident, Link("Open the chat", "forum", _chat_page, _may_see_chats))
