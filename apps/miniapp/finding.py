"""Finding stations: a list by distance or in the operator's order, cities, and a map."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.time import now
from apps.miniapp.api import LARGEST_ID, LARGEST_PAGE, PAGE, Output, PublicView, described, query
from apps.miniapp.stations import FACILITIES, STATION, StationOutput, add_prices_and_guns, facility_column
from apps.piles.enums import PileKind
from apps.piles.selectors import gun_counts, with_guns
from apps.sites.enums import ParkingKind
from apps.sites.models import LARGEST_ORDER, Station
from apps.sites.selectors import (
    Box,
    cities,
    clusters,
    distance_m,
    open_at,
    recommended,
    stations_near,
    with_distance,
)

EARTH_HALF_M = 20_040_000
MOST_ON_MAP = 100
"""Stations on a map one by one; of more, the map shows how many there are in each square."""
WITHOUT_PARKING_FEE = (ParkingKind.FREE, ParkingKind.FREE_FOR_A_TIME)
LISTED = (
    *(
        "pk",
        "station_no",
        "name",
        "state",
        "address",
        "latitude",
        "longitude",
        "opening_hours",
        "parking_note",
    ),
    *("parking_kind", "tags", "list_order"),
)
"""Columns that a list reads, as rows without a model: a station has five times as many."""
BY_DISTANCE, RECOMMENDED = "distance", "recommended"
_PLACE = re.compile(
    r"d(?P<chord>[0-9]{1,8}(?:\.[0-9]{1,20})?(?:e-[0-9]{1,2})?)_(?P<near>[0-9]{1,19})"
    r"|r(?P<order>-?[0-9]{1,7})_(?P<id>[0-9]{1,19})",
    re.ASCII,
)


class DegreesIn(serializers.FloatField):
    """Degrees, GCJ-02. A position is no money: binary fractions of a degree do no harm."""

    def to_internal_value(self, data: Any) -> float:
        """Return a finite number: "nan" would pass every comparison."""
        value: float = super().to_internal_value(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class FiltersInput(serializers.Serializer[Any]):
    """What narrows a list or a map of stations. Conditions are joined by "and"."""

    search = serializers.CharField(
        max_length=50, required=False, allow_blank=True, help_text="part of name or address"
    )
    city = serializers.CharField(
        max_length=20, required=False, allow_blank=True, help_text="`city` of one of the cities"
    )
    kind = serializers.ChoiceField(
        choices=PileKind.choices,
        required=False,
        help_text="stations with such guns; with `idle`, such idle ones",
    )
    idle = serializers.BooleanField(default=False, help_text="with a gun that is free now")
    open_now = serializers.BooleanField(default=False, help_text="in operation, by its opening hours too")
    free_parking = serializers.BooleanField(default=False, help_text="parking is free, at least for a time")
    tag = serializers.CharField(
        max_length=20, required=False, allow_blank=True, help_text="one of the `tags` of stations"
    )
    facility = serializers.ChoiceField(choices=sorted(FACILITIES), required=False)


class StationsInput(FiltersInput):
    latitude = DegreesIn(min_value=-90, max_value=90, required=False)
    longitude = DegreesIn(min_value=-180, max_value=180, required=False)
    radius = serializers.IntegerField(
        min_value=1,
        max_value=EARTH_HALF_M,
        required=False,
        help_text="metres around the point; without `city` or `search` 50000 if not given",
    )
    sort = serializers.ChoiceField(
        choices=[BY_DISTANCE, RECOMMENDED],
        required=False,
        help_text="distance needs the point and is the default with one; recommended is the operator's order",
    )
    limit = serializers.IntegerField(min_value=1, max_value=LARGEST_PAGE, default=PAGE)
    cursor = serializers.CharField(
        max_length=60,
        required=False,
        help_text="next_cursor of the page before, asked for with the same point and conditions",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A point has two numbers, and the cursor is one of this order."""
        if ("latitude" in attrs) != ("longitude" in attrs):
            missing = "longitude" if "latitude" in attrs else "latitude"
            raise serializers.ValidationError({missing: [_("A point needs latitude and longitude.")]})
        attrs.setdefault("sort", BY_DISTANCE if "latitude" in attrs else RECOMMENDED)
        if attrs["sort"] == BY_DISTANCE and "latitude" not in attrs:
            raise serializers.ValidationError({"latitude": [_("To sort by distance, send a point.")]})
        if "cursor" in attrs:
            attrs["after"] = _read_place(attrs["cursor"], attrs["sort"])
        return attrs


class BoxInput(FiltersInput):
    south = DegreesIn(min_value=-90, max_value=90)
    west = DegreesIn(min_value=-180, max_value=180)
    north = DegreesIn(min_value=-90, max_value=90)
    east = DegreesIn(min_value=-180, max_value=180)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The sides have to be in their order."""
        if attrs["south"] > attrs["north"] or attrs["west"] > attrs["east"]:
            raise serializers.ValidationError({"south": [_("South is below north, and west before east.")]})
        return attrs


class NearStationOutput(StationOutput):
    distance_m = serializers.IntegerField(allow_null=True, help_text="null without a point")


class StationsOutput(Output):
    items = NearStationOutput(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class CityOutput(serializers.Serializer[Any]):
    province = serializers.CharField()
    city = serializers.CharField()
    stations = serializers.IntegerField()
    latitude = serializers.FloatField(help_text="the middle of its stations")
    longitude = serializers.FloatField()


class CitiesOutput(serializers.Serializer[Any]):
    items = CityOutput(many=True)


class DotOutput(serializers.Serializer[Any]):
    station_no = serializers.CharField()
    name = serializers.CharField()
    latitude = serializers.FloatField()
    longitude = serializers.FloatField()
    idle = serializers.IntegerField()
    total = serializers.IntegerField()


class ClusterOutput(serializers.Serializer[Any]):
    """Stations of one square; number and name where it is one only."""

    stations = serializers.IntegerField()
    latitude = serializers.FloatField()
    longitude = serializers.FloatField()
    station_no = serializers.CharField(allow_null=True)
    name = serializers.CharField(allow_null=True)


class MapOutput(serializers.Serializer[Any]):
    """Either stations or clusters: few are shown one by one."""

    stations = DotOutput(many=True)
    clusters = ClusterOutput(many=True)


class StationsView(PublicView):
    @described(
        "Stations, nearest first or as the operator recommends them",
        parameters=[StationsInput],
        output=StationsOutput,
        example={"items": [{**STATION, "distance_m": 850}], "next_cursor": "d850.1250318_17"},
        errors=[400, 401, 403],
        operation_id="stations",
        tags=["stations"],
    )
    def get(self, request: Request) -> Response:
        """`price_now` is the station's; a pile may have a price of its own."""
        data = query(request, StationsInput)
        at, limit = now(), data["limit"]
        rows: Any = _sorted(data, narrowed(data, at).values(*LISTED))
        found = [SimpleNamespace(**row) for row in rows]
        shown = found[:limit]
        next_cursor = _place(shown[-1], data["sort"]) if len(found) > limit else None
        add_prices_and_guns(shown, at)
        for station in shown:
            station.distance_m = round(distance_m(station.chord_m)) if "latitude" in data else None
        return Response(StationsOutput.of({"items": shown, "next_cursor": next_cursor}))


class CitiesView(PublicView):
    @described(
        "Cities that have stations",
        output=CitiesOutput,
        example={
            "items": [
                {
                    "province": "江苏省",
                    "city": "南京市",
                    "stations": 12,
                    "latitude": 32.0584,
                    "longitude": 118.7965,
                }
            ]
        },
        errors=[401, 403],
        operation_id="cities",
        tags=["stations"],
    )
    def get(self, request: Request) -> Response:
        """For drivers who do not tell where they are."""
        return Response(CitiesOutput({"items": cities()}).data)


class MapView(PublicView):
    @described(
        "Stations in a part of the map",
        parameters=[BoxInput],
        output=MapOutput,
        example={
            "stations": [
                {
                    "station_no": "S0001",
                    "name": "滨江公园充电站",
                    "latitude": 32.0584,
                    "longitude": 118.7965,
                    "idle": 3,
                    "total": 8,
                }
            ],
            "clusters": [],
        },
        errors=[400, 401, 403],
        operation_id="map",
        tags=["stations"],
    )
    def get(self, request: Request) -> Response:
        """Up to a hundred stations one by one; of more, how many there are in each square of a grid."""
        data = query(request, BoxInput)
        box = Box(**{side: data[side] for side in ("south", "west", "north", "east")})
        stations = narrowed(data, now())
        dots = list(box.of(stations).order_by("id")[: MOST_ON_MAP + 1])
        if len(dots) > MOST_ON_MAP:
            return Response(MapOutput({"stations": [], "clusters": clusters(stations, box)}).data)
        counts = gun_counts(station_ids=[one.pk for one in dots])
        for dot in dots:
            count = counts[dot.pk]
            dot.idle = sum(count[f"{kind}_idle"] for kind in PileKind.values)  # type: ignore[attr-defined]
            dot.total = sum(count[kind] for kind in PileKind.values)  # type: ignore[attr-defined]
        return Response(MapOutput({"stations": dots, "clusters": []}).data)


def narrowed(data: Mapping[str, Any], at: datetime) -> QuerySet[Station]:
    """Return the stations that drivers see and that FiltersInput leaves."""
    stations = Station.objects.filter(is_published=True)
    if text := data.get("search"):
        stations = stations.filter(Q(name__icontains=text) | Q(address__icontains=text))
    if city := data.get("city"):
        stations = stations.filter(city=city)
    if tag := data.get("tag"):
        stations = stations.filter(tags__contains=[tag])
    if facility := data.get("facility"):
        stations = stations.filter(**{facility_column(facility): True})
    if data["free_parking"]:
        stations = stations.filter(parking_kind__in=WITHOUT_PARKING_FEE)
    if data.get("kind") or data["idle"]:
        stations = stations.filter(with_guns(kind=data.get("kind", ""), idle=data["idle"]))
    return open_at(stations, at) if data["open_now"] else stations


def _sorted(data: Mapping[str, Any], stations: Any) -> Any:
    """The page's stations and one more; with their distance where a point is known."""
    after, more = data.get("after"), data["limit"] + 1
    if "latitude" not in data:
        return recommended(stations=stations, after=after, limit=more)
    radius = data.get("radius") or (None if data.get("city") or data.get("search") else 50_000)
    point = {"latitude": data["latitude"], "longitude": data["longitude"], "radius_m": radius}
    if data["sort"] == BY_DISTANCE:
        return stations_near(**point, stations=stations, after=after, limit=more)
    return recommended(stations=with_distance(**point, stations=stations), after=after, limit=more)


def _place(station: Any, sort: str) -> str:
    """Where a page ended, as a text for an address."""
    if sort == BY_DISTANCE:
        return f"d{station.chord_m!r}_{station.pk}"
    return f"r{station.list_order}_{station.pk}"


def _read_place(text: str, sort: str) -> tuple[float, int] | tuple[int, int]:
    found = _PLACE.fullmatch(text)
    wrong = serializers.ValidationError({"cursor": [_("This is no cursor of ours.")]})
    if found is None or (found["near"] is not None) != (sort == BY_DISTANCE):
        raise wrong
    if sort == BY_DISTANCE:
        number = int(found["near"])
        place: tuple[float, int] | tuple[int, int] = (float(found["chord"]), number)
    else:
        number = int(found["id"])
        place = (int(found["order"]), number)
        if abs(place[0]) > LARGEST_ORDER:
            raise wrong
    if number > LARGEST_ID:
        raise wrong
    return place
