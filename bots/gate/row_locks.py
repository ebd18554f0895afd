"""SQL statements that lock rows and read them in one step, so that a claim judges exactly the rows that it has locked.

They are written by hand. A claim of one message needs some fifteen statements, and Django took longer to build their
SQL than the database takes to answer.
"""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar

from django.db import connection, models

Lock = Literal["FOR SHARE", "FOR NO KEY UPDATE"]
Row = TypeVar("Row", bound=models.Model)


class Statement(NamedTuple):
    """An SQL statement with its parameters, and a function that converts the rows of its result."""

    sql: str
    params: Sequence[Any]
    read: Callable[[list[Any]], Any] = list


def execute(*statements: Statement) -> list[Any]:
    """Run the statements in order, in one round trip to the database. Returns each result, converted by `read`.

    The database gets one text that contains the parameters. That requires client-side binding, which is Django's
    default.
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


def locking(
    model: type[models.Model], ids: Collection[Any], lock: Lock, *, deferred: tuple[str, ...] = ()
) -> Statement:
    """The rows by id, locked in the order of their ids until the transaction ends.

    The columns in `deferred` are not loaded.
    """
    wanted = selecting(model, f"WHERE id = ANY(%s) ORDER BY id {lock}", [sorted(ids)], deferred=deferred)
    return wanted._replace(read=lambda rows: {row.pk: row for row in wanted.read(rows)})


def selecting(
    model: type[models.Model], rest: str, params: Sequence[Any], *, deferred: tuple[str, ...] = ()
) -> Statement:
    """A statement for the rows of "SELECT … FROM" the model's table followed by `rest`.

    The columns in `deferred` are not loaded. Raises TypeError if the model has fields that are converted when they are
    read (encrypted, JSON) and that are not in `deferred`.
    """
    names, columns = _columns(model, deferred)
    sql = f"SELECT {columns} FROM {connection.ops.quote_name(model._meta.db_table)} {rest}"
    return Statement(sql, params, lambda rows: [model.from_db(connection.alias, names, row) for row in rows])


def select(model: type[Row], rest: str, params: Sequence[Any]) -> list[Row]:
    """Run `selecting` and return the rows."""
    rows: list[Row] = execute(selecting(model, rest, params))[0]
    return rows


@cache
def _columns(model: type[models.Model], deferred: tuple[str, ...]) -> tuple[list[str], str]:
    fields = [field for field in model._meta.concrete_fields if field.attname not in deferred]
    converted = [field.attname for field in fields if hasattr(field, "from_db_value")]
    if converted:
        raise TypeError(f"{model.__name__}: {', '.join(converted)} are converted when they are read: defer them")
    return [field.attname for field in fields], ", ".join(
        connection.ops.quote_name(str(field.column)) for field in fields
    )
