"""The forms of lines: each refuses what an activation would refuse, while its writer is still there."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.text import capfirst

from panelkit.forms.suitable import Suitable, SuitableForm, offer
from scripts.checks import text_problem
from scripts.models import Line, Slot

NOT_BEFORE = "A line answers one that is said before it: choose an earlier one."


class LineForm(SuitableForm):
    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if problem := text_problem(text):
            raise forms.ValidationError(f"{capfirst(problem)}.")
        return text


class LineRowForm(LineForm):
    """Of a line among the others of its script, which `choices` holds: its order is for `LineFormSet` to judge."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        answered, line = self.fields.get("reply_to"), self.instance
        if isinstance(answered, forms.ModelChoiceField) and not line._state.adding:
            choices: Any = answered.choices
            answered.choices = [(value, label) for value, label in choices if _answerable(line, value)]


class LinePageForm(LineForm):
    """Of one line by itself. Which script a new one is for is chosen in the same form."""

    suitable = {
        "slot": Suitable(lambda line: _slots(line), lambda _slot: ""),
        "reply_to": Suitable(lambda line: earlier(line) if line else Line.objects.all(), lambda _line: ""),
    }

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        script = given["script"].pk if given.get("script") else self.instance.script_id
        position, slot, answered = (given.get(name) for name in ("position", "slot", "reply_to"))
        if slot is not None and slot.script_id != script:
            self.add_error("slot", "This is a slot of another script.")
        if answered is not None and answered.script_id != script:
            self.add_error("reply_to", "This is a line of another script.")
        elif answered is not None and position is not None and answered.position >= position:
            self.add_error("reply_to", NOT_BEFORE)
        if position is not None and (later := self._answered_by(position)):
            self.add_error("position", f"Line {later.key} answers this one, which has to stay before it.")
        return given

    def _answered_by(self, position: int) -> Line | None:
        return Line.objects.filter(reply_to=self.instance.pk, position__lte=position).order_by("position").first()


def _answerable(line: Line, value: Any) -> bool:
    """The stored one stays also when it has got behind the line meanwhile."""
    return not value or value.value == line.reply_to_id or value.instance.position < line.position


def earlier(line: Line) -> QuerySet[Line]:
    return Line.objects.filter(script=line.script_id, position__lt=line.position)


def _slots(line: Line | None) -> QuerySet[Slot]:
    return Slot.objects.filter(script=line.script_id) if line else Slot.objects.all()


offer(LinePageForm, "scripts.Line")


class LineFormSet(forms.BaseInlineFormSet):
    """All lines of a script: their order is that of the positions in this submit."""

    def clean(self) -> None:
        super().clean()
        positions = {form.instance.pk: form.cleaned_data.get("position") for form in self._kept()}
        for form in self._kept():
            answered, position = form.cleaned_data.get("reply_to"), form.cleaned_data.get("position")
            if answered is None or position is None:
                continue
            place = positions.get(answered.pk, answered.position)
            if place is not None and place >= position:
                form.add_error("reply_to", NOT_BEFORE)

    def _kept(self) -> Iterator[Any]:
        return (form for form in self.forms if getattr(form, "cleaned_data", None) and form not in self.deleted_forms)
