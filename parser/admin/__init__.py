"""The admin pages of keywords, watched chats and hits. The campaign's page contains its keywords and watched chats."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RelatedDropdownFilter

from bots.chats.topics import topic_name
from campaigns.models import Campaign
from messaging.admin.parts import trace_link
from panelkit.base import FactAdmin, PanelAdmin, RowsInline
from panelkit.errors import NotPossible
from panelkit.forms.suitable import offer
from panelkit.labels import choice_label, text_column
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.registry import add_inline
from parser.admin import tallies  # noqa: F401 - it registers pages
from parser.admin.matching import MatchingSettingsInline
from parser.admin.repeats import repeated_in
from parser.admin.second_look import LookStateFilter, SecondLookInline, look_column, look_operations, look_summary
from parser.admin.watching import WatchedChatInline
from parser.lab.keyword_saving import keywords_changing
from parser.lab_pages import rows  # noqa: F401 - it registers pages
from parser.lab_pages.hit_marks import hit_explained
from parser.lab_pages.keyword_forms import KeywordForm, KeywordFormSet, campaigns_of
from parser.lab_pages.urls import lab_urls
from parser.models import Hit, Keyword
from parser.selectors import hit_change


class KeywordInline(RowsInline):
    model = Keyword
    formset = KeywordFormSet
    fields = ("kind", "text")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        made = super().get_formset(request, obj, **kwargs)
        made.by = str(request.user)
        return made


offer(KeywordForm, "parser.Keyword")

add_inline(Campaign, KeywordInline)
add_inline(Campaign, MatchingSettingsInline)
add_inline(Campaign, WatchedChatInline)
add_inline(Campaign, SecondLookInline)


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

    def get_urls(self) -> list[URLPattern]:
        return [*lab_urls(self.admin_site), *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        with keywords_changing(campaign_ids={obj.campaign_id, *campaigns_of([obj])}, by=str(request.user)):
            super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with keywords_changing(campaign_ids=campaigns_of([obj]), by=str(request.user)):
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Keyword]) -> None:
        with keywords_changing(campaign_ids=campaigns_of(queryset), by=str(request.user)):
            super().delete_queryset(request, queryset)


@admin.register(Hit)
class HitAdmin(FactAdmin):
    empty_hint = "A hit appears when a message in a watched chat contains a keyword of a running campaign."
    list_display = ("said_at", "person", "excerpt", "change", "keyword", "second_look", "chat", "campaign", "bot")
    list_filter = (
        ("campaign", RelatedDropdownFilter),
        LookStateFilter,
        ("chat", AutocompleteSelectFilter),
        ("said_at", RangeDateTimeFilter),
        ("deleted_at", RangeDateTimeFilter),
    )
    list_select_related = ("campaign", "chat", "bot", "look")
    search_fields = ("text", "username", "keyword", "=telegram_user_id")
    ordering = ("-created_at",)
    # Shown as marks in the message.
    exclude = ("reasons",)
    readonly_fields = ("matched", "trace", "repeated_in", "topic", "look_summary")
    trace = trace_link
    second_look = look_column
    look_summary = look_summary
    service_errors = (NotPossible,)
    operations = look_operations(right="parser.change_hitlook")

    excerpt = text_column("text", "message")

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {"all": ("parser/lab.css",)}

    @admin.display(description="keywords in the message")
    def matched(self, hit: Hit) -> str:
        return hit_explained(hit)

    @admin.display(description="change in the chat")
    def change(self, hit: Hit) -> str:
        return hit_change(hit)

    @admin.display(description="topic of the forum")
    def topic(self, hit: Hit) -> str:
        return topic_name(chat_id=hit.chat_id, topic_id=hit.topic_id) if hit.topic_id else "none"

    @admin.display(description="same text in")
    def repeated_in(self, hit: Hit) -> str:
        return repeated_in(hit)

    @admin.display(description="person", ordering="username")
    def person(self, hit: Hit) -> str:
        return f"@{hit.username}" if hit.username else str(hit.telegram_user_id)
