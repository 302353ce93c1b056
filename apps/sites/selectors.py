"""Stations as a driver looks for them."""

from __future__ import annotations

from math import pi, sin

from django.db import models
from django.db.models import F, QuerySet
from django.db.models.expressions import RawSQL

from apps.sites.models import Station

EARTH_RADIUS_M = 6371008.8
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


def stations_near(
    *,
    latitude: float,
    longitude: float,
    radius_m: float | None = None,
    limit: int = 20,
    offset: int = 0,
    stations: QuerySet[Station] | None = None,
) -> QuerySet[Station]:
    """Return stations by distance from a point (degrees, GCJ-02), nearest first, each with `distance_m`.

    `distance_m` is the great-circle distance on a sphere of the earth's mean radius, in metres. With `radius_m`, only
    stations within it. `stations` narrows the choice (default: those shown to drivers); rows of equal distance come
    by id, so that pages do not overlap.
    """
    point = [latitude, longitude, latitude, longitude, latitude]
    # The straight line through the earth orders as the great circle does, and is what the index knows.
    chord = RawSQL(f"({_POSITION} OPERATOR(public.<->) {_POINT})", point, models.FloatField())  # noqa: S611, TID251
    distance = RawSQL(  # noqa: S611 - the text is ours, the point is a parameter
        f"(2 * {EARTH_RADIUS_M} * asin(least(1, ({_POSITION} OPERATOR(public.<->) {_POINT}) / 2 / {EARTH_RADIUS_M})))",
        point,
        models.FloatField(),  # noqa: TID251 - a distance, not money
    )
    found = Station.objects.filter(is_published=True) if stations is None else stations
    found = found.annotate(chord_m=chord, distance_m=distance)
    if radius_m is not None:
        reach = 2 * EARTH_RADIUS_M * sin(min(radius_m, _FARTHEST_M) / EARTH_RADIUS_M / 2)
        box = f"({_POSITION} OPERATOR(public.<@) public.cube_enlarge({_POINT}, %s, 3))"
        found = found.filter(RawSQL(box, [*point, reach], models.BooleanField()), distance_m__lte=radius_m)  # noqa: S611
    return found.order_by(F("chord_m"), "id")[offset : offset + limit]
