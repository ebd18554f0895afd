"""Change lists of large tables: they count rows only up to a bound."""

from typing import Any

from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.views import ChangeList

# Counting a million rows takes a second. Nobody pages through this many rows: operators filter them.
MOST_COUNTED = 10_000


class AtLeast(int):
    """A count that stopped at its bound. Its text ends in a plus sign: "10000+"."""

    def __str__(self) -> str:
        return f"{int(self)}+"


def count_of(rows: QuerySet[Any], most: int = MOST_COUNTED) -> int:
    """The number of rows, or `AtLeast(most)` if there are more than `most`."""
    found = rows.order_by()[: most + 1].count()
    return AtLeast(most) if found > most else found


class BoundedPaginator(Paginator):
    """Has pages only for the rows that are counted."""

    @cached_property
    def count(self) -> int:
        return count_of(self.object_list) if isinstance(self.object_list, QuerySet) else len(self.object_list)


class BoundedChangeList(ChangeList):
    """Counts all rows, up to the bound, only if the list is filtered; otherwise the result's count is the same."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.model_admin.show_full_result_count is False and isinstance(self.paginator, BoundedPaginator):
            chosen = self.query or self.has_active_filters
            self.full_result_count = count_of(self.root_queryset) if chosen else self.result_count
            self.show_full_result_count = True
            self.show_admin_actions = bool(self.full_result_count)


# Goes from one value of the index to the next: the cost depends on the number of values, not of rows.
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
    """The first `most` distinct values of a column, sorted, without null. The column must be the first of an index."""
    names = connection.ops.quote_name
    statement = _DISTINCT.format(column=names(column), table=names(model._meta.db_table))
    with connection.cursor() as cursor:
        cursor.execute(statement, [most])
        return [row[0] for row in cursor.fetchall()]
