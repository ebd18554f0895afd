"""Which account plays a slot, and where: the forms of both, and a page for each beside that of the assignment."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from bots.accounts.suitability import with_logins
from messaging.database.clock import database_clock
from panelkit.base import PanelAdmin
from panelkit.forms.suitable import Suitable, SuitableForm, offer
from panelkit.labels import link_to
from scripts.checks import actor_advice, target_advice
from scripts.errors import CastFixed
from scripts.models import Assignment, Casting, Slot, Target
from scripts.selectors import assignments_in_preparation, bots_castable, chats_playable
from scripts.services import may_be_activated, preparation_lock


def lock_in_preparation(*assignment_ids: Any) -> None:
    """Lock the assignments of a form. Raises ValidationError for one that is not in preparation."""
    try:
        preparation_lock(assignment_ids=filter(None, assignment_ids))
    except CastFixed as refusal:
        raise ValidationError(f"{refusal}.") from refusal


def _fixed(assignment: Assignment) -> str:
    return (
        ""
        if may_be_activated(assignment)
        else f"{CastFixed(str(assignment), assignment.get_state_display().partition(':')[0].lower())}."
    )


ASSIGNMENT = Suitable(lambda _row: assignments_in_preparation(), _fixed)


class PreparationForm(SuitableForm):
    """Of an assignment's row: saved while that is prepared."""

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        assignment = given.get("assignment")
        lock_in_preparation(self.instance.assignment_id, assignment and assignment.pk)
        return given


class CastingForm(PreparationForm):
    suitable = {
        "assignment": ASSIGNMENT,
        "slot": Suitable(lambda casting: _slots(casting), lambda _slot: ""),
        "bot": Suitable(lambda _casting: bots_castable(), actor_advice),
    }

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        slot = given.get("slot")
        assignment = self.instance.assignment if self.instance.assignment_id else given.get("assignment")
        if assignment is not None and slot is not None and slot.script_id != assignment.script_id:
            self.add_error("slot", f"This is a slot of another script: choose one of {assignment.script}.")
        return given


def _slots(casting: Casting | None) -> QuerySet[Slot]:
    if casting is not None:
        return Slot.objects.filter(script=casting.assignment.script_id)
    return Slot.objects.filter(script__in=assignments_in_preparation().values("script"))


class TargetForm(PreparationForm):
    suitable = {
        "assignment": ASSIGNMENT,
        "chat": Suitable(lambda _target: chats_playable(), lambda chat: target_advice(chat, database_clock())),
    }


offer(CastingForm, "scripts.Casting")
offer(TargetForm, "scripts.Target")


class PreparationFormSet(forms.BaseInlineFormSet):
    """Also when a row is only taken away."""

    def clean(self) -> None:
        super().clean()
        if self.deleted_forms:
            lock_in_preparation(self.instance.pk)


class PreparationAdmin(PanelAdmin):
    """A page of an assignment's row: what was played stays on record."""

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
        """The page was offered while it could be done: whether it still can is decided here."""
        preparation_lock(assignment_ids=list(queryset.values_list("assignment_id", flat=True)))
        super().delete_queryset(request, queryset)

    @display(description="script", ordering="assignment__script__name")
    def assignment_name(self, row: Casting | Target) -> str:
        return link_to(row.assignment, str(row.assignment))


@admin.register(Casting)
class CastingAdmin(PreparationAdmin):
    form = CastingForm
    empty_hint = "Which bot plays which slot is chosen on the assignment's page."
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
        return casting_shown(casting)


@admin.register(Target)
class TargetAdmin(PreparationAdmin):
    form = TargetForm
    empty_hint = "The chats are chosen on the assignment's page."
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
        return target_shown(target)


def casting_shown(casting: Casting) -> str:
    """What keeps a stored row from working now; empty when nothing does, or when it is on record only."""
    return actor_advice(casting.bot) if casting.pk and may_be_activated(casting.assignment) else ""


def target_shown(target: Target) -> str:
    """The same; its chat's permissions are at hand."""
    return target_advice(target.chat, timezone.now()) if target.pk and may_be_activated(target.assignment) else ""
