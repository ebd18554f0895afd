"""Filters of the list of dead letters by common values."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

from messaging.event_objects import CAMPAIGN_FIELD, names_of
from messaging.models import DeadLetter
from panelkit.lists.bounded_counts import values_of

# A filter with more choices would be unusable; operators can search instead.
_MOST_CHOICES = 200
_NONE = "-"
# RabbitMQ's reasons, and the two reasons of CoolThing: unroutable and unpublished.
REASONS = ("rejected", "expired", "delivery_limit", "maxlen", "unroutable", "unpublished")


class DistinctFilter(DropdownFilter):
    """Offers the column's values, read from an index. `empty` is the label of the empty value."""

    column = ""
    empty = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = values_of(DeadLetter, self.column, most=_MOST_CHOICES)
        named = self.named([value for value in found if value])
        if self.empty and ("" in found or self._any_null()):
            named.append((_NONE, self.empty))
        return named

    def _any_null(self) -> bool:
        column = DeadLetter._meta.get_field(self.column)
        return bool(column.null) and DeadLetter.objects.filter(**{self.column: None}).exists()

    def named(self, values: list[Any]) -> list[tuple[str, str]]:
        return [(str(value), str(value)) for value in values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        value = self.value()
        if not value:
            return queryset
        return queryset.filter(**{self.column: "" if value == _NONE else value})


class QueueFilter(DistinctFilter):
    title, parameter_name, column, empty = "queue", "queue", "queue", "unroutable"


class TypeFilter(DistinctFilter):
    title, parameter_name, column = "type", "type", "event_type"


class ReasonFilter(DropdownFilter):
    title = parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason, reason) for reason in REASONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        return queryset.filter(reason=self.value()) if self.value() else queryset


class ErrorFilter(DistinctFilter):
    title, parameter_name, column, empty = "error class", "error", "error_class", "none"


class CampaignFilter(DistinctFilter):
    title, parameter_name, column, empty = "campaign", "campaign", "campaign_id", "none"

    def named(self, values: list[Any]) -> list[tuple[str, str]]:
        names = names_of(CAMPAIGN_FIELD, values)
        return sorted(((str(value), names.get(value, str(value))) for value in values), key=lambda pair: pair[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        value = self.value()
        if value == _NONE:
            return queryset.filter(campaign_id__isnull=True)
        try:
            return queryset.filter(campaign_id=UUID(value)) if value else queryset
        except ValueError:
            return queryset.none()
