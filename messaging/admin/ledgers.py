"""The pages of the bus: events that wait to be published, handled events, paused queues."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from messaging import services
from messaging.admin.parts import LedgerAdmin, ReasonForm, json_shown, json_text_shown, trace_link
from messaging.broker import topology
from messaging.models import (
    HandledCopy,
    HandlingBucket,
    HandlingFailure,
    OutboxEvent,
    ProcessedEvent,
    QueueControl,
    QueueSample,
)
from panelkit.base import FactAdmin
from panelkit.errors import NotPossible
from panelkit.labels import clipped, moment, preformatted, tag
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.operations import Operation


class OutboxStateFilter(DropdownFilter):
    title = "state"
    parameter_name = "is"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "Waiting"), ("parked", "Parked"), ("published", "Published")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxEvent]) -> QuerySet[OutboxEvent]:
        waiting = Q(published_at__isnull=True, parked_at__isnull=True)
        wanted = {"waiting": waiting, "parked": Q(parked_at__isnull=False), "published": Q(published_at__isnull=False)}
        return queryset.filter(wanted.get(self.value() or "", Q()))


@admin.register(OutboxEvent)
class OutboxEventAdmin(LedgerAdmin):
    empty_hint = "Events stand here from their commit until they are published and pruned."
    list_display = ("id", "routing_key", "state_label", "why", "service", "trace", "created_at", "published_at")
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
            done="goes to the relay again.",
            icon="replay",
            variant="primary",
            when=lambda row: row.parked_at is not None,
            bulk=True,
        ),
        Operation(
            "give-up",
            "Give up",
            run=lambda row, call: services.outbox_give_up(outbox_id=row.pk, by=call.by),
            done="is a dead letter now.",
            icon="inbox",
            when=lambda row: row.parked_at is not None,
            confirm="It leaves the outbox and becomes a dead letter: there it can be edited, replayed or discarded.",
            bulk=True,
            removes=True,
        ),
    )

    trace = trace_link

    @display(description="state")
    def state_label(self, row: OutboxEvent) -> str:
        if row.parked_at is not None:
            return tag("parked")
        return tag("published" if row.published_at is not None else "waiting")

    @display(description="waits because")
    def why(self, row: OutboxEvent) -> str:
        if row.parked_at is not None:
            return clipped(row.parked_reason)
        return "" if row.published_at else "the relay has not had the broker's confirmation yet"

    @display(description="body")
    def body_shown(self, row: OutboxEvent) -> str:
        return json_text_shown(row.body)

    @display(description="headers")
    def headers_shown(self, row: OutboxEvent) -> str:
        return json_shown(row.headers)


class QueueNameFilter(DropdownFilter):
    """Offers the topology's queues: to find those in the table, the database would read all rows."""

    title = parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(queue.name, queue.name) for queue in topology.TOPOLOGY.queues]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.parameter_name: self.value()}) if self.value() else queryset


class SubscriptionFilter(QueueNameFilter):
    title = parameter_name = "subscription"


@admin.register(ProcessedEvent)
class ProcessedEventAdmin(LedgerAdmin):
    empty_hint = "Each event that a subscription has handled is noted here."
    list_display = ("trace", "subscription", "processed_at", "took")
    list_filter = (("processed_at", RangeDateTimeFilter),)
    search_fields = ("=event_id", "subscription")
    ordering = ("-id",)
    list_display_links = ("subscription",)
    readonly_fields = ("trace",)
    trace = trace_link

    @display(description="took", ordering="seconds")
    def took(self, row: ProcessedEvent) -> str:
        return f"{row.seconds * 1000:.1f} ms" if row.seconds is not None else ""


@admin.register(HandledCopy)
class HandledCopyAdmin(LedgerAdmin):
    empty_hint = "No message without an id has been handled in the last day."
    list_display = ("handled_at", "subscription", "content", "found")
    list_filter = (SubscriptionFilter, ("handled_at", RangeDateTimeFilter))
    search_fields = ("=content", "subscription")
    ordering = ("-handled_at",)


@admin.register(HandlingFailure)
class HandlingFailureAdmin(LedgerAdmin):
    empty_hint = "No handler has failed. The error stands here until the dead letter is archived with it."
    list_display = ("created_at", "queue", "error_excerpt")
    list_filter = (QueueNameFilter, ("created_at", RangeDateTimeFilter))
    search_fields = ("queue", "error", "=body_digest")
    ordering = ("-created_at",)
    fields = ("queue", "error", "body_digest", "created_at", "traceback_shown")
    readonly_fields = ("traceback_shown",)

    @display(description="error")
    def error_excerpt(self, failure: HandlingFailure) -> str:
        return clipped(failure.error, 120)

    @display(description="traceback")
    def traceback_shown(self, failure: HandlingFailure) -> str:
        return preformatted(failure.traceback)


@admin.register(QueueControl)
class QueueControlAdmin(FactAdmin):
    empty_hint = "No queue was ever paused. Pause one on the page Queues."
    list_display = ("queue", "state_label", "reason", "service", "changed")
    list_filter = ("paused",)
    search_fields = ("queue", "reason", "changed_by")
    ordering = ("queue",)
    service_errors = (NotPossible,)
    operations = (
        Operation(
            "pause",
            "Pause",
            run=lambda control, call: services.queue_pause(queue=control.queue, by=call.by, **call.data),
            done="is being paused: workers stop taking from it within a few seconds, what they hold is still handled.",
            icon="pause",
            when=lambda control: not control.paused,
            form=ReasonForm,
            bulk=True,
        ),
        Operation(
            "resume",
            "Resume",
            run=lambda control, call: services.queue_resume(queue=control.queue, by=call.by),
            done="is being resumed.",
            icon="play_arrow",
            variant="primary",
            when=lambda control: control.paused,
            bulk=True,
        ),
    )

    @display(description="state", ordering="paused")
    def state_label(self, control: QueueControl) -> str:
        return tag("paused" if control.paused else "running")

    @display(description="works for")
    def service(self, control: QueueControl) -> str:
        return topology.SERVICES.get(control.queue, "")

    @display(description="changed", ordering="changed_at")
    def changed(self, control: QueueControl) -> str:
        return f"{moment(control.changed_at)} by {control.changed_by}" if control.changed_by else "never"


@admin.register(QueueSample)
class QueueSampleAdmin(LedgerAdmin):
    empty_hint = "Beat asks the broker for the figures of each queue every few seconds."
    list_display = ("at", "queue", "ready", "unacked", "consumers", "publish_rate", "ack_rate")
    list_filter = (QueueNameFilter,)
    search_fields = ("queue",)
    ordering = ("-at", "queue")


@admin.register(HandlingBucket)
class HandlingBucketAdmin(LedgerAdmin):
    empty_hint = "Handlers' seconds and events' ages are counted here once the first event is handled."
    list_display = ("metric", "subscription", "bound", "count", "total")
    list_filter = (("metric", admin.AllValuesFieldListFilter), ("subscription", admin.AllValuesFieldListFilter))
    search_fields = ("metric", "subscription")
    ordering = ("metric", "subscription", "bound")
