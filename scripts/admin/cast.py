"""The pages of an assignment's cast and target chats, and their rows on the assignment's page."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from bots.accounts.suitability import with_logins
from panelkit.base import PanelAdmin
from panelkit.labels import link_to
from scripts.admin.cast_forms import CastingForm, PreparationFormSet, TargetForm, casting_problem, target_problem
from scripts.admin.scripts import OfOneScriptInline
from scripts.errors import CastFixed
from scripts.models import Assignment, Casting, Target
from scripts.services import may_be_activated, preparation_lock


def in_preparation(assignment: Assignment | None) -> bool:
    """Whether the assignment is new, or its cast, targets and script may still be changed."""
    return assignment is None or may_be_activated(assignment)


class PreparationInline(OfOneScriptInline):
    """Rows that may change until the assignment is activated; from then on they are a record of what is played."""

    formset = PreparationFormSet
    readonly_fields = ("problem",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return in_preparation(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return in_preparation(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return in_preparation(obj) and super().has_delete_permission(request, obj)


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
        return casting_problem(casting)

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
        return target_problem(target)


class PreparationAdmin(PanelAdmin):
    """A page of cast or targets. After the activation of the assignment they cannot be changed."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*super().get_readonly_fields(request, obj), *(("assignment",) if obj else ()))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (obj is None or may_be_activated(obj.assignment)) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (obj is None or may_be_activated(obj.assignment)) and super().has_delete_permission(request, obj)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.delete_queryset(request, self.model._default_manager.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        try:
            self._delete(request, queryset)
        except CastFixed as refusal:
            raise PermissionDenied(str(refusal)) from refusal

    @transaction.atomic
    def _delete(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete the rows, unless an assignment has been activated since the page was shown."""
        preparation_lock(assignment_ids=list(queryset.values_list("assignment_id", flat=True)))
        super().delete_queryset(request, queryset)

    @display(description="script", ordering="assignment__script__name")
    def assignment_name(self, row: Casting | Target) -> str:
        return link_to(row.assignment, str(row.assignment))


@admin.register(Casting)
class CastingAdmin(PreparationAdmin):
    form = CastingForm
    empty_hint = "Choose the account for each slot on the assignment's page."
    list_display = ("slot", "bot", "assignment_name", "problem")
    list_filter = (("bot", AutocompleteSelectFilter),)
    list_select_related = ("assignment__script", "assignment__campaign", "slot")
    large_fields = ("assignment__snapshot",)
    search_fields = ("slot__name", "bot__key", "assignment__script__name")
    autocomplete_fields = ("assignment", "slot", "bot")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Casting]:
        return super().get_queryset(request).prefetch_related(Prefetch("bot", with_logins()))

    @display(description="problem")
    def problem(self, casting: Casting) -> str:
        return casting_problem(casting)


@admin.register(Target)
class TargetAdmin(PreparationAdmin):
    form = TargetForm
    empty_hint = "Choose the target chats on the assignment's page."
    list_display = ("chat", "assignment_name", "problem")
    list_filter = (("chat", AutocompleteSelectFilter),)
    list_select_related = ("assignment__script", "assignment__campaign", "chat")
    large_fields = ("assignment__snapshot",)
    search_fields = ("chat__title", "chat__key", "assignment__script__name")
    autocomplete_fields = ("assignment", "chat")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Target]:
        return super().get_queryset(request).prefetch_related("chat__permissions")

    @display(description="problem")
    def problem(self, target: Target) -> str:
        return target_problem(target)
