"""Rows that are locked and read by one statement: what a claim holds is what it judges by.

Statements by hand: a claim of one message asks some fifteen of them, and making SQL anew each time took Django longer
than answering it takes the database.
"""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, Literal, TypeVar

from django.db import connection, models

Lock = Literal["FOR SHARE", "FOR NO KEY UPDATE", "FOR UPDATE SKIP LOCKED"]
Row = TypeVar("Row", bound=models.Model)


def hold(model: type[Row], ids: Collection[Any], lock: Lock, *, but: tuple[str, ...] = ()) -> dict[Any, Row]:
    """These rows by id, locked in the order of their ids until the transaction ends; without the columns `but`."""
    if not ids:
        return {}
    found = select(model, f"WHERE id = ANY(%s) ORDER BY id {lock}", [sorted(ids)], but=but)
    return {row.pk: row for row in found}


def select(model: type[Row], rest: str, params: Sequence[Any], *, but: tuple[str, ...] = ()) -> list[Row]:
    """The rows of SELECT … FROM the model's table and `rest`; a column in `but` is read when somebody asks for it.

    Raises TypeError for fields that are converted (encrypted ones, JSON) and not among `but`.
    """
    names, columns = _columns(model, but)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {connection.ops.quote_name(model._meta.db_table)} {rest}", params)
        return [model.from_db(connection.alias, names, row) for row in cursor.fetchall()]


@cache
def _columns(model: type[models.Model], but: tuple[str, ...]) -> tuple[list[str], str]:
    fields = [field for field in model._meta.concrete_fields if field.attname not in but]
    converted = [field.attname for field in fields if hasattr(field, "from_db_value")]
    if converted:
        raise TypeError(f"{model.__name__}: {', '.join(converted)} are stored otherwise than Python sees them")
    return [field.attname for field in fields], ", ".join(
        connection.ops.quote_name(str(field.column)) for field in fields
    )
