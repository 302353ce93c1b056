"""What waits for a person: a registry that every app adds its own to, shown on the overview with the worst first.

An entry counts rows of a list and leads to it. What the person may not see is not counted, and where a place is
chosen (some stations, a pile, a gun) only what is there, unless the rows belong to no place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from apps.backoffice import scope


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody looks. `stations` are ids, None for all that the person sees; a pile or gun narrows further.

    Of a `franchisee` (its id) only those days of a station count on which the station was its own.
    """

    stations: frozenset[int] | None = None
    pile: int | None = None
    pile_code: str = ""
    gun: int | None = None
    connector_no: str = ""
    franchisee: int | None = None

    @property
    def is_everywhere(self) -> bool:
        """Whether nothing is chosen."""
        return self.stations is None


EVERYWHERE = Place()


@dataclass(frozen=True)
class Todo:
    """One kind of work: `rows` that wait, of the list at the URL name `page` with `query`.

    `of_station` is the list's filter by station, where it has one. `at` says which rows are of the place's pile or
    gun; without it a place's pile counts as its station. `count` replaces counting rows where one row is not one thing.
    `follows_place` is off where rows that belong to stations are wanted from everywhere.
    """

    label: Any
    permission: str
    page: str
    rows: Callable[[HttpRequest], QuerySet[Any]]
    query: str = ""
    of_station: str = ""
    at: Callable[[Place], Q] | None = None
    count: Callable[[QuerySet[Any]], int] | None = None
    follows_place: bool = True


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much of one kind waits, and where it is listed. `is_placed`: only what is at the chosen place."""

    label: str
    count: int
    link: str
    is_placed: bool


_todos: list[Todo] = []


def add(*todos: Todo) -> None:
    """Show these on the overview, after those that were added before (what waits comes first)."""
    _todos.extend(todos)


def waiting(request: HttpRequest, place: Place = EVERYWHERE) -> list[Waiting]:
    """Return what waits of what the person may see, kinds with nothing in them last. One query for each kind."""
    person: Any = request.user
    found = [_waiting(one, request, place) for one in _todos if person.has_perm(one.permission)]
    return sorted(found, key=lambda one: not one.count)


def _waiting(one: Todo, request: HttpRequest, place: Place) -> Waiting:
    rows = scope.narrow(one.rows(request), request.user)
    query = one.query
    is_placed = False
    if one.follows_place and place.stations is not None and scope.is_of_stations(rows.model):
        is_placed = True
        rows = rows.filter(scope.at_stations(rows.model, request.user, place.stations))
        if one.at and place.pile:
            rows = rows.filter(one.at(place))
        if one.of_station:
            query = "&".join(filter(None, [query, station_query(one.of_station, place.stations)]))
    count = one.count(rows) if one.count else rows.count()
    link = reverse(one.page) + (f"?{query}" if query else "")
    return Waiting(str(one.label), count, link, is_placed)


def station_query(path: str, stations: Collection[int]) -> str:
    """Return the part of a list's address that leaves rows of these stations, as the list's own filter by `path`."""
    if len(stations) == 1:
        return urlencode({f"{path}__id__exact": next(iter(stations))})
    return urlencode({f"{path}__in": ",".join(map(str, sorted(stations)))}, safe=",")
