"""The bus as an operator sees it: what waits to be published, what was handled, what died, which queues are paused."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RangeDateTimeFilter
from unfold.decorators import display
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminTextInputWidget

from messaging import services, topology
from messaging.models import (
    DeadLetter,
    HandlingBucket,
    HandlingFailure,
    OutboxEvent,
    ProcessedEvent,
    QueueControl,
    QueueSample,
)
from panelkit.base import FactAdmin
from panelkit.labels import choice_label, clipped, moment, preformatted, tag
from panelkit.operations import Operation, when_in


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget)


class LedgerAdmin(FactAdmin):
    """A page for a table that grows by the event: it is paged through without counting it."""

    paginator = InfinitePaginator
    show_full_result_count = False


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
    list_display = ("id", "routing_key", "state_label", "why", "service", "event_id", "created_at", "published_at")
    list_filter = (OutboxStateFilter, ("created_at", RangeDateTimeFilter))
    search_fields = ("routing_key", "=event_id", "service")
    ordering = ("-id",)
    exclude = ("body", "headers")
    readonly_fields = ("state_label", "body_shown", "headers_shown")
    service_errors = (services.NotPossible,)
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
    )

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
        return _json_text(row.body)

    @display(description="headers")
    def headers_shown(self, row: OutboxEvent) -> str:
        return _json(row.headers)


@admin.register(ProcessedEvent)
class ProcessedEventAdmin(LedgerAdmin):
    list_display = ("event_id", "subscription", "processed_at")
    list_filter = (("processed_at", RangeDateTimeFilter),)
    search_fields = ("=event_id", "subscription")
    ordering = ("-id",)


@admin.register(HandlingFailure)
class HandlingFailureAdmin(LedgerAdmin):
    list_display = ("created_at", "queue", "error_excerpt")
    list_filter = (("queue", admin.AllValuesFieldListFilter), ("created_at", RangeDateTimeFilter))
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


@admin.register(DeadLetter)
class DeadLetterAdmin(FactAdmin):
    list_display = ("last_seen_at", "where", "routing_key", "reason", "error_excerpt", "count", "state_label")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("reason", admin.AllValuesFieldListFilter),
        ("queue", admin.AllValuesFieldListFilter),
        ("last_seen_at", RangeDateTimeFilter),
    )
    search_fields = ("queue", "routing_key", "=event_id", "error", "body")
    ordering = ("-last_seen_at",)
    readonly_fields = ("state_label", "where", "body_shown", "traceback_shown", "headers_shown", "x_death_shown")
    fieldsets = (
        (None, {"fields": (("state_label", "count"), "reason", ("where", "routing_key"), "error", "body_shown")}),
        ("Decision", {"fields": (("decided_by", "decision_reason"),)}),
        ("When", {"fields": (("first_seen_at", "last_seen_at"),)}),
        ("Details", {"fields": ("event_id", "exchange", "traceback_shown", "headers_shown", "x_death_shown")}),
    )
    service_errors = (services.NotPossible,)
    operations = (
        Operation(
            "replay",
            "Replay",
            run=lambda letter, call: services.dead_letter_replay(letter_id=letter.pk, by=call.by),
            done="is sent to its queue again.",
            icon="replay",
            variant="primary",
            when=when_in(DeadLetter.State.OPEN),
            bulk=True,
        ),
        Operation(
            "discard",
            "Discard",
            run=lambda letter, call: services.dead_letter_discard(letter_id=letter.pk, by=call.by, **call.data),
            done="is discarded.",
            icon="delete",
            variant="danger",
            when=when_in(DeadLetter.State.OPEN),
            confirm="It will not be handled. It stays readable here, with your reason.",
            form=ReasonForm,
            bulk=True,
        ),
    )

    state_label = choice_label("state")

    @display(description="queue", ordering="queue")
    def where(self, letter: DeadLetter) -> str:
        return letter.queue or "unroutable"

    @display(description="error")
    def error_excerpt(self, letter: DeadLetter) -> str:
        return clipped(letter.error)

    @display(description="body")
    def body_shown(self, letter: DeadLetter) -> str:
        return _json_text(letter.body)

    @display(description="traceback")
    def traceback_shown(self, letter: DeadLetter) -> str:
        return preformatted(letter.traceback)

    @display(description="headers")
    def headers_shown(self, letter: DeadLetter) -> str:
        return _json(letter.headers)

    @display(description="x-death")
    def x_death_shown(self, letter: DeadLetter) -> str:
        return _json(letter.x_death)


@admin.register(QueueControl)
class QueueControlAdmin(FactAdmin):
    list_display = ("queue", "state_label", "reason", "service", "changed")
    list_filter = ("paused",)
    search_fields = ("queue", "reason", "changed_by")
    ordering = ("queue",)
    service_errors = (services.NotPossible,)
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
    list_display = ("at", "queue", "ready", "unacked", "consumers", "publish_rate", "ack_rate")
    list_filter = (("queue", admin.AllValuesFieldListFilter),)
    search_fields = ("queue",)
    ordering = ("-at", "queue")


@admin.register(HandlingBucket)
class HandlingBucketAdmin(LedgerAdmin):
    list_display = ("metric", "subscription", "bound", "count", "total")
    list_filter = (("metric", admin.AllValuesFieldListFilter), ("subscription", admin.AllValuesFieldListFilter))
    search_fields = ("metric", "subscription")
    ordering = ("metric", "subscription", "bound")


def _json(value: Any) -> str:
    return preformatted(json.dumps(value, indent=2, ensure_ascii=False))


def _json_text(text: str) -> str:
    """JSON as people read it; anything else as it is."""
    try:
        return _json(json.loads(text))
    except ValueError:
        return preformatted(text)
