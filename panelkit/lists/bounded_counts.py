"""Change lists of large tables: they count rows only up to a bound."""

from typing import Any

from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.views import ChangeList

# Counting a million rows takes a second; nobody pages this far: who has so many rows filters them.
MOST_COUNTED = 10_000


class AtLeast(int):
    """A count that was ended at its bound. As text it says so."""

    def __str__(self) -> str:
        return f"{int(self)}+"


def count_of(rows: QuerySet[Any], most: int = MOST_COUNTED) -> int:
    """How many rows there are, `AtLeast(most)` when there are more."""
    found = rows.order_by()[: most + 1].count()
    return AtLeast(most) if found > most else found


class BoundedPaginator(Paginator):
    """Of more rows than are counted it has the first pages."""

    @cached_property
    def count(self) -> int:
        return count_of(self.object_list) if isinstance(self.object_list, QuerySet) else len(self.object_list)


class BoundedChangeList(ChangeList):
    """Counts the rows without filters only where there are filters, and up to the bound as well."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.model_admin.show_full_result_count is False and isinstance(self.paginator, BoundedPaginator):
            chosen = self.query or self.has_active_filters
            self.full_result_count = count_of(self.root_queryset) if chosen else self.result_count
            self.show_full_result_count = True
            self.show_admin_actions = bool(self.full_result_count)


# From one value of an index to the next, so that it costs as much as there are values, not rows.
_DISTINCT = """
    WITH RECURSIVE found(value) AS (
        (SELECT {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY {column} LIMIT 1)
        UNION ALL
        SELECT (SELECT {column} FROM {table} WHERE {column} > found.value ORDER BY {column} LIMIT 1)
        FROM found WHERE value IS NOT NULL
    )
    SELECT value FROM found WHERE value IS NOT NULL LIMIT %s
"""


def values_of(model: type[Model], column: str, *, most: int) -> list[Any]:
    """The values that a column has, in order; not null. The column must be the first of an index."""
    names = connection.ops.quote_name
    statement = _DISTINCT.format(column=names(column), table=names(model._meta.db_table))
    with connection.cursor() as cursor:
        cursor.execute(statement, [most])
        return [row[0] for row in cursor.fetchall()]
