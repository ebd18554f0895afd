"""The page of LLM jobs: the requests to the LLM and its decisions."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display

from leads.llm.answers import ACTIONS
from leads.models import LlmJob
from panelkit.base import FactAdmin
from panelkit.labels import choice_label, clipped, link_to, waits
from panelkit.lists.filters import RangeDateTimeFilter


class ActionFilter(DropdownFilter):
    """Offers the LLM's possible decisions: to find those in the table, the database would read all rows."""

    title = parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(action, action.replace("_", " ").capitalize()) for action in ACTIONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LlmJob]) -> QuerySet[LlmJob]:
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(LlmJob)
class LlmJobAdmin(FactAdmin):
    empty_hint = "A job is created when a lead has written and the AI owns the conversation."
    list_display = ("created_at", "conversation_name", "epoch", "state_label", "waiting", "action", "reason", "tokens")
    list_filter = (("state", ChoicesDropdownFilter), ActionFilter, ("created_at", RangeDateTimeFilter))
    list_select_related = ("conversation__lead", "conversation__bot")
    search_fields = ("conversation__lead__username", "conversation__bot__key", "reason", "error")
    ordering = ("-created_at",)

    state_label = choice_label("state")

    @display(description="conversation")
    def conversation_name(self, job: LlmJob) -> str:
        return link_to(job.conversation, str(job.conversation))

    @display(description="wait or error")
    def waiting(self, job: LlmJob) -> str:
        if job.state != LlmJob.State.DUE:
            return clipped(job.error)
        return waits(clipped(job.error) or "waiting for more messages from the lead", job.due_at)

    @display(description="tokens (prompt + answer)")
    def tokens(self, job: LlmJob) -> str:
        return f"{job.prompt_tokens} + {job.completion_tokens}" if job.prompt_tokens else ""
