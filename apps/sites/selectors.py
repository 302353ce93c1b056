"""Stations as a driver looks for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import asin, floor, log2, pi, sin
from typing import Any

from django.db import models
from django.db.models import Avg, Count, F, Min, Q, QuerySet, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Floor

from apps.common.errors import NotFound
from apps.sites import hours
from apps.sites.enums import StationState
from apps.sites.models import Station

EARTH_RADIUS_M = 6371008.8
SMALLEST_SPAN = 0.001
"""Degrees: about a hundred metres, below which no map is divided."""
_FARTHEST_M = pi * EARTH_RADIUS_M

# Word for word the expression of the index sites_station_position (migration 0002), else it is not used.
_POSITION = """public.cube(ARRAY[
    6371008.8 * cos(radians(sites_station.latitude::double precision))
        * cos(radians(sites_station.longitude::double precision)),
    6371008.8 * cos(radians(sites_station.latitude::double precision))
        * sin(radians(sites_station.longitude::double precision)),
    6371008.8 * sin(radians(sites_station.latitude::double precision))
]::double precision[])"""
_POINT = """public.cube(ARRAY[
    6371008.8 * cos(radians(%s::double precision)) * cos(radians(%s::double precision)),
    6371008.8 * cos(radians(%s::double precision)) * sin(radians(%s::double precision)),
    6371008.8 * sin(radians(%s::double precision))
]::double precision[])"""


def with_distance(
    *,
    latitude: float,
    longitude: float,
    radius_m: float | None = None,
    stations: QuerySet[Station] | None = None,
) -> QuerySet[Station]:
    """Return stations with `chord_m`, by which `stations_near` orders; arguments as there."""
    point = [latitude, longitude, latitude, longitude, latitude]
    # The straight line through the earth orders as the great circle does, and is what the index knows.
    chord = RawSQL(f"({_POSITION} OPERATOR(public.<->) {_POINT})", point, models.FloatField())  # noqa: S611, TID251
    found = Station.objects.filter(is_published=True) if stations is None else stations
    found = found.annotate(chord_m=chord)
    if radius_m is not None and radius_m < _FARTHEST_M:
        reach = 2 * EARTH_RADIUS_M * sin(radius_m / EARTH_RADIUS_M / 2)
        box = f"({_POSITION} OPERATOR(public.<@) public.cube_enlarge({_POINT}, %s, 3))"
        found = found.filter(RawSQL(box, [*point, reach], models.BooleanField()), chord_m__lte=reach)  # noqa: S611
    return found


def distance_m(chord_m: float) -> float:
    """Return the way over the ground between two points of a sphere like the earth, a straight line apart; metres."""
    return 2 * EARTH_RADIUS_M * asin(min(1.0, chord_m / 2 / EARTH_RADIUS_M))


def stations_near(
    *,
    latitude: float,
    longitude: float,
    radius_m: float | None = None,
    limit: int = 20,
    offset: int = 0,
    after: tuple[float, int] | None = None,
    stations: QuerySet[Station] | None = None,
) -> QuerySet[Station]:
    """Return stations by distance from a point (degrees, GCJ-02), nearest first, each with `chord_m`.

    Of this `distance_m()` is the great-circle distance on a sphere of the earth's mean radius. With `radius_m`, only
    stations within that distance. `stations` narrows the choice (default: those shown to drivers); rows of equal
    distance come by id, so that pages do not overlap. `after`: `chord_m` and id of the last station of the page before.
    """
    found = with_distance(latitude=latitude, longitude=longitude, radius_m=radius_m, stations=stations)
    if after is not None:
        found = found.filter(Q(chord_m__gt=after[0]) | Q(chord_m=after[0], id__gt=after[1]))
    return found.order_by(F("chord_m"), "id")[offset : offset + limit]


def station_shown(*, station_no: str) -> Station:
    """Return the station of a number, if drivers see it. Raises NotFound."""
    found = Station.objects.filter(station_no=station_no, is_published=True).first()
    if found is None:
        raise NotFound
    return found


def recommended(
    *, limit: int, after: tuple[int, int] | None = None, stations: QuerySet[Station]
) -> QuerySet[Station]:
    """Return stations in the order that the operator gave them; `after`: order and id of the page before's last."""
    if after is not None:
        stations = stations.filter(Q(list_order__lt=after[0]) | Q(list_order=after[0], id__gt=after[1]))
    return stations.order_by("-list_order", "id")[:limit]


def open_at(stations: QuerySet[Station], at: datetime) -> QuerySet[Station]:
    """Return those of the stations that are in operation and within their opening hours at a moment.

    Hours are text, and a few texts are those of all stations: they are read once, and then looked for.
    """
    texts = Station.objects.order_by().values_list("opening_hours", flat=True).distinct()
    return stations.filter(
        state=StationState.OPEN, opening_hours__in=[text for text in texts if hours.is_open(text, at)]
    )


def cities() -> list[dict[str, Any]]:
    """Return the cities with stations that drivers see, by province and name, with their number and middle."""
    rows = Station.objects.filter(is_published=True).exclude(city="").order_by("province", "city")
    found = rows.values("province", "city").annotate(
        stations=Count("id"), latitude=Avg("latitude"), longitude=Avg("longitude")
    )
    return [{**one} for one in found]


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the map, degrees, GCJ-02."""

    south: float
    west: float
    north: float
    east: float

    def of(self, stations: QuerySet[Station]) -> QuerySet[Station]:
        """Return the stations inside."""
        return stations.filter(
            latitude__gte=Decimal(str(self.south)),
            latitude__lte=Decimal(str(self.north)),
            longitude__gte=Decimal(str(self.west)),
            longitude__lte=Decimal(str(self.east)),
        )

    @property
    def cell(self) -> Decimal:
        """The side of a square of the grid, degrees: about an eighth of the box, and the same while a map is moved."""
        span = max(self.north - self.south, self.east - self.west, SMALLEST_SPAN)
        return Decimal(str(2.0 ** floor(log2(span / 8))))


def clusters(stations: QuerySet[Station], box: Box) -> list[dict[str, Any]]:
    """Return the stations of a box by squares of a grid: number, middle, and the only one's number and name."""
    cell = box.cell
    squares = box.of(stations).annotate(
        row=Floor(F("latitude") / Value(cell)), column=Floor(F("longitude") / Value(cell))
    )
    found = (
        squares.order_by("row", "column")
        .values("row", "column")
        .annotate(
            stations=Count("id"),
            latitude=Avg("latitude"),
            longitude=Avg("longitude"),
            station_no=Min("station_no"),
            name=Min("name"),
        )
    )
    return [{**one, "station_no": None, "name": None} if one["stations"] > 1 else {**one} for one in found]
