"""Scripts with their lines, and their assignment to campaigns: cast, targets, progress."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from bots.accounts.suitability import with_logins
from campaigns.models import Campaign
from campaigns.pickers import OPEN_CAMPAIGN
from panelkit.base import PanelAdmin, RowsInline
from panelkit.forms.suitable import SuitableForm, offer
from panelkit.labels import choice_label, text_column
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.lists.related_counts import related_count
from panelkit.operations import Operation, when_in
from scripts import services
from scripts.admin.cast import (
    CastingForm,
    PreparationFormSet,
    TargetForm,
    casting_shown,
    lock_in_preparation,
    target_shown,
)
from scripts.admin.line_forms import LineFormSet, LinePageForm, LineRowForm
from scripts.errors import ScriptsError
from scripts.models import (
    ONE_OPEN_ASSIGNMENT,
    Assignment,
    Casting,
    Line,
    Script,
    Slot,
    Step,
    Target,
)
from scripts.selectors import Wanted, assignment_progress, script_assigned

AssignmentState = Assignment.State


class SlotInline(RowsInline):
    model = Slot
    tab = False


class OfOneScriptInline(RowsInline):
    """Offers the slots and lines of one script only. They are read once, not once a row."""

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        formfield = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.related_model in (Slot, Line):
            formfield.queryset = db_field.related_model.objects.filter(script=self.script_id(request))
            formfield.choices = list(formfield.choices)
        return formfield

    def script_id(self, request: HttpRequest) -> str | None:
        return request.resolver_match.kwargs.get("object_id") if request.resolver_match else None


class LineInline(OfOneScriptInline):
    model = Line
    form = LineRowForm
    formset = LineFormSet
    fields = ("position", "key", "slot", "text", "reply_to", "delay_seconds")
    ordering = ("position",)
    tab = False


@admin.register(Script)
class ScriptAdmin(PanelAdmin):
    instead_of_deleting = "Leave it: a script that is not assigned and activated sends nothing."
    empty_hint = "A script is a dialogue: slots, and the lines that they say."
    list_display = ("name", "slug", "lines_count", "slots_count", "created_at")
    list_filter = (("created_at", RangeDateTimeFilter),)
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    fields = (("name", "slug"),)
    ordering = ("name",)
    inlines = (SlotInline, LineInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Script]:
        lines, slots = related_count(Line.objects.all(), by="script"), related_count(Slot.objects.all(), by="script")
        return super().get_queryset(request).annotate(n_lines=lines, n_slots=slots)

    @display(description="lines", ordering="n_lines")
    def lines_count(self, script: Any) -> int:
        return script.n_lines

    @display(description="slots", ordering="n_slots")
    def slots_count(self, script: Any) -> int:
        return script.n_slots


class OfOneScriptAdmin(PanelAdmin):
    """What belongs to a script stays with it: lines name slots and other lines of theirs."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*super().get_readonly_fields(request, obj), *(("script",) if obj else ()))


@admin.register(Slot)
class SlotAdmin(OfOneScriptAdmin):
    empty_hint = "A slot is a part in a script. It is cast with a bot when the script is assigned to a campaign."
    list_display = ("name", "script")
    list_filter = (("script", RelatedDropdownFilter),)
    list_select_related = ("script",)
    search_fields = ("name", "script__name")
    autocomplete_fields = ("script",)
    ordering = ("script__name", "name")


@admin.register(Line)
class LineAdmin(OfOneScriptAdmin):
    form = LinePageForm
    empty_hint = "Lines are written on their script's page, or here."
    list_display = ("position", "key", "script", "slot", "excerpt", "delay_seconds")
    list_display_links = ("position", "key")
    list_filter = (("script", RelatedDropdownFilter),)
    list_select_related = ("script", "slot")
    search_fields = ("key", "text", "script__name")
    autocomplete_fields = ("script", "slot", "reply_to")
    ordering = ("script__name", "position")

    excerpt = text_column("text")


class PreparationInline(OfOneScriptInline):
    """What may be changed until the play is activated; from then on it is what was played."""

    formset = PreparationFormSet
    readonly_fields = ("problem",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _in_preparation(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _in_preparation(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _in_preparation(obj) and super().has_delete_permission(request, obj)


class CastingInline(PreparationInline):
    model = Casting
    form = CastingForm
    fields = ("slot", "bot", "problem")
    autocomplete_fields = ("bot",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Casting]:
        castings = super().get_queryset(request).select_related("assignment").defer("assignment__snapshot")
        return castings.prefetch_related(Prefetch("bot", with_logins()))

    @display(description="problem")
    def problem(self, casting: Casting) -> str:
        return casting_shown(casting)

    def script_id(self, request: HttpRequest) -> str | None:
        assignment_id = super().script_id(request)
        assignment = Assignment.objects.only("script_id").filter(pk=assignment_id).first() if assignment_id else None
        return str(assignment.script_id) if assignment else None


class TargetInline(PreparationInline):
    model = Target
    form = TargetForm
    fields = ("chat", "problem")
    autocomplete_fields = ("chat",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Target]:
        targets = super().get_queryset(request).select_related("chat", "assignment").defer("assignment__snapshot")
        return targets.prefetch_related("chat__permissions")

    @display(description="problem")
    def problem(self, target: Target) -> str:
        return target_shown(target)


def _in_preparation(assignment: Assignment | None) -> bool:
    return assignment is None or services.may_be_activated(assignment)


def _activated(assignment: Assignment) -> str:
    if assignment.state != AssignmentState.ACTIVE:
        return f"was activated before: it is {assignment.get_state_display().lower()}."
    return "is active: its plays are prepared next."


def _resumed(assignment: Assignment) -> str:
    if assignment.campaign.state != Campaign.State.RUNNING:
        campaign = assignment.campaign
        return f"goes on when its campaign does: {campaign} is {campaign.get_state_display().lower()}."
    return "goes on."


_OPERATIONS = (
    Operation(
        "activate",
        "Activate",
        run=lambda assignment, call: services.assignment_activate(assignment_id=assignment.pk),
        done=_activated,
        icon="play_arrow",
        variant="primary",
        when=when_in(AssignmentState.DRAFT, AssignmentState.FAILED),
        confirm="The bots begin to speak its lines in all of its chats. What has been said cannot be taken back.",
        missing=lambda assignment: services.assignment_missing(assignment=assignment),
        bulk=True,
    ),
    Operation(
        "pause",
        "Pause",
        run=lambda assignment, call: services.assignment_pause(
            assignment_id=assignment.pk, reason=f"paused by {call.by}"
        ),
        done="is paused: nothing of it is said until it is resumed.",
        icon="pause",
        when=when_in(AssignmentState.PLAYING),
        bulk=True,
    ),
    Operation(
        "resume",
        "Resume",
        run=lambda assignment, call: services.assignment_resume(assignment_id=assignment.pk),
        done=_resumed,
        icon="play_arrow",
        variant="primary",
        when=when_in(AssignmentState.PAUSED),
        bulk=True,
    ),
    Operation(
        "stop",
        "Stop",
        run=lambda assignment, call: services.assignment_stop(
            assignment_id=assignment.pk, reason=f"stopped by {call.by}"
        ),
        done="is stopped.",
        icon="stop",
        variant="danger",
        when=when_in(AssignmentState.ACTIVE, AssignmentState.PLAYING, AssignmentState.PAUSED),
        confirm="It ends for good in all of its chats: no line that was not said yet will be said.",
        bulk=True,
    ),
    Operation(
        "repeat",
        "Play again",
        run=lambda assignment, call: services.assignment_repeat(assignment_id=assignment.pk),
        done="has a new draft with the same cast and chats. What was played stays on record.",
        icon="replay",
        when=services.may_be_repeated,
        makes=True,
    ),
)


class AssignmentForm(SuitableForm):
    """Refuses a second one beside one that has not ended: Django leaves a condition on the state to the database."""

    suitable = {"campaign": OPEN_CAMPAIGN}

    class Meta:
        help_texts = {
            "seed": "From which the variants of the lines are drawn. 0: a new one is drawn when you activate it. "
            "The same seed gives the same texts again."
        }

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if not self.instance._state.adding and {"campaign", "script", "seed"} & set(self.changed_data):
            lock_in_preparation(self.instance.pk)
        campaign, script = given.get("campaign"), given.get("script")
        beside = self.instance.pk
        if campaign and script and script_assigned(campaign_id=campaign.pk, script_id=script.pk, beside=beside):
            raise forms.ValidationError(ONE_OPEN_ASSIGNMENT)
        return given


offer(AssignmentForm, "scripts.Assignment")


@admin.register(Assignment)
class AssignmentAdmin(PanelAdmin):
    form = AssignmentForm
    empty_hint = "Assign a script to a campaign, cast its slots with bots, choose the chats, activate it."
    list_display = ("name", "campaign", "state_label", "progress", "why", "activated_at", "finished_at")
    list_filter = (("state", ChoicesDropdownFilter), ("campaign", RelatedDropdownFilter))
    list_select_related = ("script", "campaign")
    large_fields = ("snapshot",)
    search_fields = ("script__name", "script__slug", "campaign__name", "campaign__slug")
    autocomplete_fields = ("campaign", "script")
    ordering = ("-created_at",)
    readonly_fields = ("state_label", "state_reason", "activated_at", "started_at", "finished_at", "supervised_at")
    fieldsets = (
        (None, {"fields": ("campaign", "script", "seed")}),
        (
            "Its life",
            {
                "fields": (
                    ("state_label", "state_reason"),
                    ("activated_at", "started_at"),
                    ("finished_at", "supervised_at"),
                )
            },
        ),
    )
    inlines = (CastingInline, TargetInline)
    operations = _OPERATIONS
    service_errors = (ScriptsError,)
    live_template = "scripts/progress.html"

    state_label = choice_label("state")

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """The cast is chosen once the script is: on the second page."""
        return super().get_inlines(request, obj) if obj else (TargetInline,)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What was played stays on record."""
        return obj is not None and obj.state == AssignmentState.DRAFT and super().has_delete_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = () if _in_preparation(obj) else ("campaign", "script", "seed")
        return (*self.readonly_fields, *fixed)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Assignment]:
        steps = Step.objects.all()
        return (
            super()
            .get_queryset(request)
            .annotate(
                n_steps=related_count(steps, by="play__assignment"),
                n_said=related_count(steps.filter(state=Step.State.SAID), by="play__assignment"),
            )
        )

    def live_context(self, row: Assignment) -> dict[str, Any]:
        return {"progress": assignment_progress(assignment_id=row.pk, wanted=Wanted(next_steps_only=True))}

    @display(description="script", ordering="script__name")
    def name(self, assignment: Assignment) -> str:
        return str(assignment.script)

    @display(description="lines said", ordering="n_said")
    def progress(self, assignment: Any) -> str:
        return f"{assignment.n_said} of {assignment.n_steps}" if assignment.n_steps else ""

    @display(description="why")
    def why(self, assignment: Assignment) -> str:
        return assignment.incident or assignment.state_reason
