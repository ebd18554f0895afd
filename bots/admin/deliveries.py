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
from bots.admin.gate_preview import GatePreviewMixin
from bots.deliveries.queueing import deliveries_leaving, delivery_cancel, delivery_resolve
from bots.deliveries.timeline import timeline
from bots.models import Delivery, DeliveryEvent
from campaigns.models import Campaign
from panelkit.base import FactAdmin
from panelkit.labels import choice_label, link_to, moment_with_zone, text_column, waits
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.operations import Call, Operation, when_in
from panelkit.registry import Leaving, add_leaving

State = Delivery.State


def _leaving(campaign: Campaign) -> Leaving | None:
    if campaign.state == Campaign.State.RUNNING:
        return None
    return Leaving(deliveries_leaving(campaign_id=campaign.pk), "this campaign sends nothing")


add_leaving(Campaign, _leaving)


class NotCancelled(Exception):
    """The delivery's state has changed meanwhile."""


class NotDecided(Exception):
    """Another operator has decided meanwhile."""


def _cancel(delivery: Delivery, reason: str) -> None:
    if not delivery_cancel(delivery_id=delivery.pk, reason=reason):
        raise NotCancelled("it is no longer queued, or it is being sent now")


class SentForm(forms.Form):
    telegram_message_id = forms.IntegerField(
        required=False,
        min_value=1,
        widget=UnfoldAdminIntegerFieldWidget,
        label="Telegram's message id",
        help_text="The number at the end of the message's link in the sending account. "
        "If empty, later replies are sent without a quote.",
    )


def _resolve(delivery: Delivery, call: Call, *, sent: bool) -> None:
    message_id = call.data.get("telegram_message_id")
    if not delivery_resolve(delivery_id=delivery.pk, sent=sent, by=call.by, telegram_message_id=message_id):
        raise NotDecided("another operator has already decided")


class WaitingFilter(DropdownFilter):
    title = "waiting"
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Waiting"), ("no", "Not waiting")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        waiting = Q(state=State.QUEUED) & ~Q(waiting_reason="")
        return queryset.filter({"yes": waiting, "no": ~waiting}.get(self.value() or "", Q()))


class ChangesFilter(DropdownFilter):
    title = "changes after sending"
    parameter_name = "afterwards"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("edited", "Edited"), ("deleted", "Deleted"), ("reacted", "With reactions")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        chosen = {
            "edited": Q(edited_at__isnull=False),
            "deleted": Q(deleted_at__isnull=False),
            "reacted": ~Q(reactions=""),
        }
        return queryset.filter(chosen.get(self.value() or "", Q()))


@admin.register(Delivery)
class DeliveryAdmin(GatePreviewMixin, CancelManyMixin):
    empty_hint = "Messages of plays, conversations and operators are listed here, with their states."
    list_display = ("created_at", "destination", "bot", "excerpt", "purpose_label", "state_label", "why", "sent_at")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        WaitingFilter,
        ("purpose", ChoicesDropdownFilter),
        ("campaign", RelatedDropdownFilter),
        ("bot", AutocompleteSelectFilter),
        ("chat", AutocompleteSelectFilter),
        ("due_at", RangeDateTimeFilter),
        ChangesFilter,
    )
    live_template = "bots/delivery_timeline.html"
    live_seconds = 5
    list_select_related = ("bot", "chat", "campaign")
    search_fields = ("text", "peer_username", "=peer_id", "bot__key", "waiting_reason", "error")
    name_lookup = "upper"
    ordering = ("-created_at",)
    readonly_fields = (
        "state_label",
        "purpose_label",
        "why",
        "destination",
        "answered",
        "current_text",
        "reactions_shown",
    )
    fieldsets = (
        (None, {"fields": (("state_label", "why"), ("bot", "destination"), "campaign", "text")}),
        ("Changes after sending", {"fields": (("current_text", "edited_at"), ("reactions_shown", "deleted_at"))}),
        ("Times", {"fields": (("created_at", "due_at"), ("sent_at", "counted_at"), ("first_attempt_at", "attempts"))}),
        (
            "Origin",
            {"fields": (("purpose_label", "answered"), ("origin", "origin_id"), ("telegram_message_id", "random_id"))},
        ),
        (
            "Recipient",
            {"fields": (("peer_id", "peer_username"), ("via_chat_id", "via_message_id"))},
        ),
        ("Error", {"fields": (("error_kind", "error"), "lease_epoch")}),
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
            confirm="The message will not be sent. "
            "A play leaves out the replies to it and continues with its other lines.",
        ),
        Operation(
            "said",
            "Mark as sent",
            run=lambda delivery, call: _resolve(delivery, call, sent=True),
            done="is marked as sent.",
            icon="check",
            variant="primary",
            when=when_in(State.UNKNOWN),
            form=SentForm,
            confirm="Check the chat in the sending account. Confirm only if the message is there.",
        ),
        Operation(
            "not_said",
            "Mark as not sent",
            run=lambda delivery, call: _resolve(delivery, call, sent=False),
            done="is marked as not sent.",
            icon="close",
            when=when_in(State.UNKNOWN),
            confirm="Check the chat in the sending account. Confirm only if the message is not there. It will not be "
            "sent again.",
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

    @display(description="recipient", ordering="chat__title")
    def destination(self, delivery: Delivery) -> str:
        return link_to(delivery.chat, delivery.destination) if delivery.chat is not None else delivery.destination

    @display(description="reason", ordering="waiting_reason")
    def why(self, delivery: Delivery) -> str:
        """Why the delivery has not been sent yet, or never will be."""
        if delivery.state in (State.QUEUED, State.SENDING):
            if delivery.waiting_reason:
                return waits(delivery.waiting_reason, delivery.waiting_until)
            return "being sent" if delivery.state == State.SENDING else f"due at {moment_with_zone(delivery.due_at)}"
        return delivery.error

    @display(description="reply to")
    def answered(self, delivery: Delivery) -> str:
        return link_to(delivery.reply_to, str(delivery.reply_to)) if delivery.reply_to else ""

    @display(description="current text")
    def current_text(self, delivery: Delivery) -> str:
        return delivery.edited_text or "unchanged"

    @display(description="reactions")
    def reactions_shown(self, delivery: Delivery) -> str:
        return delivery.reactions or "none"


@admin.register(DeliveryEvent)
class DeliveryEventAdmin(FactAdmin):
    empty_hint = "Events of deliveries are listed here: waits, retries, errors, results and later changes."
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
