"""Leads, the conversations with them, and what the LLM was asked."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DropdownFilter,
    RangeDateTimeFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from bots.admin.asking import ICON, LABEL, ask_url, may_ask
from bots.deliveries import deliveries_leaving
from campaigns.models import Purpose, Suppression
from campaigns.services import NotPossible
from leads import manager_admin, services  # noqa: F401  Its page registers itself.
from leads.llm import ACTIONS
from leads.models import Conversation, Lead, LlmJob, Message, UnclaimedMessage
from leads.person_admin import ERASE, PersonAdmin
from leads.related_admin import chat_link, hit_link, parser_link, suppression_link
from leads.selectors import beginning, hit_place
from leads.services.saying import ai_messages_leaving
from messaging.admin.parts import trace_link
from panelkit.base import FactAdmin
from panelkit.labels import choice_label, clipped, link_to, text_column, waits
from panelkit.operations import Operation, when_in
from panelkit.registry import Leaving, Link, add_leaving, add_link

Owner = Conversation.Owner
# Messages on the page of a conversation, the newest.
MESSAGES_SHOWN = 200


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=200, required=False, widget=UnfoldAdminTextInputWidget)


class WordsForm(forms.Form):
    text = forms.CharField(max_length=4096, label="Message", widget=UnfoldAdminTextareaWidget)


def _leaving_in(talk: Conversation) -> Leaving | None:
    if talk.owner == Owner.AI:
        return None
    return Leaving(ai_messages_leaving(conversation=talk), "the AI says nothing there")


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


add_leaving(Conversation, _leaving_in)
add_leaving(Lead, _leaving_for)


def _ask_about(lead: Lead, purpose: Purpose) -> str:
    talk = Conversation.objects.filter(lead=lead).first()
    person = lead.telegram_user_id or f"@{lead.username}"
    return ask_url(campaign=lead.campaign_id, bot=talk and talk.bot_id, person=person, purpose=purpose.value)


add_link(Lead, Link(LABEL, ICON, lambda lead: _ask_about(lead, Purpose.FIRST_CONTACT), may_ask))
add_link(Conversation, Link(LABEL, ICON, lambda talk: _ask_about(talk.lead, Purpose.REPLY), may_ask))


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
            run=lambda lead, call: services.lead_approve(lead_id=lead.pk, by=call.by),
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
            run=lambda lead, call: services.lead_reject(lead_id=lead.pk, by=call.by, **call.data),
            done="is not written to.",
            icon="close",
            when=when_in(Lead.State.AWAITING_APPROVAL, Lead.State.NEW),
            form=ReasonForm,
            bulk=True,
        ),
        Operation(
            "opt_out",
            "Opted out",
            run=lambda lead, call: services.opt_out(
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


@admin.register(Conversation)
class ConversationAdmin(PersonAdmin):
    empty_hint = "One begins when a manager bot takes up a lead."
    list_display = ("lead_name", "bot", "owner_label", "why", "lead_state", "last_words", "last_incoming_at")
    list_filter = (
        ("owner", ChoicesDropdownFilter),
        ("lead__state", ChoicesDropdownFilter),
        ("lead__campaign", RelatedDropdownFilter),
        ("bot", AutocompleteSelectFilter),
        ("last_incoming_at", RangeDateTimeFilter),
    )
    list_select_related = ("lead__campaign", "bot")
    search_fields = ("lead__username", "=lead__telegram_user_id", "bot__key", "messages__text")
    ordering = (F("last_incoming_at").desc(nulls_last=True), "-created_at")
    fields = (
        ("lead", "bot"),
        ("campaign", "epoch"),
        ("owner_label", "owner_reason"),
        ("last_incoming_at", "created_at"),
    )
    readonly_fields = ("owner_label", "campaign")
    live_template = "leads/talk.html"
    service_errors = (NotPossible,)
    operations = (
        Operation(
            "take-over",
            "Take over",
            run=lambda talk, call: services.conversation_take_over(conversation_id=talk.pk, by=call.by),
            done="is yours: the AI says nothing more there.",
            icon="person",
            variant="primary",
            when=lambda talk: talk.owner != Owner.HUMAN and talk.lead.state != Lead.State.OPTED_OUT,
            bulk=True,
        ),
        Operation(
            "say",
            "Write",
            run=lambda talk, call: services.operator_say(conversation_id=talk.pk, **call.data),
            done="has your message queued: it is sent when the gate allows it, and its delivery says why it waits.",
            icon="edit",
            variant="primary",
            when=when_in(Owner.HUMAN, attribute="owner"),
            form=WordsForm,
        ),
        Operation(
            "hand-back",
            "Hand back to the AI",
            run=lambda talk, call: services.conversation_hand_back(conversation_id=talk.pk, by=call.by),
            done="is the AI's again.",
            icon="smart_toy",
            when=lambda talk: talk.owner != Owner.AI and talk.lead.state != Lead.State.OPTED_OUT,
            bulk=True,
        ),
        ERASE,
    )

    owner_label = choice_label("owner")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        newest = Message.objects.filter(conversation=OuterRef("pk")).reverse()
        return super().get_queryset(request).annotate(newest=Subquery(newest.values("text")[:1]))

    def live_context(self, row: Conversation) -> dict[str, Any]:
        newest = list(row.messages.select_related("delivery").reverse()[: MESSAGES_SHOWN + 1])
        _, chat, link = hit_place(lead=row.lead)
        return {
            "beginning": {"lead": row.lead, "chat": chat, "link": link, "now": beginning(lead=row.lead)},
            "messages": newest[:MESSAGES_SHOWN][::-1],
            "earlier": f"{reverse('admin:leads_message_changelist')}?conversation__id__exact={row.pk}"
            if len(newest) > MESSAGES_SHOWN
            else "",
            "jobs": row.llm_jobs.filter(state=LlmJob.State.DUE).order_by("due_at"),
        }

    @display(description="lead", ordering="lead__username")
    def lead_name(self, talk: Conversation) -> str:
        return str(talk.lead)

    @display(description="campaign")
    def campaign(self, talk: Conversation) -> str:
        return link_to(talk.lead.campaign, str(talk.lead.campaign))

    @display(description="why")
    def why(self, talk: Conversation) -> str:
        return clipped(talk.owner_reason)

    @display(description="lead is", ordering="lead__state")
    def lead_state(self, talk: Conversation) -> str:
        return talk.lead.get_state_display()

    @display(description="last words")
    def last_words(self, talk: Any) -> str:
        return clipped(talk.newest or "")


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
