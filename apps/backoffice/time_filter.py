"""The filter by a span of time, in the time zone of the page. The theme's own asks the database without a zone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import make_aware
from unfold.contrib.filters.admin import RangeDateTimeFilter  # noqa: TID251 - its one user
from unfold.utils import parse_datetime_str

_ENDS = (("from", "gte", "00:00:00"), ("to", "lte", "23:59:59.999999"))


class TimeFilter(RangeDateTimeFilter):
    """From a time to a time; a day without a time of day is meant from its beginning, or to its end."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By what can be read of it."""
        for end, lookup, default in _ENDS:
            moment = self._moment(end, default)
            if moment is not None:
                queryset = queryset.filter(**{f"{self.parameter_name}__{lookup}": moment})
        return queryset

    def _moment(self, end: str, default: str) -> datetime | None:
        day, time = (self.used_parameters.get(f"{self.parameter_name}_{end}_{part}") for part in "01")
        found = parse_datetime_str(f"{day} {time or default}") if day else None
        return make_aware(found) if found else None
