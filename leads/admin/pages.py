"""Leads, the conversations with them, and what the LLM was asked."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import (
    ChoicesDropdownFilter,
    DropdownFilter,
    RangeDateTimeFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from bots.deliveries.queueing import deliveries_leaving
from campaigns.models import Suppression
from campaigns.services import NotPossible
from leads.admin.conversations import ConversationAdmin
from leads.admin.persons import ERASE, PersonAdmin
from leads.admin.related import chat_link, hit_link, parser_link, suppression_link
from leads.llm.client import ACTIONS
from leads.models import Lead, LlmJob, Message, UnclaimedMessage
from leads.selectors import beginning
from leads.services.contact import lead_approve, lead_reject
from leads.services.opt_out import opt_out
from messaging.admin.parts import trace_link
from panelkit.base import FactAdmin
from panelkit.labels import choice_label, clipped, link_to, text_column, waits
from panelkit.operations import Operation, when_in
from panelkit.registry import Leaving, add_leaving

__all__ = ["ConversationAdmin"]


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=200, required=False, widget=UnfoldAdminTextInputWidget)


def _approved(lead: Lead) -> str:
    if lead.state == Lead.State.CONTACTING:
        return "is approved: the first message is queued, and sent when the gate allows it."
    if lead.state == Lead.State.NEW:
        return f"is approved, but nothing is queued yet: {lead.state_reason} It is tried again every few seconds."
    return f"is approved, and the lead is now: {lead.get_state_display().lower()}. {lead.state_reason}".strip()


def _leaving_for(lead: Lead) -> Leaving | None:
    if lead.state != Lead.State.OPTED_OUT:
        return None
    number = deliveries_leaving(telegram_user_id=lead.telegram_user_id, username=lead.username)
    return Leaving(number, "nothing is said to this person")


add_leaving(Lead, _leaving_for)


@admin.register(Lead)
class LeadAdmin(PersonAdmin):
    empty_hint = (
        "They come when somebody says a campaign's keyword in a watched chat, or when another program publishes one."
    )
    list_display = ("person", "campaign", "state_label", "why", "excerpt", "manager", "hit_at")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("campaign", RelatedDropdownFilter),
        ("hit_at", RangeDateTimeFilter),
    )
    list_select_related = ("campaign", "conversation__bot")
    search_fields = ("username", "=telegram_user_id", "message", "campaign__name")
    ordering = ("-hit_at",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("state_label", "state_reason"),
                    ("conversation_link", "campaign"),
                    ("telegram_user_id", "username"),
                    ("suppression", "same_as"),
                )
            },
        ),
        ("What they wrote", {"fields": ("message", "message_since", ("hit", "hit_at"), ("chat", "parser_bot"))}),
        (
            "What became of it",
            {
                "fields": (
                    ("approved_at", "approved_by"),
                    ("tried_at", "created_at"),
                    ("attempts", "retry_at"),
                    ("trace", "message_id"),
                )
            },
        ),
    )
    readonly_fields = (
        "state_label",
        "message_since",
        "conversation_link",
        "suppression",
        "hit",
        "chat",
        "parser_bot",
        "trace",
    )
    trace = trace_link
    service_errors = (NotPossible,)
    operations = (
        Operation(
            "approve",
            "Approve",
            run=lambda lead, call: lead_approve(lead_id=lead.pk, by=call.by),
            done=_approved,
            icon="check",
            variant="primary",
            when=when_in(Lead.State.AWAITING_APPROVAL),
            confirm="A manager bot writes to this person first, saying who writes, that an AI does, and how to stop.",
            bulk=True,
        ),
        Operation(
            "reject",
            "Reject",
            run=lambda lead, call: lead_reject(lead_id=lead.pk, by=call.by, **call.data),
            done="is not written to.",
            icon="close",
            when=when_in(Lead.State.AWAITING_APPROVAL, Lead.State.NEW),
            form=ReasonForm,
            bulk=True,
        ),
        Operation(
            "opt_out",
            "Mark as opted out",
            run=lambda lead, call: opt_out(
                lead_id=lead.pk,
                source=Suppression.Source.OPERATOR,
                reason=call.data.get("reason") or f"Entered by {call.by}",
            ),
            done="is never written to again.",
            icon="block",
            variant="danger",
            when=lambda lead: lead.state != Lead.State.OPTED_OUT,
            confirm="Nobody writes to this person again, in any campaign, and what waits for them is cancelled. "
            "It cannot be undone here.",
            form=ReasonForm,
        ),
        ERASE,
    )

    state_label = choice_label("state")
    excerpt = text_column("message", "said", 60)

    @display(description="person", ordering="username")
    def person(self, lead: Lead) -> str:
        return str(lead)

    @display(description="why")
    def why(self, lead: Lead) -> str:
        return clipped(lead.state_reason)

    @display(description="message, since then")
    def message_since(self, lead: Lead) -> str:
        return beginning(lead=lead).since or "nothing known"

    @display(description="suppression")
    def suppression(self, lead: Lead) -> str:
        return suppression_link(lead)

    @display(description="hit")
    def hit(self, lead: Lead) -> str:
        return hit_link(lead)

    @display(description="chat")
    def chat(self, lead: Lead) -> str:
        return chat_link(lead)

    @display(description="heard by")
    def parser_bot(self, lead: Lead) -> str:
        return parser_link(lead)

    @display(description="manager")
    def manager(self, lead: Lead) -> str:
        conversation = getattr(lead, "conversation", None)
        return link_to(conversation, str(conversation.bot)) if conversation else ""

    @display(description="conversation")
    def conversation_link(self, lead: Lead) -> str:
        conversation = getattr(lead, "conversation", None)
        return link_to(conversation, str(conversation)) if conversation else "none yet"


@admin.register(Message)
class MessageAdmin(FactAdmin):
    empty_hint = "What leads and managers write to each other stands here."
    list_display = ("at", "conversation_name", "author_label", "excerpt", "fate")
    list_filter = (("author", ChoicesDropdownFilter), ("at", RangeDateTimeFilter))
    list_select_related = ("conversation__lead", "conversation__bot", "delivery")
    search_fields = ("text", "conversation__lead__username", "conversation__bot__key")
    ordering = ("-at",)

    author_label = choice_label("author")
    excerpt = text_column("text", "message")

    @display(description="conversation")
    def conversation_name(self, message: Message) -> str:
        return link_to(message.conversation, str(message.conversation))

    @display(description="delivery")
    def fate(self, message: Message) -> str:
        if message.delivery is None:
            return ""
        why = waits(message.delivery.waiting_reason, message.delivery.waiting_until)
        return " · ".join(filter(None, [message.delivery.get_state_display(), why or message.delivery.error]))


@admin.register(UnclaimedMessage)
class UnclaimedMessageAdmin(FactAdmin):
    empty_hint = "A message of a manager's account that we did not send, before it is known who wrote it."
    list_display = ("said_at", "conversation_name", "excerpt", "telegram_message_id", "error", "given_up_at")
    list_filter = (("said_at", RangeDateTimeFilter), ("given_up_at", RangeDateTimeFilter))
    list_select_related = ("conversation__lead", "conversation__bot")
    search_fields = ("text", "conversation__lead__username")
    ordering = ("-said_at",)

    excerpt = text_column("text", "message")

    @display(description="conversation")
    def conversation_name(self, message: UnclaimedMessage) -> str:
        return link_to(message.conversation, str(message.conversation))


class ActionFilter(DropdownFilter):
    """What the LLM can decide: to ask the table for that would read all of it."""

    title = parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(action, action.replace("_", " ").capitalize()) for action in ACTIONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LlmJob]) -> QuerySet[LlmJob]:
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(LlmJob)
class LlmJobAdmin(FactAdmin):
    empty_hint = "One is made when a lead has written and the AI leads the conversation."
    list_display = ("created_at", "conversation_name", "epoch", "state_label", "waiting", "action", "reason", "tokens")
    list_filter = (("state", ChoicesDropdownFilter), ActionFilter, ("created_at", RangeDateTimeFilter))
    list_select_related = ("conversation__lead", "conversation__bot")
    search_fields = ("conversation__lead__username", "conversation__bot__key", "reason", "error")
    ordering = ("-created_at",)

    state_label = choice_label("state")

    @display(description="conversation")
    def conversation_name(self, job: LlmJob) -> str:
        return link_to(job.conversation, str(job.conversation))

    @display(description="waits because")
    def waiting(self, job: LlmJob) -> str:
        if job.state != LlmJob.State.DUE:
            return clipped(job.error)
        return waits(clipped(job.error) or "the lead may go on writing", job.due_at)

    @display(description="tokens")
    def tokens(self, job: LlmJob) -> str:
        return f"{job.prompt_tokens} + {job.completion_tokens}" if job.prompt_tokens else ""
