"""The forms of lines. They refuse what an activation would refuse, so that the writer can correct it at once."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.text import capfirst

from panelkit.forms.suitable import Suitable, SuitableForm, offer
from scripts.checks import text_problem
from scripts.models import Line, Slot

NOT_BEFORE = "A line can reply only to a line before it. Choose an earlier line."


class LineForm(SuitableForm):
    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if problem := text_problem(text):
            raise forms.ValidationError(f"{capfirst(problem)}.")
        return text


class LineRowForm(LineForm):
    """A line on its script's page. `LineFormSet` checks the order of the lines."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        answered, line = self.fields.get("reply_to"), self.instance
        if isinstance(answered, forms.ModelChoiceField) and not line._state.adding:
            choices: Any = answered.choices
            answered.choices = [(value, label) for value, label in choices if _answerable(line, value)]


class LinePageForm(LineForm):
    """A line on a page of its own. The form of a new line also chooses the script."""

    suitable = {
        "slot": Suitable(lambda line: _slots(line), lambda _slot: ""),
        "reply_to": Suitable(lambda line: earlier(line) if line else Line.objects.all(), lambda _line: ""),
    }

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        script = given["script"].pk if given.get("script") else self.instance.script_id
        position, slot, answered = (given.get(name) for name in ("position", "slot", "reply_to"))
        if slot is not None and slot.script_id != script:
            self.add_error("slot", "This slot belongs to another script.")
        if answered is not None and answered.script_id != script:
            self.add_error("reply_to", "This line belongs to another script.")
        elif answered is not None and position is not None and answered.position >= position:
            self.add_error("reply_to", NOT_BEFORE)
        if position is not None and (later := self._answered_by(position)):
            self.add_error("position", f"Line {later.key} replies to this line and must come after it.")
        return given

    def _answered_by(self, position: int) -> Line | None:
        return Line.objects.filter(reply_to=self.instance.pk, position__lte=position).order_by("position").first()


def _answerable(line: Line, value: Any) -> bool:
    """Whether the line may reply to this choice. A stored choice stays, even if it now comes after the line."""
    return not value or value.value == line.reply_to_id or value.instance.position < line.position


def earlier(line: Line) -> QuerySet[Line]:
    return Line.objects.filter(script=line.script_id, position__lt=line.position)


def _slots(line: Line | None) -> QuerySet[Slot]:
    return Slot.objects.filter(script=line.script_id) if line else Slot.objects.all()


offer(LinePageForm, "scripts.Line")


class LineFormSet(forms.BaseInlineFormSet):
    """All lines of a script, in the order of the submitted positions."""

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
