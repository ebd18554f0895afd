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
from scripts.models import Casting, ScriptForCampaign, Slot, Target
from scripts.selectors import bots_castable, chats_playable, sfcs_in_preparation
from scripts.services import may_be_activated, preparation_lock


def lock_in_preparation(*sfc_ids: Any) -> None:
    """Lock the assignments of a form. Raises ValidationError for one that is not in preparation."""
    try:
        preparation_lock(sfc_ids=filter(None, sfc_ids))
    except CastFixed as refusal:
        raise ValidationError(f"{refusal}.") from refusal


def _fixed(sfc: ScriptForCampaign) -> str:
    return "" if may_be_activated(sfc) else f"{CastFixed(str(sfc), sfc.get_state_display().partition(':')[0].lower())}."


SFC = Suitable(lambda _row: sfcs_in_preparation(), _fixed)


class PreparationForm(SuitableForm):
    """Of an assignment's row: saved while that is prepared."""

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        sfc = given.get("sfc")
        lock_in_preparation(self.instance.sfc_id, sfc and sfc.pk)
        return given


class CastingForm(PreparationForm):
    suitable = {
        "sfc": SFC,
        "slot": Suitable(lambda casting: _slots(casting), lambda _slot: ""),
        "bot": Suitable(lambda _casting: bots_castable(), actor_advice),
    }

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        slot = given.get("slot")
        sfc = self.instance.sfc if self.instance.sfc_id else given.get("sfc")
        if sfc is not None and slot is not None and slot.script_id != sfc.script_id:
            self.add_error("slot", f"This is a slot of another script: choose one of {sfc.script}.")
        return given


def _slots(casting: Casting | None) -> QuerySet[Slot]:
    if casting is not None:
        return Slot.objects.filter(script=casting.sfc.script_id)
    return Slot.objects.filter(script__in=sfcs_in_preparation().values("script"))


class TargetForm(PreparationForm):
    suitable = {
        "sfc": SFC,
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
        return (*super().get_readonly_fields(request, obj), *(("sfc",) if obj else ()))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (obj is None or may_be_activated(obj.sfc)) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (obj is None or may_be_activated(obj.sfc)) and super().has_delete_permission(request, obj)

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
        preparation_lock(sfc_ids=list(queryset.values_list("sfc_id", flat=True)))
        super().delete_queryset(request, queryset)

    @display(description="script", ordering="sfc__script__name")
    def sfc_name(self, row: Casting | Target) -> str:
        return link_to(row.sfc, str(row.sfc))


@admin.register(Casting)
class CastingAdmin(PreparationAdmin):
    form = CastingForm
    empty_hint = "Which bot plays which slot is chosen on the page of a script for a campaign."
    list_display = ("slot", "bot", "sfc_name", "problem")
    list_filter = (("bot", AutocompleteSelectFilter),)
    list_select_related = ("sfc__script", "sfc__campaign", "slot")
    large_fields = ("sfc__snapshot",)
    search_fields = ("slot__name", "bot__key", "sfc__script__name")
    autocomplete_fields = ("sfc", "slot", "bot")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Casting]:
        return super().get_queryset(request).prefetch_related(Prefetch("bot", with_logins()))

    @display(description="problem")
    def problem(self, casting: Casting) -> str:
        return casting_shown(casting)


@admin.register(Target)
class TargetAdmin(PreparationAdmin):
    form = TargetForm
    empty_hint = "The chats are chosen on the page of a script for a campaign."
    list_display = ("chat", "sfc_name", "problem")
    list_filter = (("chat", AutocompleteSelectFilter),)
    list_select_related = ("sfc__script", "sfc__campaign", "chat")
    large_fields = ("sfc__snapshot",)
    search_fields = ("chat__title", "chat__key", "sfc__script__name")
    autocomplete_fields = ("sfc", "chat")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Target]:
        return super().get_queryset(request).prefetch_related("chat__permissions")

    @display(description="problem")
    def problem(self, target: Target) -> str:
        return target_shown(target)


def casting_shown(casting: Casting) -> str:
    """What keeps a stored row from working now; empty when nothing does, or when it is on record only."""
    return actor_advice(casting.bot) if casting.pk and may_be_activated(casting.sfc) else ""


def target_shown(target: Target) -> str:
    """The same; its chat's permissions are at hand."""
    return target_advice(target.chat, timezone.now()) if target.pk and may_be_activated(target.sfc) else ""
