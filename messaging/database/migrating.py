"""What a migration does to rows of a table that may be large, while the product works on."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import transaction

# Rows a statement: short locks, and little that is done again when the migration is interrupted.
BATCH = 5_000

# Locked in the order of their keys, as everywhere.
_NEXT = "SELECT id FROM {table} WHERE id > %s ORDER BY id LIMIT {batch} FOR NO KEY UPDATE"


def in_batches(table: str, statement: str) -> Callable[[Any, Any], None]:
    """For RunPython in a migration that is not atomic: execute `statement` for all rows of a table whose key is a UUID,
    each time for those BETWEEN %(first)s AND %(last)s. It may be executed again for rows that it has changed already.
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
