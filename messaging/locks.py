"""Locks on several rows at once."""

from typing import Any

from django.db.models import QuerySet


def rows_lock(rows: QuerySet[Any]) -> list[Any]:
    """Lock these rows until the transaction ends, in the order of their primary keys, and return the keys.

    Before an UPDATE or DELETE of several rows that others change too: by itself it locks them as it comes to them, and
    two transactions that come to them in different orders end in a deadlock.
    """
    return list(rows.order_by("pk").select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))
