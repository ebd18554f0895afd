"""The admin pages of deliveries: every outgoing message, and why it has not been sent yet."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DropdownFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import display
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from bots.admin.cancelling import CancelManyMixin
from bots.admin.gate_preview import AskingAdmin
from bots.deliveries.queueing import deliveries_leaving, delivery_cancel, delivery_resolve
from bots.deliveries.timeline import timeline
from bots.models import Delivery, DeliveryEvent
from campaigns.models import Campaign
from panelkit.base import FactAdmin
from panelkit.labels import choice_label, link_to, moment_told, text_column, waits
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.operations import Call, Operation, when_in
from panelkit.registry import Leaving, add_leaving

State = Delivery.State


def _leaving(campaign: Campaign) -> Leaving | None:
    if campaign.state == Campaign.State.RUNNING:
        return None
    return Leaving(deliveries_leaving(campaign_id=campaign.pk), "nothing of this campaign is said")


add_leaving(Campaign, _leaving)


class NotCancelled(Exception):
    """The delivery's state has changed meanwhile."""


class NotDecided(Exception):
    """Another operator has decided meanwhile."""


def _cancel(delivery: Delivery, reason: str) -> None:
    if not delivery_cancel(delivery_id=delivery.pk, reason=reason):
        raise NotCancelled("it is no longer queued, or it is leaving at this moment")


class SaidForm(forms.Form):
    telegram_message_id = forms.IntegerField(
        required=False,
        min_value=1,
        widget=UnfoldAdminIntegerFieldWidget,
        label="Telegram's id of the message",
        help_text="From the message's link, as the bot's account sees it. Without it, replies to it stand alone.",
    )


def _resolve(delivery: Delivery, call: Call, *, said: bool) -> None:
    message_id = call.data.get("telegram_message_id")
    if not delivery_resolve(delivery_id=delivery.pk, said=said, by=call.by, telegram_message_id=message_id):
        raise NotDecided("it has been decided already")


class WaitingFilter(DropdownFilter):
    title = "waiting"
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Told to wait"), ("no", "Not told to wait")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        told = Q(state=State.QUEUED) & ~Q(waiting_reason="")
        return queryset.filter({"yes": told, "no": ~told}.get(self.value() or "", Q()))


class AfterwardsFilter(DropdownFilter):
    title = "in the chat"
    parameter_name = "afterwards"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("edited", "Edited"), ("deleted", "Deleted"), ("reacted", "Reacted to")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        chosen = {
            "edited": Q(edited_at__isnull=False),
            "deleted": Q(deleted_at__isnull=False),
            "reacted": ~Q(reactions=""),
        }
        return queryset.filter(chosen.get(self.value() or "", Q()))


@admin.register(Delivery)
class DeliveryAdmin(AskingAdmin, CancelManyMixin):
    empty_hint = (
        "Each message that a play, a conversation or an operator wants to send stands here, with what became of it."
    )
    list_display = ("created_at", "destination", "bot", "excerpt", "purpose_label", "state_label", "why", "sent_at")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        WaitingFilter,
        ("purpose", ChoicesDropdownFilter),
        ("campaign", RelatedDropdownFilter),
        ("bot", AutocompleteSelectFilter),
        ("chat", AutocompleteSelectFilter),
        ("due_at", RangeDateTimeFilter),
        AfterwardsFilter,
    )
    live_template = "bots/delivery_story.html"
    live_seconds = 5
    list_select_related = ("bot", "chat", "campaign")
    search_fields = ("text", "peer_username", "=peer_id", "bot__key", "waiting_reason", "error")
    name_lookup = "upper"
    ordering = ("-created_at",)
    readonly_fields = ("state_label", "purpose_label", "why", "destination", "answers", "reads_now", "reactions_shown")
    fieldsets = (
        (None, {"fields": (("state_label", "why"), ("bot", "destination"), "campaign", "text")}),
        ("In the chat since", {"fields": (("reads_now", "edited_at"), ("reactions_shown", "deleted_at"))}),
        ("When", {"fields": (("created_at", "due_at"), ("sent_at", "counted_at"), ("first_attempt_at", "attempts"))}),
        (
            "What it belongs to",
            {"fields": (("purpose_label", "answers"), ("origin", "origin_id"), ("telegram_message_id", "random_id"))},
        ),
        (
            "How the person is reached",
            {"fields": (("peer_id", "peer_username"), ("via_chat_id", "via_message_id"))},
        ),
        ("Errors", {"fields": (("error_kind", "error"), "lease_epoch")}),
    )
    service_errors = (NotCancelled, NotDecided)
    operations = (
        Operation(
            "cancel",
            "Cancel",
            run=lambda delivery, call: _cancel(delivery, f"cancelled by {call.by}"),
            done="is cancelled.",
            icon="close",
            variant="danger",
            when=when_in(State.QUEUED),
            confirm="It will not be said. A play goes on with the lines that do not answer it.",
        ),
        Operation(
            "said",
            "It was said",
            run=lambda delivery, call: _resolve(delivery, call, said=True),
            done="counts as said.",
            icon="check",
            variant="primary",
            when=when_in(State.UNKNOWN),
            form=SaidForm,
            confirm="Look in the chat, as the bot's account sees it: the message is there.",
        ),
        Operation(
            "not_said",
            "It was not said",
            run=lambda delivery, call: _resolve(delivery, call, said=False),
            done="counts as not said.",
            icon="close",
            when=when_in(State.UNKNOWN),
            confirm="Look in the chat, as the bot's account sees it: the message is not there. It is not sent again.",
            bulk=True,
        ),
    )

    state_label = choice_label("state")
    purpose_label = choice_label("purpose")
    excerpt = text_column("text", "text", 60)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        # Operations on many deliveries name each one.
        return super().get_queryset(request).select_related("bot", "chat")

    def live_context(self, row: Any) -> dict[str, Any]:
        return {"entries": timeline(row)}

    @display(description="to", ordering="chat__title")
    def destination(self, delivery: Delivery) -> str:
        return link_to(delivery.chat, delivery.destination) if delivery.chat is not None else delivery.destination

    @display(description="why", ordering="waiting_reason")
    def why(self, delivery: Delivery) -> str:
        """Why the delivery has not been sent yet, or never will be."""
        if delivery.state in (State.QUEUED, State.SENDING):
            if delivery.waiting_reason:
                return waits(delivery.waiting_reason, delivery.waiting_until)
            return "is leaving" if delivery.state == State.SENDING else f"due at {moment_told(delivery.due_at)}"
        return delivery.error

    @display(description="answers")
    def answers(self, delivery: Delivery) -> str:
        return link_to(delivery.reply_to, str(delivery.reply_to)) if delivery.reply_to else ""

    @display(description="reads now")
    def reads_now(self, delivery: Delivery) -> str:
        return delivery.edited_text or "as it was said"

    @display(description="reactions")
    def reactions_shown(self, delivery: Delivery) -> str:
        return delivery.reactions or "none"


@admin.register(DeliveryEvent)
class DeliveryEventAdmin(FactAdmin):
    empty_hint = "What happens to deliveries is noted here, step by step."
    list_display = ("at", "of", "kind_label", "detail_excerpt", "times", "last_at")
    list_filter = (("kind", ChoicesDropdownFilter), ("at", RangeDateTimeFilter))
    list_select_related = ("delivery__bot", "delivery__chat")
    search_fields = ("=delivery__id", "detail", "delivery__bot__key")
    ordering = ("-pk",)
    show_full_result_count = False
    paginator = InfinitePaginator
    fields = ("of", "kind_label", "detail", ("at", "times", "last_at"))
    readonly_fields = ("of", "kind_label")
    kind_label = choice_label("kind")
    detail_excerpt = text_column("detail", "detail")

    @display(description="delivery")
    def of(self, event: DeliveryEvent) -> str:
        return link_to(event.delivery, str(event.delivery))
