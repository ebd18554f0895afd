"""Filters of lists, in place of those of the library that do not fit."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import RangeDateTimeFilter as StockRangeDateTimeFilter
from unfold.utils import parse_datetime_str


class RangeDateTimeFilter(StockRangeDateTimeFilter):
    """Rows between two times of the current time zone. The library compares naive times, about which Django warns."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        bounds = {f"{self.field_path}__gte": self._moment("from"), f"{self.field_path}__lte": self._moment("to")}
        return queryset.filter(**{lookup: moment for lookup, moment in bounds.items() if moment is not None})

    def _moment(self, bound: str) -> datetime | None:
        """None if the operator left the field empty or entered something that is not a time."""
        day, time = (self.used_parameters.get(f"{self.parameter_name}_{bound}_{part}") for part in (0, 1))
        moment = parse_datetime_str(f"{day} {time}")
        return None if moment is None else timezone.make_aware(moment)
