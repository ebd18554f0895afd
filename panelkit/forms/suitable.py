"""Form fields that offer only the rows that work.

A form names for a foreign key which rows are suitable and what is wrong with others. Its picker offers the suitable
ones, a choice that is not is refused with the reason, and a stored one that has become unsuitable stays, with the
reason beside it: whoever saves something else of the row is not made to change it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.apps import apps
from django.contrib.admin.widgets import AutocompleteMixin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

# Names the row whose form asks for choices. Filters of lists ask without it: they offer everything.
ROW_PARAMETER = "for_row"


@dataclass(frozen=True)
class Suitable:
    """`rows(row)` are offered on the form of `row`, which is None on that of a new one; `problem(choice)` is a sentence
    that says why a choice does not work and what to do, empty when it does."""

    rows: Callable[[Any], QuerySet[Any]]
    problem: Callable[[Any], str]


_offered: dict[tuple[str, str], Suitable] = {}


class SuitableForm(forms.ModelForm):
    suitable: ClassVar[dict[str, Suitable]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, suitable in self.suitable.items():
            if name in self.fields:
                self._offer(name, suitable)

    def _offer(self, name: str, suitable: Suitable) -> None:
        field = self.fields[name]
        stored = None if self.instance._state.adding else getattr(self.instance, name)
        if stored is not None and (problem := suitable.problem(stored)):
            field.help_text = problem
        widget = getattr(field.widget, "widget", field.widget)
        if isinstance(widget, AutocompleteMixin):
            url, row = widget.get_url(), "" if stored is None else str(self.instance.pk)
            widget.attrs["data-ajax--url"] = f"{url}?{urlencode({ROW_PARAMETER: row})}"

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        for name, suitable in self.suitable.items():
            choice = given.get(name)
            if choice is not None and name in self.changed_data and (problem := suitable.problem(choice)):
                self.add_error(name, ValidationError(problem))
        return given


def offer(form: type[SuitableForm], model: str) -> type[SuitableForm]:
    """Make the pickers of `model`'s forms (a label) ask for what is suitable in `form`. Call it from an
    admin module, once for each model."""
    for name, suitable in form.suitable.items():
        _offered[model.lower(), name] = suitable
    return form


def narrowed(request: HttpRequest, choices: QuerySet[Any]) -> QuerySet[Any]:
    """Of the rows that a picker would offer, the suitable ones; all of them to whoever else searches."""
    match = request.resolver_match
    if match is None or match.url_name != "autocomplete" or ROW_PARAMETER not in request.GET:
        return choices
    model = f"{request.GET['app_label']}.{request.GET['model_name']}"
    suitable = _offered.get((model.lower(), request.GET["field_name"]))
    if suitable is None:
        return choices
    return choices.filter(pk__in=suitable.rows(_row(model, request.GET[ROW_PARAMETER])).values("pk"))


def _row(model: str, key: str) -> Any:
    if not key:
        return None
    try:
        return apps.get_model(model)._default_manager.filter(pk=key).first()
    except (ValueError, ValidationError):
        return None
