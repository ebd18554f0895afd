"""Links between pages: which account confirms a chat's changed reference, and which chat an incident is about."""

from typing import Any

from django.http import HttpRequest

from bots.accounts.incidents import chats_about
from bots.chats.identity import unconfirmed_reason
from bots.chats.references import connectable_presences
from bots.models import Bot, Incident, Presence
from campaigns.models import Chat
from messaging.database.clock import database_clock
from panelkit.labels import page_of
from panelkit.registry import Link, Section, add_link, add_section
from panelkit.rights import may_view


def confirmation(chat: Chat) -> dict[str, Any]:
    """The context of a chat's section about its changed reference.

    `accounts` are the accounts in the chat with what each does next, `able` is the number of those that can check the
    reference, `problem` is why the last check failed.
    """
    if chat.reference_changed_at is None:
        return {"pending": False}
    now = database_clock()
    able = set(connectable_presences().filter(chat=chat).values_list("bot_id", flat=True))
    present = Presence.objects.filter(chat=chat).select_related("bot").order_by("bot__key")
    accounts = [(row.bot, _next_step(row.bot, able=row.bot_id in able, now=now)) for row in present]
    permitted = chat.permissions.filter(revoked_at__isnull=True).exists()
    return {
        "pending": True,
        "chat": chat,
        "accounts": accounts,
        "able": len(able),
        "problem": unconfirmed_reason(chat),
        "permitted": permitted,
    }


def _next_step(bot: Bot, *, able: bool, now: Any) -> str:
    if not able:
        return "Cannot check the reference: the account is disabled, logged out, stopped or banned"
    if bot.blocked_until is not None and bot.blocked_until > now:
        return "The reference is checked when the account's flood wait ends"
    connected = bot.lease_expires_at is not None and bot.lease_expires_at > now
    return "The reference is checked " + ("within seconds" if connected else "once the account is connected")


def _chat_page(incident: Incident) -> str:
    chat = chats_about([incident]).get(incident.key)
    return page_of(chat) if chat is not None else ""


def _may_see_chats(request: HttpRequest) -> bool:
    return may_view(request.user, "campaigns.Chat")


add_section(Chat, Section("bots/reference_confirmation.html", confirmation))
add_link(Incident, Link("Open the chat", "forum", _chat_page, _may_see_chats))
