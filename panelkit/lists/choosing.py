"""The rows that a list action applies to: the selected rows, or all rows that match the list's filters."""

import re
from dataclasses import dataclass

from django.contrib.admin import helpers
from django.contrib.admin.views.main import ALL_VAR, ORDER_VAR, PAGE_VAR, SEARCH_VAR
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.http import HttpRequest

from panelkit.labels import short_choice

# A list's parameters that filter nothing.
_NO_FILTERS = frozenset({ALL_VAR, ORDER_VAR, PAGE_VAR})
# The parameters of a range of times: a date and a time for each end.
_END_OF_RANGE = re.compile(r"(.+_(?:from|to))_[01]")


@dataclass(frozen=True)
class Chosen:
    """`what` describes the rows for operators and records. The confirmation page repeats `hidden` in its form."""

    what: str
    hidden: list[tuple[str, str]]


def chosen_for(request: HttpRequest, *, action: str, model: type[Model], noun: str) -> Chosen:
    """The rows that the list's form submitted for `action`; `noun` is the plural name of the rows."""
    across = request.POST.get("select_across", "0")
    ticked = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
    what = all_matching(request, model=model, noun=noun) if across == "1" else f"{len(ticked)} {noun} selected by hand"
    # Django requires one selected row even for all matching rows.
    named = ticked[:1] if across == "1" else ticked
    hidden = [("action", action), ("select_across", across), ("index", "0")]
    return Chosen(what, [*hidden, *((helpers.ACTION_CHECKBOX_NAME, pk) for pk in named)])


def all_matching(request: HttpRequest, *, model: type[Model], noun: str) -> str:
    """The filters of the model's list in words. The list has accepted them already."""
    filters: dict[str, list[str]] = {}
    for parameter, value in request.GET.dict().items():
        if value and parameter not in _NO_FILTERS:
            name, shown = _in_words(model, parameter, value)
            filters.setdefault(name, []).append(shown)
    texts = [f'{name} "{" ".join(values)}"' for name, values in filters.items()]
    return f"all {noun} with {', '.join(texts)}" if texts else f"all {noun}"


def _in_words(model: type[Model], parameter: str, value: str) -> tuple[str, str]:
    """A filter's name and value as the page shows them: ("purpose", "Reply") for `purpose__exact=reply`."""
    if parameter == SEARCH_VAR:
        return "text", value
    if end := _END_OF_RANGE.fullmatch(parameter):
        return end[1].replace("_", " "), value
    path = parameter.removesuffix("__exact").removesuffix("__id")
    return re.sub("_+", " ", path), _shown(model, path, value)


def _shown(model: type[Model], path: str, value: str) -> str:
    try:
        field = model._meta.get_field(path)
    except FieldDoesNotExist:
        # A filter that is not a field.
        return value
    if field.related_model is not None:
        row = field.related_model._base_manager.filter(pk=value).first()
        return str(row or value)
    return short_choice(dict(getattr(field, "flatchoices", ())).get(value, value))
