"""Pickers that offer only suitable rows.

A form declares for a foreign key which rows are suitable and what is wrong with the others. The picker offers the
suitable rows, and the form refuses any other choice with the reason. A stored choice that has become unsuitable stays,
with the reason as its help text, so an operator can still change the other fields.
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

# The parameter with the id of the row whose form requests choices. Filters of lists do not send it and offer all rows.
ROW_PARAMETER = "for_row"


@dataclass(frozen=True)
class Suitable:
    """`rows(row)` returns the rows to offer on the form of `row`; `row` is None for a new row.

    `problem(choice)` explains in a sentence why a choice does not work and what to do; it is empty if the choice works.
    """

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
    """Register the suitable rows of `form` for the pickers of the model with the label `model`.

    Call it from an admin module, once for each model.
    """
    for name, suitable in form.suitable.items():
        _offered[model.lower(), name] = suitable
    return form


def narrowed(request: HttpRequest, choices: QuerySet[Any]) -> QuerySet[Any]:
    """The suitable rows of `choices` for a request of a picker; all of `choices` for any other request."""
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
