"""The forms of an assignment's cast and target chats, and why a stored row would not work now."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone

from messaging.database.clock import database_clock
from panelkit.forms.suitable import Suitable, SuitableForm, offer
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
    return "" if may_be_activated(assignment) else f"{CastFixed(str(assignment), assignment.state_name)}."


ASSIGNMENT = Suitable(lambda _row: assignments_in_preparation(), _fixed)


class PreparationForm(SuitableForm):
    """A form that is saved only while its assignment is in preparation."""

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
            self.add_error("slot", f"This slot belongs to another script. Choose a slot of {assignment.script}.")
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
    """Checks that the assignment is in preparation also when rows are only deleted."""

    def clean(self) -> None:
        super().clean()
        if self.deleted_forms:
            lock_in_preparation(self.instance.pk)


def casting_problem(casting: Casting) -> str:
    """Why a stored casting would not work now; "" if it would, or if its assignment is no longer in preparation."""
    return actor_advice(casting.bot) if casting.pk and may_be_activated(casting.assignment) else ""


def target_problem(target: Target) -> str:
    """Like `casting_problem`, for a target. The permissions of its chat are prefetched."""
    return target_advice(target.chat, timezone.now()) if target.pk and may_be_activated(target.assignment) else ""
