"""Makes rows match the seed file, and reports each change."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from coolthing_site.seeding.report import Report

AnyModel = TypeVar("AnyModel", bound=Model)


def put(
    report: Report,
    model: type[AnyModel],
    where: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    name: str,
    at_first: Mapping[str, Any] | None = None,
    written: Sequence[str] = (),
) -> AnyModel:
    """Create or update the row with the unique values `where`, so that it has `values`, and report this.

    `at_first` contains further values of a new row. `written` names fields that a service has already changed.
    """
    kind = str(model._meta.verbose_name)
    row = model._default_manager.filter(**where).first()
    if row is None:
        report.add("created", kind, name)
        return model._default_manager.create(**where, **values, **(at_first or {}))
    changed = [field for field, value in values.items() if getattr(row, field) != value]
    if not changed and not written:
        report.add("unchanged", kind, name)
        return row
    for field in changed:
        setattr(row, field, values[field])
    if changed:
        row.save(update_fields=changed)
    report.add("updated", kind, name, ", ".join(field.removesuffix("_id") for field in [*written, *changed]))
    return row


def drop(report: Report, rows: QuerySet[Any] | Iterable[Model], *, name: str) -> None:
    """Delete rows that the file no longer contains. "{}" in `name` stands for the row."""
    for row in list(rows):
        report.add("removed", str(row._meta.verbose_name), name.format(row))
        row.delete()
