"""The admin pages of watched chats: which account reads which chat for which campaign, and why one does not."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RelatedDropdownFilter
from unfold.views import ChangeList

from campaigns.models import Campaign
from campaigns.pickers import OPEN_CAMPAIGN
from messaging.database.clock import database_clock
from panelkit.base import PanelAdmin, RowsInline
from panelkit.forms.suitable import Suitable, SuitableForm, offer
from parser.models import WatchedChat
from parser.selectors import chat_advice, chats_readable, parser_advice, parsers_choosable
from parser.watching.waiting import problems_of, with_facts


class WatchedChatForm(SuitableForm):
    suitable = {
        "bot": Suitable(lambda _row: parsers_choosable(), parser_advice),
        "chat": Suitable(lambda _row: chats_readable(), lambda chat: chat_advice(chat, database_clock())),
        "campaign": OPEN_CAMPAIGN,
    }


offer(WatchedChatForm, "parser.WatchedChat")


class WatchedChatInline(RowsInline):
    model = WatchedChat
    form = WatchedChatForm
    fields = ("chat", "bot", "problem")
    readonly_fields = ("problem",)
    autocomplete_fields = ("chat", "bot")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WatchedChat]:
        return with_facts(super().get_queryset(request))

    @admin.display(description="problem")
    def problem(self, watched: WatchedChat) -> str:
        return self._problems_of(watched.campaign).get(watched.pk, "") if watched.pk else ""

    def _problems_of(self, campaign: Campaign) -> dict[int, str]:
        """Computed for all rows of the page at once: its rows share the campaign's object."""
        found: dict[int, str] | None = campaign.__dict__.get("_watching_problems")
        if found is None:
            found = campaign.__dict__["_watching_problems"] = problems_of(with_facts(campaign.watched_chats.all()))
        return found


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
        return with_facts(super().get_queryset(request))

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The list, with the problems of all its rows: each takes queries."""
        found = super().get_changelist_instance(request)
        problems = problems_of(found.result_list)
        for watched in found.result_list:
            watched.__dict__["_problem"] = problems[watched.pk]
        return found

    @admin.display(description="problem")
    def problem(self, watched: WatchedChat) -> str:
        return watched.__dict__.get("_problem", "")
