"""Counts the rows that Django deletes together with a row. Django's own list would load the name of each of them."""

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import NestedObjects, model_ngettext
from django.contrib.auth import get_permission_codename
from django.db import router
from django.db.models import Model
from django.http import HttpRequest

Consequences = tuple[list[str], dict[str, int], set[str], list[str]]


def consequences(rows: Iterable[Any], request: HttpRequest, site: AdminSite) -> Consequences:
    """The result of `ModelAdmin.get_deleted_objects`, which has four parts:

    - the names of `rows`,
    - the number of rows that would be deleted, by kind,
    - the kinds of rows that this user may not delete,
    - the rows that prevent the deletion ("12 deliveries"): protected rows, and rows whose own page allows no deletion.
    """
    rows = list(rows)
    if not rows:
        return [], {}, set(), []
    collector: Any = NestedObjects(using=router.db_for_write(type(rows[0])), origin=rows)
    collector.collect(rows)
    stays = Counter(type(row) for row in collector.protected)
    forbidden = set()
    row: Model
    for row in chain.from_iterable(collector.model_objs.values()):
        if not _has_right(row, request):
            forbidden.add(str(row._meta.verbose_name))
        elif not _page_allows(row, request, site):
            stays[type(row)] += 1
    counts = {str(model._meta.verbose_name_plural): len(found) for model, found in collector.model_objs.items()}
    return (
        [str(row) for row in rows],
        counts,
        forbidden,
        [f"{n:,} {model_ngettext(kind._meta, n)}" for kind, n in stays.items()],
    )


def _has_right(row: Model, request: HttpRequest) -> bool:
    right = get_permission_codename("delete", row._meta)
    return request.user.has_perm(f"{row._meta.app_label}.{right}")


def _page_allows(row: Model, request: HttpRequest, site: AdminSite) -> bool:
    return not site.is_registered(type(row)) or site.get_model_admin(type(row)).has_delete_permission(request, row)
