"""People whom nobody writes to again."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import display

from campaigns import services
from campaigns.models import Suppression
from panelkit.base import PanelAdmin
from panelkit.labels import choice_label


@admin.register(Suppression)
class SuppressionAdmin(PanelAdmin):
    list_display = ("person", "telegram_user_id", "source_label", "reason", "created_at")
    list_filter = (("source", ChoicesDropdownFilter), ("created_at", RangeDateTimeFilter))
    search_fields = ("username", "=telegram_user_id", "reason")
    ordering = ("-created_at",)
    fields = ("username", "telegram_user_id", "reason")

    source_label = choice_label("source")

    @display(description="person", ordering="username")
    def person(self, suppression: Suppression) -> str:
        return str(suppression)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Suppression | None = None) -> bool:
        """What a person asked for stays; an operator's own entry may have been a mistake."""
        by_operator = obj is not None and obj.source == Suppression.Source.OPERATOR
        return by_operator and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        obj.pk = services.suppression_add(
            telegram_user_id=obj.telegram_user_id,
            username=obj.username,
            source=Suppression.Source.OPERATOR,
            reason=obj.reason,
        ).pk
