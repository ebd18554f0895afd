"""The pages of assignments: scripts assigned to campaigns, with cast, targets and progress."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from campaigns.pickers import OPEN_CAMPAIGN
from panelkit.base import PanelAdmin
from panelkit.forms.suitable import SuitableForm, offer
from panelkit.labels import choice_label
from panelkit.lists.related_counts import related_count
from scripts.admin.assignment_operations import OPERATIONS
from scripts.admin.cast import CastingInline, TargetInline, in_preparation
from scripts.admin.cast_forms import lock_in_preparation
from scripts.errors import ScriptsError
from scripts.models import ONE_OPEN_ASSIGNMENT, Assignment, Step
from scripts.selectors import Wanted, assignment_progress, script_assigned


class AssignmentForm(SuitableForm):
    """Refuses a second open assignment of a script in a campaign.

    Django's forms do not check the constraint for this, because its condition is on a field that the form lacks.
    """

    suitable = {"campaign": OPEN_CAMPAIGN}

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
    empty_hint = (
        "Assign a script to a campaign, choose an account for each slot and the target chats, "
        "and activate the assignment."
    )
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
            "Status",
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
    operations = OPERATIONS
    service_errors = (ScriptsError,)
    live_template = "scripts/progress.html"

    state_label = choice_label("state")

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """The page of a new assignment has no cast: its slots are known only when the script is saved."""
        return super().get_inlines(request, obj) if obj else (TargetInline,)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only a draft can be deleted: what was played stays on record."""
        return obj is not None and obj.state == Assignment.State.DRAFT and super().has_delete_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = () if in_preparation(obj) else ("campaign", "script", "seed")
        return (*self.readonly_fields, *fixed)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Assignment]:
        steps = Step.objects.all()
        return (
            super()
            .get_queryset(request)
            .annotate(
                n_steps=related_count(steps, by="play__assignment"),
                n_sent=related_count(steps.filter(state=Step.State.SENT), by="play__assignment"),
            )
        )

    def live_context(self, row: Assignment) -> dict[str, Any]:
        return {"progress": assignment_progress(assignment_id=row.pk, wanted=Wanted(next_steps_only=True))}

    @display(description="script", ordering="script__name")
    def name(self, assignment: Assignment) -> str:
        return str(assignment.script)

    @display(description="lines sent", ordering="n_sent")
    def progress(self, assignment: Any) -> str:
        return f"{assignment.n_sent} of {assignment.n_steps}" if assignment.n_steps else ""

    @display(description="reason")
    def why(self, assignment: Assignment) -> str:
        return assignment.incident or assignment.state_reason
