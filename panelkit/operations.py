"""Operations: what operators can do to a row besides editing it.

An operation decodes the request, calls one service and reports the result.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import HttpRequest


@dataclass(frozen=True)
class Call:
    """The request for an operation, and the cleaned data of its form."""

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
    """An operation on a row.

    - `run(row, call)` calls one service.
    - `when(row)` decides whether the row's page offers the operation. The service may still refuse it.
    - `confirm`, `form`, `form_for(row)`: a page of its own asks for confirmation or for the form's values first.
    - `page`: the operation is only a link to another page, which does the work.
    - `bulk`: lists offer the operation for the selected rows.
    - `removes`: `run` removes the row. The panel then neither logs the operation nor shows the row's name, which is
      meant to be forgotten; `run` itself records what has to stay on record.
    - `makes`: `run` creates another row of the model and returns it; the panel shows that row's page next.
    - `missing(row)` returns what prevents the operation now. The confirmation page lists these reasons.
    - `done` completes the sentence "NAME …" that reports success, or is a function that makes it from `run`'s result.
    - `right` is the permission that the operation needs; if it is empty, the permission to change the model.
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

    def result_text(self, result: object) -> str:
        return self.done if isinstance(self.done, str) else self.done(result)

    def missing_of(self, row: Any) -> list[str]:
        return [] if self.missing is None else list(self.missing(row))

    @property
    def has_page(self) -> bool:
        return bool(self.confirm or self.form or self.form_for or self.page)

    def bound_form(self, request: HttpRequest, *, submitted: bool, row: Any = None) -> forms.Form:
        form_class = self.form_for(row) if self.form_for is not None else self.form or forms.Form
        return form_class(request.POST, request.FILES) if submitted else form_class()


@dataclass(frozen=True)
class Offer:
    """An operation that a row's page offers, with the URL of its button."""

    operation: Operation
    url: str
