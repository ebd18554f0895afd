"""The plays: a run a chat, a step a line."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from bots.models import Delivery
from panelkit.base import FactAdmin, FactInline
from panelkit.labels import choice_label, link_to, page_of, text_column, waits
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.lists.related_counts import related_count
from panelkit.operations import Operation, when_in
from panelkit.registry import Link, add_link, viewers_of
from scripts import services
from scripts.errors import ScriptsError
from scripts.models import Run, ScriptForCampaign, Step
from scripts.services import ORIGIN

SfcState = ScriptForCampaign.State


class StepInline(FactInline):
    model = Step
    fields = ("position", "slot_name", "bot", "text", "state_label", "why", "settled_at")
    readonly_fields = ("state_label", "why")
    ordering = ("position",)
    tab = False

    state_label = choice_label("state")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Step]:
        return super().get_queryset(request).select_related("bot", "delivery")

    @display(description="why")
    def why(self, step: Step) -> str:
        return _why_step(step)


def _resumed(run: Run) -> str:
    if run.sfc.state != SfcState.PLAYING:
        return f"goes on when its script does: that is {run.sfc.get_state_display().lower()}."
    return "goes on."


@admin.register(Run)
class RunAdmin(FactAdmin):
    empty_hint = "An activated script has one for each of its chats."
    list_display = ("sfc_name", "chat", "state_label", "progress", "why", "started_at", "progressed_at", "finished_at")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("sfc__campaign", RelatedDropdownFilter),
        ("chat", AutocompleteSelectFilter),
        ("started_at", RangeDateTimeFilter),
    )
    list_select_related = ("sfc__script", "sfc__campaign", "chat")
    large_fields = ("sfc__snapshot",)
    search_fields = ("sfc__script__name", "sfc__campaign__name", "chat__title", "chat__key")
    ordering = ("-started_at",)
    readonly_fields = ("state_label",)
    fields = (
        ("sfc", "chat"),
        ("state_label", "state_reason"),
        ("started_at", "finished_at"),
        ("progressed_at", "incident"),
    )
    inlines = (StepInline,)
    service_errors = (ScriptsError,)
    operations = (
        Operation(
            "pause",
            "Pause",
            run=lambda run, call: services.run_pause(run_id=run.pk, reason=f"paused by {call.by}"),
            done="is paused.",
            icon="pause",
            when=when_in(Run.State.PLAYING),
            bulk=True,
        ),
        Operation(
            "resume",
            "Resume",
            run=lambda run, call: services.run_resume(run_id=run.pk),
            done=_resumed,
            icon="play_arrow",
            variant="primary",
            when=when_in(Run.State.PAUSED),
            bulk=True,
        ),
        Operation(
            "stop",
            "Stop",
            run=lambda run, call: services.run_stop(run_id=run.pk, reason=f"stopped by {call.by}"),
            done="is stopped.",
            icon="stop",
            variant="danger",
            when=when_in(Run.State.PLAYING, Run.State.PAUSED),
            confirm="The play ends for good in this chat; it goes on in the others.",
            bulk=True,
        ),
    )

    state_label = choice_label("state")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        steps = Step.objects.all()
        return (
            super()
            .get_queryset(request)
            .annotate(
                n_steps=related_count(steps, by="run"),
                n_said=related_count(steps.filter(state=Step.State.SAID), by="run"),
            )
        )

    @display(description="script", ordering="sfc__script__name")
    def sfc_name(self, run: Run) -> str:
        return str(run.sfc)

    @display(description="lines said", ordering="n_said")
    def progress(self, run: Any) -> str:
        return f"{run.n_said} of {run.n_steps}"

    @display(description="why")
    def why(self, run: Run) -> str:
        return run.incident or run.state_reason


@admin.register(Step)
class StepAdmin(FactAdmin):
    empty_hint = "A run has one for each line of its script."
    list_display = ("position", "run_name", "slot_name", "bot", "excerpt", "state_label", "why", "settled_at")
    list_filter = (("state", ChoicesDropdownFilter), ("bot", AutocompleteSelectFilter))
    list_select_related = ("run__sfc__script", "run__sfc__campaign", "run__chat", "bot", "delivery")
    large_fields = ("run__sfc__snapshot",)
    search_fields = ("text", "slot_name", "run__sfc__script__name", "run__chat__title")
    ordering = ("run", "position")

    excerpt = text_column("text")
    state_label = choice_label("state")

    @display(description="play")
    def run_name(self, step: Step) -> str:
        return link_to(step.run, str(step.run))

    @display(description="why")
    def why(self, step: Step) -> str:
        return _why_step(step)


def _why_step(step: Step) -> str:
    """Why a step was not said, or is not said yet."""
    if step.state == Step.State.QUEUED and step.delivery is not None:
        return waits(step.delivery.waiting_reason, step.delivery.waiting_until or step.delivery.due_at)
    return step.reason


def _play_of(delivery: Delivery) -> str:
    run = Run.objects.filter(steps__id=delivery.origin_id).first() if delivery.origin == ORIGIN else None
    return page_of(run) if run is not None else ""


add_link(Delivery, Link("Play", "play_circle", _play_of, viewers_of(Run)))
