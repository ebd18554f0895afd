"""The admin pages of what is recorded about accounts: sessions, state changes, flood waits, cursors, incidents."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display

from bots.admin.accounts import BotAdmin
from bots.models import BotBlock, BotSession, BotStateChange, Cursor, ForumTopic, Incident
from panelkit.base import FactAdmin
from panelkit.labels import choice_label
from panelkit.lists.filters import RangeDateTimeFilter


@admin.register(BotSession)
class BotSessionAdmin(FactAdmin):
    """Shows that a session is stored. The session itself stays in the database."""

    empty_hint = "No account is logged in. The session is stored here when an account logs in."
    secret_fields = ("data",)
    fields = ("bot", "updated_at")
    list_display = ("bot", "stored", "updated_at")
    list_filter = (("updated_at", RangeDateTimeFilter),)
    list_select_related = ("bot",)
    search_fields = ("bot__key", "bot__display_name")
    ordering = ("bot__key",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BotSession]:
        return super().get_queryset(request).defer("data", *(f"bot__{name}" for name in BotAdmin.secret_fields))

    @display(description="session")
    def stored(self, session: BotSession) -> str:
        return "stored, encrypted"


@admin.register(BotStateChange)
class BotStateChangeAdmin(FactAdmin):
    empty_hint = "Each change of an account's state is listed here with its reason."
    list_display = ("at", "bot", "state_label", "reason")
    list_filter = (("state", ChoicesDropdownFilter), ("bot", AutocompleteSelectFilter), ("at", RangeDateTimeFilter))
    list_select_related = ("bot",)
    search_fields = ("bot__key", "bot__display_name", "reason")

    state_label = choice_label("state")


@admin.register(BotBlock)
class BotBlockAdmin(FactAdmin):
    empty_hint = "No account is in a flood wait. When Telegram asks an account to wait, the flood wait is listed here."
    list_display = ("bot", "reason", "method", "peer_id", "until")
    list_filter = (("bot", AutocompleteSelectFilter), ("until", RangeDateTimeFilter))
    list_select_related = ("bot",)
    search_fields = ("bot__key", "method", "reason", "=peer_id")
    ordering = ("-until",)


@admin.register(ForumTopic)
class ForumTopicAdmin(FactAdmin):
    empty_hint = "The topics of the forums that accounts read are listed here."
    list_display = ("title", "topic_id", "chat", "updated_at")
    list_filter = (("chat", AutocompleteSelectFilter),)
    list_select_related = ("chat",)
    search_fields = ("title", "=topic_id", "chat__key", "chat__title")
    ordering = ("chat__key", "title")


@admin.register(Cursor)
class CursorAdmin(FactAdmin):
    empty_hint = "Every chat that an account has read is listed here, with the last message that the account read."
    list_display = ("bot", "peer_id", "last_message_id", "gaps", "gap_messages", "updated_at")
    list_filter = (("bot", AutocompleteSelectFilter),)
    list_select_related = ("bot",)
    search_fields = ("bot__key", "=peer_id")
    ordering = ("bot__key", "peer_id")


@admin.register(Incident)
class IncidentAdmin(FactAdmin):
    empty_hint = "No incidents are open."
    list_display = ("last_at", "key", "reason", "count", "since")
    list_filter = (("last_at", RangeDateTimeFilter),)
    search_fields = ("key", "reason")
    ordering = ("-last_at",)
