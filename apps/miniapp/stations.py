"""Finding a station and a gun: by distance, in detail, by the code on the gun."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.errors import NotFound
from apps.common.time import now
from apps.miniapp.api import (
    LARGEST_PAGE,
    PAGE,
    PriceOutput,
    PublicView,
    TenthsOut,
    described,
    price_fields,
    query,
)
from apps.piles.enums import ConnectorState, PileKind, PileState
from apps.piles.errors import PileNotFound
from apps.piles.models import Connector
from apps.piles.selectors import connector_by_code, connectors_of, gun_counts, parallel_codes
from apps.pricing.models import PriceVersion
from apps.pricing.selectors import effective_prices, effective_versions, retail_prices, station_versions
from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from apps.sites import hours
from apps.sites.enums import StationState
from apps.sites.models import Station
from apps.sites.pictures import picture_links
from apps.sites.selectors import stations_near

EARTH_HALF_M = 20_040_000
_SPACING = re.compile(r"[ -]")
_CODE = re.compile(r"[0-9]{16}", re.ASCII)
FREE = {ConnectorState.IDLE, ConnectorState.PLUGGED}


class DegreesIn(serializers.FloatField):
    """Degrees, GCJ-02. A position is no money: binary fractions of a degree do no harm."""

    def to_internal_value(self, data: Any) -> float:
        """Return a finite number: "nan" would pass every comparison."""
        value: float = super().to_internal_value(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class StationsInput(serializers.Serializer[Any]):
    latitude = DegreesIn(min_value=-90, max_value=90)
    longitude = DegreesIn(min_value=-180, max_value=180)
    radius = serializers.IntegerField(min_value=1, max_value=EARTH_HALF_M, default=50_000, help_text="metres")
    search = serializers.CharField(
        max_length=50, required=False, allow_blank=True, help_text="part of name or address"
    )
    limit = serializers.IntegerField(min_value=1, max_value=LARGEST_PAGE, default=PAGE)
    offset = serializers.IntegerField(min_value=0, max_value=10_000, default=0)


class GunCountOutput(serializers.Serializer[Any]):
    idle = serializers.IntegerField()
    total = serializers.IntegerField()


class GunCountsOutput(serializers.Serializer[Any]):
    dc = GunCountOutput()
    ac = GunCountOutput()


class StationOutput(serializers.Serializer[Any]):
    station_no = serializers.CharField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=StationState.choices)
    state_label = serializers.CharField(source="get_state_display")
    address = serializers.CharField()
    latitude = serializers.FloatField()
    longitude = serializers.FloatField()
    opening_hours = serializers.CharField(help_text="in words, in the reader's language")
    is_open_now = serializers.BooleanField(help_text="by its opening hours")
    parking_note = serializers.CharField()
    price_now = PriceOutput(allow_null=True)
    guns = GunCountsOutput()


class NearStationOutput(StationOutput):
    distance_m = serializers.IntegerField()


class StationsOutput(serializers.Serializer[Any]):
    items = NearStationOutput(many=True)
    next_offset = serializers.IntegerField(allow_null=True)


class PeriodOutput(PriceOutput):
    start = serializers.CharField()
    end = serializers.CharField()
    is_now = serializers.BooleanField()


class ConnectorOutput(serializers.Serializer[Any]):
    code = serializers.CharField()
    connector_no = serializers.CharField()
    pile_name = serializers.CharField()
    kind = serializers.ChoiceField(choices=PileKind.choices)
    kind_label = serializers.CharField()
    power_kw = TenthsOut()
    state = serializers.ChoiceField(choices=ConnectorState.choices)
    state_label = serializers.CharField()
    can_start = serializers.BooleanField()
    parallel_connectors = serializers.ListField(
        child=serializers.CharField(),
        help_text="other guns of this charger that may charge the same car (`further_connectors` of a start)",
    )
    soc_percent = serializers.IntegerField(allow_null=True)
    remaining_minutes = serializers.IntegerField(allow_null=True)
    price_now = PriceOutput(allow_null=True)


class PictureOutput(serializers.Serializer[Any]):
    url = serializers.CharField(help_text="good for two hours")
    thumbnail_url = serializers.CharField()
    caption = serializers.CharField()


class StationDetailOutput(StationOutput):
    service_phone = serializers.CharField()
    notice = serializers.CharField()
    pictures = PictureOutput(many=True, source="picture_links")
    periods = PeriodOutput(many=True)
    connectors = ConnectorOutput(many=True)


class PlaceOutput(serializers.Serializer[Any]):
    station_no = serializers.CharField()
    name = serializers.CharField()
    address = serializers.CharField()
    latitude = serializers.FloatField()
    longitude = serializers.FloatField()
    parking_note = serializers.CharField()


class ScannedConnectorOutput(ConnectorOutput):
    station = PlaceOutput()
    periods = PeriodOutput(many=True)


PRICE = {
    "electricity": "0.80",
    "service": "0.4555",
    "total": "1.2555",
    "rate_class": "flat",
    "rate_class_label": "平",
}
PERIOD = {**PRICE, "start": "08:00", "end": "10:30", "is_now": True}
PLACE = {
    "station_no": "S0001",
    "name": "滨江公园充电站",
    "address": "滨江路 1 号",
    "latitude": 32.0584,
    "longitude": 118.7965,
    "parking_note": "充电免费停车 2 小时",
}
STATION = {
    **PLACE,
    "state": "open",
    "state_label": "营业",
    "opening_hours": "00:00-24:00",
    "is_open_now": True,
    "price_now": PRICE,
    "guns": {"dc": {"idle": 3, "total": 8}, "ac": {"idle": 0, "total": 0}},
}
CONNECTOR = {
    "code": "3201060000000101",
    "connector_no": "01",
    "pile_name": "1 号桩",
    "kind": "dc",
    "kind_label": "直流",
    "power_kw": "120.0",
    "state": "idle",
    "state_label": "空闲",
    "can_start": True,
    "parallel_connectors": ["3201060000000102"],
    "soc_percent": None,
    "remaining_minutes": None,
    "price_now": PRICE,
}


class StationsView(PublicView):
    @described(
        "Stations near a point, nearest first",
        parameters=[StationsInput],
        output=StationsOutput,
        example={"items": [{**STATION, "distance_m": 850}], "next_offset": None},
        errors=[400, 401, 403],
        operation_id="stations",
        tags=["stations"],
    )
    def get(self, request: Request) -> Response:
        """`price_now` is the station's; a pile may have a price of its own."""
        data = query(request, StationsInput)
        stations = Station.objects.filter(is_published=True)
        if data.get("search"):
            stations = stations.filter(
                Q(name__icontains=data["search"]) | Q(address__icontains=data["search"])
            )
        limit, offset = data["limit"], data["offset"]
        found = list(
            stations_near(
                latitude=data["latitude"],
                longitude=data["longitude"],
                radius_m=data["radius"],
                limit=limit + 1,
                offset=offset,
                stations=stations,
            )
        )
        shown = found[:limit]
        at = now()
        _add_prices_and_guns(shown, retail_prices(station_ids=[one.pk for one in shown], at=at), at)
        for station in shown:
            station.distance_m = round(station.distance_m)  # type: ignore[attr-defined]
        next_offset = offset + limit if len(found) > limit else None
        return Response(StationsOutput({"items": shown, "next_offset": next_offset}).data)


class StationView(PublicView):
    @described(
        "One station: prices of the day, guns with their state",
        output=StationDetailOutput,
        example={
            **STATION,
            "service_phone": "025-00000000",
            "notice": "",
            "pictures": [
                {
                    "url": "/files/0b7c…/?s=…",
                    "thumbnail_url": "/files/0b7c…/thumbnail/?s=…",
                    "caption": "入口",
                }
            ],
            "periods": [PERIOD],
            "connectors": [CONNECTOR],
        },
        errors=[401, 403, 404],
        operation_id="station",
        tags=["stations"],
    )
    def get(self, request: Request, station_no: str) -> Response:
        """The guns' own prices are those of their piles."""
        station: Any = Station.objects.filter(station_no=station_no, is_published=True).first()
        if station is None:
            raise NotFound
        at = now()
        station.picture_links = picture_links([station.pk]).get(station.pk, [])
        retail = retail_prices(station_ids=[station.pk], at=at)
        (tariff,) = _add_prices_and_guns([station], retail, at)
        station.periods = _periods(tariff, at)
        connectors = list(connectors_of(station_id=station.pk))
        versions = effective_versions(places=[(item.pile_id, station.pk) for item in connectors], at=at)
        tariffs = {pile: _sold(version, retail.get(station.pk)) for pile, version in versions.items()}
        codes = parallel_codes(piles=[item.pile for item in connectors])
        station.connectors = [
            connector_fields(item, station, tariffs.get(item.pile_id), at, codes.get(item.pile_id, ()))
            for item in connectors
        ]
        return Response(StationDetailOutput(station).data)


class ConnectorView(PublicView):
    @described(
        "A gun by the 16 digits on it, scanned or typed",
        output=ScannedConnectorOutput,
        example={**CONNECTOR, "station": PLACE, "periods": [PERIOD]},
        errors=[401, 403, 404],
        operation_id="connector",
        tags=["stations"],
    )
    def get(self, request: Request, code: str) -> Response:
        """Spaces and hyphens that people type between the digits do not matter."""
        connector = connector_by_code(code=connector_code(code))
        station, at = connector.pile.station, now()
        found = effective_prices(pile_id=connector.pile_id, station_id=station.pk, at=at)
        retail = found[2] if found else None
        codes = parallel_codes(piles=[connector.pile]).get(connector.pile_id, ())
        shown = {
            **connector_fields(connector, station, retail, at, codes),
            "station": station,
            "periods": _periods(retail, at),
        }
        return Response(ScannedConnectorOutput(shown).data)


def connector_code(text: str) -> str:
    """Return the 16 digits that somebody scanned or typed; raises PileNotFound if it is something else."""
    code = _SPACING.sub("", text)
    if not _CODE.fullmatch(code):
        raise PileNotFound(code=text)
    return code


def connector_fields(
    connector: Connector,
    station: Station,
    tariff: Tariff | None,
    at: datetime,
    parallel: Sequence[str],
) -> dict[str, Any]:
    """Return a gun (with pile and status) as ConnectorOutput shows it; `parallel`: codes of the pile's guns."""
    pile, status = connector.pile, connector.status
    is_charging = status.state == ConnectorState.CHARGING
    in_service = pile.state == PileState.IN_SERVICE and station.state == StationState.OPEN
    return {
        "code": connector.code,
        "connector_no": connector.connector_no,
        "pile_name": str(pile),
        "kind": pile.kind,
        "kind_label": pile.get_kind_display(),
        "power_kw": connector.power_kw,
        "state": status.state,
        "state_label": status.get_state_display(),
        "can_start": in_service and status.state in FREE and tariff is not None,
        "parallel_connectors": [code for code in parallel if code != connector.code],
        "soc_percent": status.soc_percent if is_charging else None,
        "remaining_minutes": status.remaining_minutes if is_charging else None,
        "price_now": _price_now(tariff, at),
    }


def _add_prices_and_guns(
    stations: Sequence[Any], retail: Mapping[int, Mapping[RateClass, ClassPrice]], at: datetime
) -> list[Tariff | None]:
    """Set `price_now` and `guns` of stations in two queries; return the tariffs that their drivers pay."""
    ids = [station.pk for station in stations]
    versions = station_versions(station_ids=ids, at=at)
    tariffs = {pk: _sold(version, retail.get(pk)) for pk, version in versions.items()}
    counts = gun_counts(station_ids=ids)
    for station in stations:
        count = counts[station.pk]
        station.is_open_now = hours.is_open(station.opening_hours, at)
        station.opening_hours = hours.words(station.opening_hours)
        station.price_now = _price_now(tariffs.get(station.pk), at)
        station.guns = {
            kind: {"idle": count[f"{kind}_idle"], "total": count[kind]} for kind in PileKind.values
        }
    return [tariffs.get(pk) for pk in ids]


def _sold(version: PriceVersion, retail: Mapping[RateClass, ClassPrice] | None) -> Tariff:
    """What drivers pay where a version is in force, at a station with these retail prices."""
    return version.to_tariff().sold_at(retail or {})


def _price_now(tariff: Tariff | None, at: datetime) -> dict[str, Any] | None:
    return None if tariff is None else price_fields(tariff.class_at(at), tariff.price_at(at))


def _periods(tariff: Tariff | None, at: datetime) -> list[dict[str, Any]]:
    if tariff is None:
        return []
    clock = f"{at:%H:%M}"
    return [
        {
            **price_fields(period.rate_class, period.price),
            "start": period.start,
            "end": period.end,
            "is_now": period.start <= clock < period.end,
        }
        for period in tariff.periods()
    ]
