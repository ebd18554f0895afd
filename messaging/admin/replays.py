"""The pages of replays in the background: their progress, and the outcome of each dead letter."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from messaging.admin.parts import LARGE_DEAD_LETTER_COLUMNS, GrowingTableAdmin
from messaging.dead_letters import replays
from messaging.models import ReplayBatch, ReplayItem
from messaging.services import maintenance_pause
from panelkit.base import FactAdmin
from panelkit.errors import NotPossible
from panelkit.labels import choice_label, clipped, link_to, tag
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.operations import Operation, when_in

# The bar's parts by outcome, in the order of OUTCOMES. The colours are in panel.css.
_BAR = {"handled": "panel-bar-done", "on_the_way": "panel-bar-sent", "died_again": "panel-bar-missed"}
_BAR_REFUSED = "panel-bar-refused"


class RateForm(forms.Form):
    per_second = forms.IntegerField(
        label="Dead letters per second",
        min_value=1,
        max_value=replays.MOST_PER_SECOND,
        help_text=f"At most {replays.MOST_PER_SECOND}. A low rate protects a service that has just recovered.",
        widget=UnfoldAdminIntegerFieldWidget,
    )


@admin.register(ReplayBatch)
class ReplayBatchAdmin(FactAdmin):
    empty_hint = (
        "No replays. Select or filter dead letters in their list and replay them; this list shows the progress."
    )
    list_display = ("created_at", "selection_excerpt", "by", "per_second", "state_label", "finished_at")
    list_filter = (("state", ChoicesDropdownFilter), ("created_at", RangeDateTimeFilter))
    search_fields = ("what", "by")
    ordering = ("-created_at",)
    fields = (("by", "created_at"), "what", ("per_second", "finished_at"))
    live_template = "messaging/replay_progress.html"
    live_seconds = 2
    service_errors = (NotPossible,)
    state_label = choice_label("state")
    operations = (
        Operation(
            "stop",
            "Stop",
            run=lambda batch, call: replays.replay_stop(batch_id=batch.pk),
            done="has been stopped.",
            icon="stop",
            when=when_in(ReplayBatch.State.RUNNING),
            confirm="Dead letters that have not been replayed yet stay open. Messages that were sent are not recalled.",
        ),
    )

    def live_context(self, row: Any) -> dict[str, Any]:
        counts = replays.progress(row)
        total = sum(counts.values()) or 1
        bars = [(css, 100 * counts[name] / total) for name, css in (*_BAR.items(), ("refused", _BAR_REFUSED))]
        outcomes = [(name, text, counts[name]) for name, text in replays.OUTCOMES.items()]
        done = total - counts["waiting"]
        pause = maintenance_pause() if row.state == ReplayBatch.State.RUNNING else None
        return {"batch": row, "outcomes": outcomes, "bars": bars, "done": done, "total": total, "pause": pause}

    @display(description="selection")
    def selection_excerpt(self, batch: ReplayBatch) -> str:
        return clipped(batch.what)


class OutcomeFilter(DropdownFilter):
    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(replays.OUTCOMES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in replays.OUTCOMES:
            return queryset
        return replays.with_outcome(queryset).filter(outcome=self.value())


@admin.register(ReplayItem)
class ReplayItemAdmin(GrowingTableAdmin):
    empty_hint = "No replayed dead letters. The outcome of each is listed here."
    list_display = ("id", "letter_link", "outcome_label", "note_excerpt", "done_at", "batch")
    list_filter = (OutcomeFilter,)
    list_select_related = ("letter", "batch")
    large_fields = LARGE_DEAD_LETTER_COLUMNS
    search_fields = ("=batch__id", "=letter__event_id", "letter__queue", "note")
    ordering = ("pk",)
    fields = ("letter_link", "outcome_label", "note", "batch", "done_at", "replay")
    readonly_fields = ("letter_link", "outcome_label")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Look up outcomes only for the rows of this page: for the whole list the database would read all events."""
        changes = super().get_changelist_instance(request)
        shown = list(changes.result_list)
        found = replays.outcomes_of([item.pk for item in shown])
        for item in shown:
            item.outcome = found[item.pk]
        changes.result_list = shown
        return changes

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup == "batch" or super().lookup_allowed(lookup, value, request)

    @display(description="dead letter")
    def letter_link(self, item: ReplayItem) -> SafeString:
        return link_to(item.letter, str(item.letter))

    @display(description="outcome")
    def outcome_label(self, item: ReplayItem) -> str:
        outcome = getattr(item, "outcome", "") or replays.outcomes_of([item.pk])[item.pk]
        return tag(outcome, replays.OUTCOMES[outcome])

    @display(description="note")
    def note_excerpt(self, item: ReplayItem) -> str:
        return clipped(item.note)
