"""The page of the outbox: events that wait to be published, are unpublishable, or were published."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from messaging import services
from messaging.admin.parts import GrowingTableAdmin, json_shown, json_text_shown, trace_link
from messaging.models import OutboxEvent
from panelkit.errors import NotPossible
from panelkit.labels import clipped, tag
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.operations import Operation


class OutboxStateFilter(DropdownFilter):
    title = "state"
    parameter_name = "is"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "Waiting"), ("parked", "Unpublishable"), ("published", "Published")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxEvent]) -> QuerySet[OutboxEvent]:
        waiting = Q(published_at__isnull=True, parked_at__isnull=True)
        conditions = {
            "waiting": waiting,
            "parked": Q(parked_at__isnull=False),
            "published": Q(published_at__isnull=False),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


@admin.register(OutboxEvent)
class OutboxEventAdmin(GrowingTableAdmin):
    empty_hint = "No events. Each event is listed here from its commit until a day after it was published."
    list_display = ("id", "routing_key", "state_label", "reason", "service", "trace", "created_at", "published_at")
    list_filter = (OutboxStateFilter, ("created_at", RangeDateTimeFilter))
    search_fields = ("routing_key", "=event_id", "service")
    ordering = ("-id",)
    exclude = ("body", "headers")
    readonly_fields = ("state_label", "trace", "body_shown", "headers_shown")
    service_errors = (NotPossible,)
    operations = (
        Operation(
            "release",
            "Try again",
            run=lambda row, call: services.outbox_release(outbox_id=row.pk, by=call.by),
            done="waits for the relay again.",
            icon="replay",
            variant="primary",
            when=lambda row: row.parked_at is not None,
            bulk=True,
        ),
        Operation(
            "give-up",
            "Give up",
            run=lambda row, call: services.outbox_give_up(outbox_id=row.pk, by=call.by),
            done="has become a dead letter.",
            icon="inbox",
            when=lambda row: row.parked_at is not None,
            confirm="The event leaves the outbox and becomes a dead letter, which you can edit, replay or discard.",
            bulk=True,
            removes=True,
        ),
    )

    trace = trace_link

    @display(description="state")
    def state_label(self, row: OutboxEvent) -> str:
        if row.parked_at is not None:
            return tag("parked", "unpublishable")
        return tag("published" if row.published_at is not None else "waiting")

    @display(description="reason")
    def reason(self, row: OutboxEvent) -> str:
        if row.parked_at is not None:
            return clipped(row.parked_reason)
        return "" if row.published_at else "not confirmed by the broker yet"

    @display(description="body")
    def body_shown(self, row: OutboxEvent) -> str:
        return json_text_shown(row.body)

    @display(description="headers")
    def headers_shown(self, row: OutboxEvent) -> str:
        return json_shown(row.headers)
