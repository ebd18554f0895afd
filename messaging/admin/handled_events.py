"""The pages of handled events, of events whose handler failed, and of the statistics of handlers."""

from django.contrib import admin
from unfold.decorators import display

from messaging.admin.parts import GrowingTableAdmin, QueueNameFilter, trace_link
from messaging.models import HandledCopy, HandlingBucket, HandlingFailure, ProcessedEvent
from panelkit.labels import clipped, preformatted
from panelkit.lists.filters import RangeDateTimeFilter


class SubscriptionFilter(QueueNameFilter):
    title = parameter_name = "subscription"


@admin.register(ProcessedEvent)
class ProcessedEventAdmin(GrowingTableAdmin):
    empty_hint = "No events. Each event that a subscription has handled is listed here for a week."
    list_display = ("trace", "subscription", "processed_at", "duration")
    list_filter = (("processed_at", RangeDateTimeFilter),)
    search_fields = ("=event_id", "subscription")
    ordering = ("-id",)
    list_display_links = ("subscription",)
    readonly_fields = ("trace",)
    trace = trace_link

    @display(description="duration", ordering="seconds")
    def duration(self, row: ProcessedEvent) -> str:
        return f"{row.seconds * 1000:.1f} ms" if row.seconds is not None else ""


@admin.register(HandledCopy)
class HandledCopyAdmin(GrowingTableAdmin):
    empty_hint = "No message without an id has been handled in the last day."
    list_display = ("handled_at", "subscription", "content", "found")
    list_filter = (SubscriptionFilter, ("handled_at", RangeDateTimeFilter))
    search_fields = ("=content", "subscription")
    ordering = ("-handled_at",)


@admin.register(HandlingFailure)
class HandlingFailureAdmin(GrowingTableAdmin):
    empty_hint = "No failures. Each error of a handler is listed here for a week; its dead letter keeps the error."
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


@admin.register(HandlingBucket)
class HandlingBucketAdmin(GrowingTableAdmin):
    empty_hint = "No statistics yet. They begin with the first handled event."
    list_display = ("metric", "subscription", "bound", "count", "total")
    list_filter = (("metric", admin.AllValuesFieldListFilter), ("subscription", admin.AllValuesFieldListFilter))
    search_fields = ("metric", "subscription")
    ordering = ("metric", "subscription", "bound")
