"""The page of a lead."""

from django import forms
from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from bots.deliveries.queueing import deliveries_leaving
from campaigns.models import Suppression
from leads.admin.personal_data import ERASE, PersonAdmin
from leads.admin.related import chat_link, hit_link, parser_link, suppression_link
from leads.models import Lead
from leads.selectors import beginning
from leads.services.contact import lead_approve, lead_reject
from leads.services.opt_out import opt_out
from messaging.admin.parts import trace_link
from panelkit.errors import NotPossible
from panelkit.labels import choice_label, clipped, link_to, text_column
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.operations import Operation, when_in
from panelkit.registry import Leaving, add_leaving


class OptionalReasonForm(forms.Form):
    reason = forms.CharField(max_length=200, required=False, widget=UnfoldAdminTextInputWidget)


def _approved(lead: Lead) -> str:
    if lead.state == Lead.State.CONTACTING:
        return "is approved. The first message is queued and is sent as soon as the gate allows it."
    if lead.state == Lead.State.NEW:
        return f"is approved. Nothing is queued yet: {lead.state_reason} CoolThing tries again every few seconds."
    return f"is approved. Its state is now “{lead.get_state_display()}”. {lead.state_reason}".strip()


def _leaving_for(lead: Lead) -> Leaving | None:
    if lead.state != Lead.State.OPTED_OUT:
        return None
    number = deliveries_leaving(telegram_user_id=lead.telegram_user_id, username=lead.username)
    return Leaving(number, "no account sends this person a message")


add_leaving(Lead, _leaving_for)


@admin.register(Lead)
class LeadAdmin(PersonAdmin):
    empty_hint = (
        "A lead is added when a person writes a campaign's keyword in a watched chat, or when another program "
        "publishes a lead."
    )
    list_display = ("person", "campaign", "state_label", "reason", "excerpt", "manager", "hit_at")
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
        ("Hit", {"fields": ("message", "message_since", ("hit", "hit_at"), ("chat", "parser_bot"))}),
        (
            "Progress",
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
            confirm="A manager account sends this person the first message. The message says who writes it, that an AI "
            "writes it, and how to stop further messages.",
            bulk=True,
        ),
        Operation(
            "reject",
            "Reject",
            run=lambda lead, call: lead_reject(lead_id=lead.pk, by=call.by, **call.data),
            done="is rejected. No account writes to this person for this campaign.",
            icon="close",
            when=when_in(Lead.State.AWAITING_APPROVAL, Lead.State.NEW),
            form=OptionalReasonForm,
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
            done="is marked as opted out. No account writes to this person again.",
            icon="block",
            variant="danger",
            when=lambda lead: lead.state != Lead.State.OPTED_OUT,
            confirm="No account writes to this person again, in any campaign, and all queued messages to the person "
            "are cancelled. You cannot undo this on the lead's page.",
            form=OptionalReasonForm,
        ),
        ERASE,
    )

    state_label = choice_label("state")
    excerpt = text_column("message", "message", 60)

    @display(description="person", ordering="username")
    def person(self, lead: Lead) -> str:
        return str(lead)

    @display(description="reason")
    def reason(self, lead: Lead) -> str:
        return clipped(lead.state_reason)

    @display(description="changes to the message")
    def message_since(self, lead: Lead) -> str:
        return beginning(lead=lead).since or "none known"

    @display(description="suppression")
    def suppression(self, lead: Lead) -> str:
        return suppression_link(lead)

    @display(description="hit")
    def hit(self, lead: Lead) -> str:
        return hit_link(lead)

    @display(description="chat")
    def chat(self, lead: Lead) -> str:
        return chat_link(lead)

    @display(description="parser account")
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
