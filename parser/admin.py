"""The pages of keywords, watched chats and hits. The campaign's page also contains its keywords and watched chats."""

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RelatedDropdownFilter

from bots.accounts.suitability import with_logins
from campaigns.models import Campaign
from campaigns.pickers import OPEN_CAMPAIGN
from messaging.admin.parts import trace_link
from messaging.database.clock import database_clock
from panelkit.base import FactAdmin, PanelAdmin, RowsInline
from panelkit.forms.suitable import Suitable, SuitableForm, offer
from panelkit.labels import choice_label, text_column
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.registry import add_inline
from parser.models import Hit, Keyword, MatchingSettings, WatchedChat
from parser.selectors import chat_advice, chats_readable, hit_change, parser_advice, parsers_choosable


class KeywordInline(RowsInline):
    model = Keyword
    fields = ("kind", "text")


class WatchedChatForm(SuitableForm):
    suitable = {
        "bot": Suitable(lambda _row: parsers_choosable(), parser_advice),
        "chat": Suitable(lambda _row: chats_readable(), lambda chat: chat_advice(chat, database_clock())),
        "campaign": OPEN_CAMPAIGN,
    }


class KeywordForm(SuitableForm):
    suitable = {"campaign": OPEN_CAMPAIGN}


offer(WatchedChatForm, "parser.WatchedChat")
offer(KeywordForm, "parser.Keyword")


def _problem(watched: WatchedChat) -> str:
    """Why a stored row does not work now. The chat's permissions are prefetched."""
    if not watched.pk:
        return ""
    problems = (parser_advice(watched.bot), chat_advice(watched.chat, timezone.now()))
    return " ".join(filter(None, problems))


class WatchedChatInline(RowsInline):
    model = WatchedChat
    form = WatchedChatForm
    fields = ("chat", "bot", "problem")
    readonly_fields = ("problem",)
    autocomplete_fields = ("chat", "bot")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WatchedChat]:
        watched = super().get_queryset(request).select_related("chat")
        return watched.prefetch_related("chat__permissions", Prefetch("bot", with_logins()))

    @admin.display(description="problem")
    def problem(self, watched: WatchedChat) -> str:
        return _problem(watched)


add_inline(Campaign, KeywordInline)
add_inline(Campaign, WatchedChatInline)


@admin.register(Keyword)
class KeywordAdmin(PanelAdmin):
    form = KeywordForm
    empty_hint = "A message in a watched chat is a hit if it contains a keyword to match and no keyword to exclude."
    list_display = ("text", "kind_label", "campaign")
    list_filter = (("kind", ChoicesDropdownFilter), ("campaign", RelatedDropdownFilter))
    list_select_related = ("campaign",)
    search_fields = ("text", "campaign__name")
    autocomplete_fields = ("campaign",)
    ordering = ("campaign__name", "kind", "text")

    kind_label = choice_label("kind")


@admin.register(MatchingSettings)
class MatchingSettingsAdmin(PanelAdmin):
    empty_hint = "A campaign without matching settings detects the language of each word."
    list_display = ("campaign", "languages", "ignore_diacritics")
    list_filter = ("ignore_diacritics", ("campaign", RelatedDropdownFilter))
    list_select_related = ("campaign",)
    search_fields = ("campaign__name",)
    autocomplete_fields = ("campaign",)
    ordering = ("campaign__name",)


@admin.register(WatchedChat)
class WatchedChatAdmin(PanelAdmin):
    form = WatchedChatForm
    empty_hint = "Add a chat, its campaign and a parser account. The account then reads the chat for the campaign."
    list_display = ("chat", "campaign", "bot", "bot_state", "problem")
    list_filter = (("campaign", RelatedDropdownFilter), ("bot", AutocompleteSelectFilter))
    list_select_related = ("campaign", "chat")
    search_fields = ("chat__title", "chat__key", "chat__reference", "bot__key", "campaign__name")
    autocomplete_fields = ("campaign", "chat", "bot")
    ordering = ("campaign__name", "chat__key")

    @admin.display(description="account state", ordering="bot__state")
    def bot_state(self, watched: WatchedChat) -> str:
        return watched.bot.get_state_display()

    def get_queryset(self, request: HttpRequest) -> QuerySet[WatchedChat]:
        return super().get_queryset(request).prefetch_related("chat__permissions", Prefetch("bot", with_logins()))

    @admin.display(description="problem")
    def problem(self, watched: WatchedChat) -> str:
        return _problem(watched)


@admin.register(Hit)
class HitAdmin(FactAdmin):
    empty_hint = "A hit appears when a message in a watched chat contains a keyword of a running campaign."
    list_display = ("said_at", "person", "excerpt", "change", "keyword", "chat", "campaign", "bot")
    list_filter = (
        ("campaign", RelatedDropdownFilter),
        ("chat", AutocompleteSelectFilter),
        ("said_at", RangeDateTimeFilter),
        ("deleted_at", RangeDateTimeFilter),
    )
    list_select_related = ("campaign", "chat", "bot")
    search_fields = ("text", "username", "keyword", "=telegram_user_id")
    ordering = ("-created_at",)
    readonly_fields = ("trace",)
    trace = trace_link

    excerpt = text_column("text", "message")

    @admin.display(description="change in the chat")
    def change(self, hit: Hit) -> str:
        return hit_change(hit)

    @admin.display(description="person", ordering="username")
    def person(self, hit: Hit) -> str:
        return f"@{hit.username}" if hit.username else str(hit.telegram_user_id)
