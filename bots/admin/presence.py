"""The admin pages of presences (which account was in which chat at the last check) and of requests to join."""

from django.contrib import admin
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from bots.models import JoinRequest, Presence
from panelkit.base import FactAdmin
from panelkit.lists.filters import RangeDateTimeFilter


@admin.register(Presence)
class PresenceAdmin(FactAdmin):
    empty_hint = "No account is in a chat yet. When an account joins a chat, the chat is listed here."
    list_display = ("bot", "chat", "peer_id", "since")
    list_filter = (("bot", AutocompleteSelectFilter), ("chat", AutocompleteSelectFilter))
    list_select_related = ("bot", "chat")
    search_fields = ("bot__key", "chat__key", "chat__title", "=peer_id")
    ordering = ("bot__key", "chat__key")


@admin.register(JoinRequest)
class JoinRequestAdmin(FactAdmin):
    empty_hint = "No account has asked to join a chat yet. Accounts join the chats that they watch or play in."
    list_display = ("at", "bot", "chat")
    list_filter = (
        ("bot", AutocompleteSelectFilter),
        ("chat", AutocompleteSelectFilter),
        ("at", RangeDateTimeFilter),
    )
    list_select_related = ("bot", "chat")
    search_fields = ("bot__key", "chat__key", "chat__title")
    ordering = ("-at",)
