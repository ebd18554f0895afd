"""Operations: what an operator can do to a row beside editing it. Each decodes, calls one service, and reports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import HttpRequest


@dataclass(frozen=True)
class Call:
    """Who asked for an operation, and what they typed into its form."""

    request: HttpRequest
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def by(self) -> str:
        return str(self.request.user)


def always(_row: Any) -> bool:
    return True


def when_in(*states: str, attribute: str = "state") -> Callable[[Any], bool]:
    return lambda row: getattr(row, attribute) in states


@dataclass(frozen=True)
class Operation:
    """`run(row, call)` calls one service. `when(row)` says whether a page offers it; the service decides.

    With `confirm`, `form` or `form_for(row)` it is asked for on a page of its own; with `page` it only leads to one
    that does it. `bulk` offers it for the selected rows of a list. What `removes` its row is not logged with the row's
    name, which is to be forgotten; `run` keeps what is to be kept. What `makes` another row of the kind returns it from
    `run`, and its page is shown next.
    `missing(row)` says what keeps the service from doing it now: the page that asks lists that instead of asking.
    `done` ends the sentence "NAME …"; one that depends on what `run` returned is a function of that. `right` is the
    permission that it needs; without one, that to change the model.
    """

    name: str
    label: str
    run: Callable[[Any, Call], object]
    done: str | Callable[[Any], str]
    icon: str = ""
    variant: str = "default"
    when: Callable[[Any], bool] = always
    confirm: str = ""
    form: type[forms.Form] | None = None
    form_for: Callable[[Any], type[forms.Form]] | None = None
    bulk: bool = False
    page: bool = False
    removes: bool = False
    makes: bool = False
    right: str = ""
    missing: Callable[[Any], Sequence[str]] | None = None

    def told(self, result: object) -> str:
        return self.done if isinstance(self.done, str) else self.done(result)

    def missing_of(self, row: Any) -> list[str]:
        return [] if self.missing is None else list(self.missing(row))

    @property
    def asks(self) -> bool:
        return bool(self.confirm or self.form or self.form_for or self.page)

    def bound_form(self, request: HttpRequest, *, submitted: bool, row: Any = None) -> forms.Form:
        form_class = self.form_for(row) if self.form_for is not None else self.form or forms.Form
        return form_class(request.POST, request.FILES) if submitted else form_class()


@dataclass(frozen=True)
class Offer:
    """An operation as a page offers it for one row."""

    operation: Operation
    url: str
