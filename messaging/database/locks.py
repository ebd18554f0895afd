"""Locks on several rows at once, and locks on a number (PostgreSQL's advisory locks)."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.db import connection, transaction
from django.db.models import QuerySet

from messaging.database.listen import connect_direct


def rows_lock(rows: QuerySet[Any]) -> list[Any]:
    """Lock these rows until the transaction ends, in the order of their primary keys, and return the keys.

    Call it before an UPDATE or DELETE of several rows that other transactions change too. Without it the statement
    locks rows in the order in which it finds them, and two transactions with different orders end in a deadlock.
    """
    return list(_in_order(rows))


def rows_lock_with(rows: QuerySet[Any], *, pk: Any) -> bool:
    """Lock rows as `rows_lock` does, but do not load their keys; return whether the row `pk` is one of them."""
    sql, params = _in_order(rows).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT bool_or(pk = %s) FROM ({sql}) AS locked (pk)", [pk, *params])
        return bool(cursor.fetchone()[0])


def _in_order(rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    return rows.order_by("pk").select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True)


@transaction.atomic
def rows_change(rows: QuerySet[Any], **values: Any) -> int:
    """UPDATE several rows, locked in the order of their primary keys. Returns the number of updated rows."""
    return rows.model._default_manager.filter(pk__in=rows_lock(rows)).update(**values)


@transaction.atomic
def rows_delete(rows: QuerySet[Any]) -> int:
    """DELETE several rows, locked in the order of their primary keys.

    Returns the number of deleted rows, including rows of other tables that were deleted by cascade.
    """
    return rows.model._default_manager.filter(pk__in=rows_lock(rows)).delete()[0]


@contextmanager
def connection_lock(number: int) -> Iterator[bool]:
    """Try to take the advisory lock with this number (64 bits) and yield whether that succeeded. Never waits.

    The lock is released when the block ends. It has a connection of its own and no transaction, so the block may last
    as long as a call to Telegram. If the connection is lost, so is the lock.
    """
    with connection.wrap_database_errors:
        holder = connect_direct("coolthing-lock")
    try:
        with connection.wrap_database_errors:
            row = holder.execute("SELECT pg_try_advisory_lock(%s)", [number]).fetchone()
        yield row is not None and row[0]
    finally:
        # Unlock explicitly: the server notices only later that the connection was closed.
        with suppress(psycopg.Error):
            holder.execute("SELECT pg_advisory_unlock_all()")
        holder.close()
