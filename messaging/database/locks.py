"""Locks on several rows at once, and on what is no row."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.db import connection, transaction
from django.db.models import QuerySet

from messaging.database.listen import connect_direct


def rows_lock(rows: QuerySet[Any]) -> list[Any]:
    """Lock these rows until the transaction ends, in the order of their primary keys, and return the keys.

    Before an UPDATE or DELETE of several rows that others change too: by itself it locks them as it comes to them, and
    two transactions that come to them in different orders end in a deadlock.
    """
    return list(_in_order(rows))


def rows_lock_with(rows: QuerySet[Any], *, pk: Any) -> bool:
    """As `rows_lock`, where the rows may be too many to read all their keys; whether the row `pk` is one of them."""
    sql, params = _in_order(rows).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT bool_or(pk = %s) FROM ({sql}) AS locked (pk)", [pk, *params])
        return bool(cursor.fetchone()[0])


def _in_order(rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    return rows.order_by("pk").select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True)


@transaction.atomic
def rows_change(rows: QuerySet[Any], **values: Any) -> int:
    """UPDATE several rows, in the order of their primary keys; how many."""
    return rows.model._default_manager.filter(pk__in=rows_lock(rows)).update(**values)


@transaction.atomic
def rows_delete(rows: QuerySet[Any]) -> int:
    """DELETE several rows, in the order of their primary keys; how many, with what belonged to them."""
    return rows.model._default_manager.filter(pk__in=rows_lock(rows)).delete()[0]


@contextmanager
def connection_lock(number: int) -> Iterator[bool]:
    """Whether nobody else has the advisory lock of this number (64 bits); if so, it is held meanwhile.

    By a connection of its own and without a transaction: it may last as long as a step at Telegram. A lost connection
    loses it.
    """
    with connection.wrap_database_errors:
        holder = connect_direct("coolthing-lock")
    try:
        with connection.wrap_database_errors:
            row = holder.execute("SELECT pg_try_advisory_lock(%s)", [number]).fetchone()
        yield row is not None and row[0]
    finally:
        # Said to the server, which notices only later that a connection was closed.
        with suppress(psycopg.Error):
            holder.execute("SELECT pg_advisory_unlock_all()")
        holder.close()
