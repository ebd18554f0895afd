"""What an action on many rows of a list is about: those that are ticked, or all that the list's filters match."""

from dataclasses import dataclass

from django.contrib.admin import helpers
from django.http import HttpRequest


@dataclass(frozen=True)
class Chosen:
    """`what` says it in words, for whoever reads it later; a page that asks first repeats `hidden` in its form."""

    what: str
    hidden: list[tuple[str, str]]


def chosen_for(request: HttpRequest, *, action: str, noun: str) -> Chosen:
    """What the list's form has chosen for `action`; `noun` is what its rows are called."""
    across = request.POST.get("select_across", "0")
    ticked = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
    what = all_matching(request, noun=noun) if across == "1" else f"{len(ticked)} {noun} picked by hand"
    # Of all that match, Django wants one to be ticked.
    named = ticked[:1] if across == "1" else ticked
    hidden = [("action", action), ("select_across", across), ("index", "0")]
    return Chosen(what, [*hidden, *((helpers.ACTION_CHECKBOX_NAME, pk) for pk in named)])


def all_matching(request: HttpRequest, *, noun: str) -> str:
    """The list's filters in words."""
    filters = [f'{name} "{value}"' for name, value in request.GET.items() if value and name not in ("p", "o", "all")]
    return f"all {noun} with {', '.join(filters)}" if filters else f"all {noun}"
