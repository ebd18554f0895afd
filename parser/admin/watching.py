"""The admin pages of watched chats: which account reads which chat for which campaign, and why one does not."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RelatedDropdownFilter
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminSelectWidget

from bots.chats.topics import topics_known
from campaigns.models import Campaign
from campaigns.pickers import OPEN_CAMPAIGN
from messaging.database.clock import database_clock
from panelkit.base import RowsInline
from panelkit.errors import NotPossible
from panelkit.forms.suitable import Suitable, SuitableForm, offer
from panelkit.operations import Call, Operation
from parser.admin.balance import BalanceMixin
from parser.models import WatchedChat
from parser.selectors import chat_advice, chats_readable, parser_advice, parsers_choosable
from parser.watching.accounts import account_choose
from parser.watching.moves import CHOSEN_FIELDS, account_chosen, chat_move, move_cancel
from parser.watching.waiting import statuses_of, with_facts


class WatchedChatForm(SuitableForm):
    suitable = {
        "bot": Suitable(lambda _row: parsers_choosable(), parser_advice),
        "chat": Suitable(lambda _row: chats_readable(), lambda chat: chat_advice(chat, database_clock())),
        "campaign": OPEN_CAMPAIGN,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "bot" in self.fields:
            self.fields["bot"].required = False

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if not given.get("bot") and "bot" not in self.errors and (chat := given.get("chat")) is not None:
            try:
                account_choose(chat_id=chat.pk)
            except NotPossible as problem:
                self.add_error("bot", ValidationError(str(problem)))
        return given

    def save(self, commit: bool = True) -> WatchedChat:
        watched: WatchedChat = self.instance
        if watched.bot_id is None:
            # Only now: several new rows of a page are saved one after the other, and each counts for the next choice.
            watched.bot = account_choose(chat_id=watched.chat_id)
        if "bot" in self.changed_data:
            account_chosen(watched)
        saved: WatchedChat = super().save(commit)
        return saved


offer(WatchedChatForm, "parser.WatchedChat")


class MoveForm(forms.Form):
    account = forms.ModelChoiceField(
        parsers_choosable().defer("phone", "api_hash", "proxy_url").order_by("key"),
        widget=UnfoldAdminSelectWidget,
        help_text="This account joins the chat and then reads on. Until then the present account reads the chat.",
    )


def _move(watched: WatchedChat, call: Call) -> str:
    return chat_move(chat_id=watched.chat_id, source_id=watched.bot_id, target_id=call.data["account"].pk)


class WatchedChatInline(RowsInline):
    model = WatchedChat
    form = WatchedChatForm
    fields = ("chat", "bot", "status")
    readonly_fields = ("status",)
    autocomplete_fields = ("chat", "bot")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WatchedChat]:
        return with_facts(super().get_queryset(request))

    @admin.display(description="status")
    def status(self, watched: WatchedChat) -> str:
        return self._statuses_of(watched.campaign).get(watched.pk, "") if watched.pk else ""

    def _statuses_of(self, campaign: Campaign) -> dict[int, str]:
        """Computed for all rows of the page at once: its rows share the campaign's object."""
        found: dict[int, str] | None = campaign.__dict__.get("_watching_statuses")
        if found is None:
            found = campaign.__dict__["_watching_statuses"] = statuses_of(with_facts(campaign.watched_chats.all()))
        return found


@admin.register(WatchedChat)
class WatchedChatAdmin(BalanceMixin):
    form = WatchedChatForm
    empty_hint = "Add a chat and its campaign. A parser account then reads the chat for the campaign."
    list_display = ("chat", "campaign", "bot", "bot_state", "status")
    list_filter = (("campaign", RelatedDropdownFilter), ("bot", AutocompleteSelectFilter))
    list_select_related = ("campaign", "chat")
    search_fields = ("chat__title", "chat__key", "chat__reference", "bot__key", "campaign__name")
    autocomplete_fields = ("campaign", "chat", "bot")
    fields = ("campaign", "chat", "bot", "status", "topics_rule", "topics", "topics_known")
    readonly_fields = ("status", "topics_known")
    ordering = ("campaign__name", "chat__key")
    service_errors = (NotPossible,)
    operations = (
        Operation(
            "move",
            "Move to another account",
            run=_move,
            done=lambda result: f"is moved. {result}",
            icon="swap_horiz",
            form=MoveForm,
            when=lambda watched: watched.next_bot_id is None,
        ),
        Operation(
            "cancel_move",
            "Cancel the move",
            run=lambda watched, call: move_cancel(watch_id=watched.pk),
            done="stays with its account.",
            icon="undo",
            when=lambda watched: watched.next_bot_id is not None and watched.handover_at is None,
        ),
    )

    @admin.display(description="topics of this forum")
    def topics_known(self, watched: WatchedChat) -> str:
        return (topics_known(chat_id=watched.chat_id) if watched.pk else "") or "none known"

    @admin.display(description="account state", ordering="bot__state")
    def bot_state(self, watched: WatchedChat) -> str:
        return watched.bot.get_state_display()

    def get_queryset(self, request: HttpRequest) -> QuerySet[WatchedChat]:
        return with_facts(super().get_queryset(request))

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The list, with the statuses of all its rows: each takes queries."""
        found = super().get_changelist_instance(request)
        statuses = statuses_of(found.result_list)
        for watched in found.result_list:
            watched.__dict__["_status"] = statuses[watched.pk]
        return found

    @admin.display(description="status")
    def status(self, watched: WatchedChat) -> str:
        if not watched.pk:
            return ""
        known: str | None = watched.__dict__.get("_status")
        return statuses_of([watched])[watched.pk] if known is None else known

    def save_model(self, request: HttpRequest, obj: WatchedChat, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "bot" in form.changed_data:
            obj.save(update_fields=CHOSEN_FIELDS)
