"""Lists too long to count: pages by the place where the last one ended (see apps.common.keyset).

A page of the back office becomes one by `keyset = ("business_day", "id")`: newest first, by fields that an index of the
same order holds. It asks for one page of rows and never for their number; columns do not sort it, and an old page costs
what the first one costs. Filters need an index that ends with the same fields, or to be rare.
"""

from __future__ import annotations

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

from apps.common import keyset

OLDER, NEWER = "older", "newer"
"""Parameters of an address: the page behind this place, and the one before it."""


PASSING = frozenset({"p", "e", "all", OLDER, NEWER, "_popup", "_to_field", "_facets", "_changelist_filters"})
"""Parameters that say which part of a list is shown, and are no part of its filter."""


class Pager:
    """What stands where others have a paginator: no numbers, only ways."""

    template_name = "backoffice/keyset_pager.html"

    def __init__(self, per_page: int) -> None:
        self.per_page = per_page
        self.newest = self.newer = self.older = ""


class KeysetChangeList(ChangeList):
    """One page of rows, and whether there are more on either side."""

    _places: dict[str, str] | None = None

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """The filtered rows. Places are no filters: links to filters lead to the newest page."""
        if self._places is None:
            self._places = {}
            for name in (OLDER, NEWER):
                self.filter_params.pop(name, None)
                if text := self.params.pop(name, ""):
                    self._places[name] = str(text)
        return super().get_queryset(request, exclude_parameters)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        """Newest first, whatever the address asks for."""
        return [f"-{name}" for name in self.model_admin.keyset]

    def get_ordering_field_columns(self) -> dict[int, str]:
        """No column is the one that sorts."""
        return {}

    def get_results(self, request: HttpRequest) -> None:
        """Ask for one row more than a page has."""
        fields = self.model_admin.keyset
        size = self.list_per_page
        pager = Pager(size)
        places = self._places or {}
        try:
            if NEWER in places:
                place = keyset.read_place(self.model, fields, places[NEWER])
                rows = list(keyset.above(self.queryset, fields, place).order_by(*fields)[: size + 1])
                more_newer, more_older = len(rows) > size, True
                rows = rows[:size][::-1]
            else:
                queryset = self.queryset
                if OLDER in places:
                    place = keyset.read_place(self.model, fields, places[OLDER])
                    queryset = keyset.below(queryset, fields, place)
                rows = list(queryset[: size + 1])
                more_newer, more_older = OLDER in places, len(rows) > size
                rows = rows[:size]
        except keyset.BadPlace as error:
            raise IncorrectLookupParameters from error
        if places:
            pager.newest = self.get_query_string()
        if rows and more_newer:
            pager.newer = self.get_query_string({NEWER: keyset.write_place(rows[0], fields)})
        if rows and more_older:
            pager.older = self.get_query_string({OLDER: keyset.write_place(rows[-1], fields)})
        self.result_list = rows
        self.result_count = self.full_result_count = len(rows)
        self.show_full_result_count = False
        self.show_admin_actions = bool(rows)
        self.can_show_all = False
        self.multi_page = False
        self.paginator = pager
