"""The base class of the pages whose rows the gate reads."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from campaigns.policy import notices
from panelkit.base import PanelAdmin


class PolicyAdmin(PanelAdmin):
    """A page for rows that the gate reads: after a change is committed, the gate checks waiting deliveries again."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        notices.rules_changed()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        notices.rules_changed()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, queryset)
        notices.rules_changed()
