"""SQL statements that lock rows and read them at once, so that a claim judges by what it has locked.

They are written by hand: a claim of one message needs some fifteen of them, and Django took longer to build their SQL
each time than the database takes to answer.
"""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar

from django.db import connection, models

Lock = Literal["FOR SHARE", "FOR NO KEY UPDATE"]
Row = TypeVar("Row", bound=models.Model)


class Statement(NamedTuple):
    """What to ask, and what to make of the rows."""

    sql: str
    params: Sequence[Any]
    read: Callable[[list[Any]], Any] = list


def ask(*statements: Statement) -> list[Any]:
    """One after the other, on one way to the database and back. What each of them found, as its `read` makes it.

    They are one text to the database, with the values in it: that needs Django's default, binding on our side.
    """
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            ";".join(statement.sql for statement in statements),
            [value for statement in statements for value in statement.params],
        )
        for number, statement in enumerate(statements):
            if number:
                cursor.nextset()
            found.append(statement.read(cursor.fetchall()))
    return found


def holding(model: type[models.Model], ids: Collection[Any], lock: Lock, *, but: tuple[str, ...] = ()) -> Statement:
    """These rows by id, locked in the order of their ids until the transaction ends; without the columns `but`."""
    wanted = selecting(model, f"WHERE id = ANY(%s) ORDER BY id {lock}", [sorted(ids)], but=but)
    return wanted._replace(read=lambda rows: {row.pk: row for row in wanted.read(rows)})


def selecting(model: type[models.Model], rest: str, params: Sequence[Any], *, but: tuple[str, ...] = ()) -> Statement:
    """The rows of SELECT … FROM the model's table and `rest`; a column in `but` is read when somebody asks for it.

    Raises TypeError for fields that are converted (encrypted ones, JSON) and not among `but`.
    """
    names, columns = _columns(model, but)
    sql = f"SELECT {columns} FROM {connection.ops.quote_name(model._meta.db_table)} {rest}"
    return Statement(sql, params, lambda rows: [model.from_db(connection.alias, names, row) for row in rows])


def select(model: type[Row], rest: str, params: Sequence[Any]) -> list[Row]:
    """What `selecting` finds."""
    rows: list[Row] = ask(selecting(model, rest, params))[0]
    return rows


@cache
def _columns(model: type[models.Model], but: tuple[str, ...]) -> tuple[list[str], str]:
    fields = [field for field in model._meta.concrete_fields if field.attname not in but]
    converted = [field.attname for field in fields if hasattr(field, "from_db_value")]
    if converted:
        raise TypeError(f"{model.__name__}: {', '.join(converted)} are stored otherwise than Python sees them")
    return [field.attname for field in fields], ", ".join(
        connection.ops.quote_name(str(field.column)) for field in fields
    )
