"""The plays, one per chat, and their steps, one per line."""

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
from scripts.models import Assignment, Play, Step
from scripts.services import ORIGIN

AssignmentState = Assignment.State


class StepInline(FactInline):
    model = Step
    fields = ("position", "slot_name", "bot", "text", "state_label", "why", "settled_at")
    readonly_fields = ("state_label", "why")
    ordering = ("position",)
    tab = False

    state_label = choice_label("state")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Step]:
        return super().get_queryset(request).select_related("bot", "delivery")

    @display(description="reason")
    def why(self, step: Step) -> str:
        return _why_step(step)


def _resumed(play: Play) -> str:
    if play.assignment.state != AssignmentState.PLAYING:
        return f"continues when its assignment does: the assignment is {play.assignment.state_name}."
    return "continues."


@admin.register(Play)
class PlayAdmin(FactAdmin):
    empty_hint = "An activated assignment has one play for each of its chats."
    list_display = (
        "assignment_name",
        "chat",
        "state_label",
        "progress",
        "why",
        "started_at",
        "progressed_at",
        "finished_at",
    )
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("assignment__campaign", RelatedDropdownFilter),
        ("chat", AutocompleteSelectFilter),
        ("started_at", RangeDateTimeFilter),
    )
    list_select_related = ("assignment__script", "assignment__campaign", "chat")
    large_fields = ("assignment__snapshot",)
    search_fields = ("assignment__script__name", "assignment__campaign__name", "chat__title", "chat__key")
    ordering = ("-started_at",)
    readonly_fields = ("state_label",)
    fields = (
        ("assignment", "chat"),
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
            run=lambda play, call: services.play_pause(play_id=play.pk, reason=f"paused by {call.by}"),
            done="is paused.",
            icon="pause",
            when=when_in(Play.State.PLAYING),
            bulk=True,
        ),
        Operation(
            "resume",
            "Resume",
            run=lambda play, call: services.play_resume(play_id=play.pk),
            done=_resumed,
            icon="play_arrow",
            variant="primary",
            when=when_in(Play.State.PAUSED),
            bulk=True,
        ),
        Operation(
            "stop",
            "Stop",
            run=lambda play, call: services.play_stop(play_id=play.pk, reason=f"stopped by {call.by}"),
            done="is stopped.",
            icon="stop",
            variant="danger",
            when=when_in(Play.State.PLAYING, Play.State.PAUSED),
            confirm="The play in this chat ends permanently. The plays in other chats continue.",
            bulk=True,
        ),
    )

    state_label = choice_label("state")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Play]:
        steps = Step.objects.all()
        return (
            super()
            .get_queryset(request)
            .annotate(
                n_steps=related_count(steps, by="play"),
                n_sent=related_count(steps.filter(state=Step.State.SENT), by="play"),
            )
        )

    @display(description="script", ordering="assignment__script__name")
    def assignment_name(self, play: Play) -> str:
        return str(play.assignment)

    @display(description="lines sent", ordering="n_sent")
    def progress(self, play: Any) -> str:
        return f"{play.n_sent} of {play.n_steps}"

    @display(description="reason")
    def why(self, play: Play) -> str:
        return play.incident or play.state_reason


@admin.register(Step)
class StepAdmin(FactAdmin):
    empty_hint = "A play has one step for each line of its script."
    list_display = ("position", "play_name", "slot_name", "bot", "excerpt", "state_label", "why", "settled_at")
    list_filter = (("state", ChoicesDropdownFilter), ("bot", AutocompleteSelectFilter))
    list_select_related = ("play__assignment__script", "play__assignment__campaign", "play__chat", "bot", "delivery")
    large_fields = ("play__assignment__snapshot",)
    search_fields = ("text", "slot_name", "play__assignment__script__name", "play__chat__title")
    ordering = ("play", "position")

    excerpt = text_column("text")
    state_label = choice_label("state")

    @display(description="play")
    def play_name(self, step: Step) -> str:
        return link_to(step.play, str(step.play))

    @display(description="reason")
    def why(self, step: Step) -> str:
        return _why_step(step)


def _why_step(step: Step) -> str:
    """Why a step was not sent, or has not been sent yet."""
    if step.state == Step.State.QUEUED and step.delivery is not None:
        return waits(step.delivery.waiting_reason, step.delivery.waiting_until or step.delivery.due_at)
    return step.reason


def _play_of(delivery: Delivery) -> str:
    play = Play.objects.filter(steps__id=delivery.origin_id).first() if delivery.origin == ORIGIN else None
    return page_of(play) if play is not None else ""


add_link(Delivery, Link("Play", "play_circle", _play_of, viewers_of(Play)))
