"""Counts in list columns, computed for the rows of the page alone."""

from typing import Any

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce


def related_count(rows: QuerySet[Any], *, by: str) -> Coalesce:
    """The number of `rows` whose foreign key `by` refers to the listed row.

    Unlike Count over a join, it does not group the listed rows.
    """
    per_row = rows.filter(**{by: OuterRef("pk")}).order_by().values(by).annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(per_row, output_field=IntegerField()), 0)
