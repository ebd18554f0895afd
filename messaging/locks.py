"""Locks on several rows at once."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet


def rows_lock(rows: QuerySet[Any]) -> list[Any]:
    """Lock these rows until the transaction ends, in the order of their primary keys, and return the keys.

    Before an UPDATE or DELETE of several rows that others change too: by itself it locks them as it comes to them, and
    two transactions that come to them in different orders end in a deadlock.
    """
    return list(rows.order_by("pk").select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))


@transaction.atomic
def rows_change(rows: QuerySet[Any], **values: Any) -> int:
    """UPDATE several rows, in the order of their primary keys; how many."""
    return rows.model._default_manager.filter(pk__in=rows_lock(rows)).update(**values)


@transaction.atomic
def rows_delete(rows: QuerySet[Any]) -> int:
    """DELETE several rows, in the order of their primary keys; how many, with what belonged to them."""
    return rows.model._default_manager.filter(pk__in=rows_lock(rows)).delete()[0]
