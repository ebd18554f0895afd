"""Helps migrations change the rows of large tables while the application runs."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import transaction

# Rows per statement: few, so that locks are short and an interrupted migration repeats little.
BATCH = 5_000

# Rows are locked in the order of their keys, as all code does.
_NEXT = "SELECT id FROM {table} WHERE id > %s ORDER BY id LIMIT {batch} FOR NO KEY UPDATE"


def in_batches(table: str, statement: str) -> Callable[[Any, Any], None]:
    """A function for RunPython in a non-atomic migration that executes `statement` for all rows of a table, in batches.

    The table's key must be a UUID. The statement changes the rows BETWEEN %(first)s AND %(last)s. It may be executed
    again for rows that it has changed already.
    """

    def run(_: Any, schema_editor: Any) -> None:
        last = UUID(int=0)
        while True:
            connection = schema_editor.connection
            with transaction.atomic(connection.alias), connection.cursor() as cursor:
                cursor.execute(_NEXT.format(table=table, batch=BATCH), [last])
                ids = [row[0] for row in cursor.fetchall()]
                if not ids:
                    return
                last = ids[-1]
                cursor.execute(statement, {"first": ids[0], "last": last})

    return run
