"""A station in detail, and a gun by the code on it. How stations are found: finding.py."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.time import now
from apps.miniapp.api import LabelOut, Output, PriceOutput, PublicView, TenthsOut, described, price_fields
from apps.piles.enums import ConnectorState, PileKind, PileState
from apps.piles.errors import PileNotFound
from apps.piles.models import Connector
from apps.piles.selectors import connector_by_code, connectors_of, gun_counts, parallel_codes
from apps.pricing.models import PriceVersion
from apps.pricing.selectors import (
    effective_prices,
    effective_versions,
    next_change,
    retail_prices,
    station_tariffs,
)
from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from apps.sites import hours
from apps.sites.enums import ParkingKind, StationState
from apps.sites.models import Station
from apps.sites.pictures import picture_links
from apps.sites.selectors import station_shown

_SPACING = re.compile(r"[ -]")
_CODE = re.compile(r"[0-9]{16}", re.ASCII)
KINDS = tuple(PileKind.values)
FREE = {ConnectorState.IDLE, ConnectorState.PLUGGED}


FACILITIES: dict[str, str | Promise] = {
    "toilet": _("toilet"),
    "shop": _("shop"),
    "restaurant": _("restaurant"),
    "lounge": _("lounge"),
    "rain_cover": _("rain cover"),
    "video": _("video surveillance"),
    "manned": _("people on duty"),
}
"""What there is beside guns → in words; the columns of a station are `has_…`, and `is_manned`."""
NOTICE_OF_CHANGE = timedelta(days=7)
"""How long before a change of prices drivers are told."""


class GunCountOutput(Output):
    idle = serializers.IntegerField()
    total = serializers.IntegerField()


class GunCountsOutput(Output):
    dc = GunCountOutput()
    ac = GunCountOutput()


class StationOutput(Output):
    station_no = serializers.CharField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=StationState.choices)
    state_label = LabelOut(StationState, source="state")
    address = serializers.CharField()
    latitude = serializers.FloatField()
    longitude = serializers.FloatField()
    opening_hours = serializers.CharField(help_text="in words, in the reader's language")
    is_open_now = serializers.BooleanField(help_text="by its opening hours")
    parking_note = serializers.CharField()
    parking_kind = serializers.ChoiceField(choices=ParkingKind.choices)
    parking_label = LabelOut(ParkingKind, source="parking_kind")
    tags = serializers.ListField(child=serializers.CharField(), help_text="the operator's own words")
    price_now = PriceOutput(allow_null=True)
    guns = GunCountsOutput()


class NextPriceOutput(PriceOutput):
    """The price of the station after that of now, and when it begins."""

    starts_at = serializers.DateTimeField()


class FacilityOutput(serializers.Serializer[Any]):
    code = serializers.ChoiceField(choices=sorted(FACILITIES))
    label = serializers.CharField()  # type: ignore[assignment]  # a field named like the serializer's property


class ParkingOutput(serializers.Serializer[Any]):
    """What parking costs and where it is; `relief`: how a charge makes it cheaper."""

    fee = serializers.CharField()
    info = serializers.CharField(help_text="floor and spaces")
    spaces = serializers.IntegerField(help_text="0: not known")
    relief = serializers.ListField(child=serializers.ChoiceField(choices=["plate", "receipt", "qr"]))
    has_barrier = serializers.BooleanField()


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
    station_phone = serializers.CharField()
    notice = serializers.CharField()
    site_guide = serializers.CharField(help_text="from the entrance on")
    suits = serializers.CharField(help_text="for which cars, such as a height limit")
    facilities = FacilityOutput(many=True)
    parking = ParkingOutput()
    next_price = NextPriceOutput(allow_null=True)
    prices_change_at = serializers.DateTimeField(
        allow_null=True,
        help_text="when other prices are planned, within a week; the periods are those of now",
    )
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
    "parking_kind": 2,
    "parking_label": "限时免费",
    "tags": ["超充", "24小时"],
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


class StationView(PublicView):
    @described(
        "One station: prices of the day, guns with their state",
        output=StationDetailOutput,
        example={
            **STATION,
            "service_phone": "025-00000000",
            "station_phone": "",
            "notice": "",
            "site_guide": "地下二层 B 区",
            "suits": "限高 2.1 米",
            "facilities": [{"code": "toilet", "label": "卫生间"}],
            "parking": {
                "fee": "5 元/小时",
                "info": "B2 A01–A20",
                "spaces": 20,
                "relief": ["plate"],
                "has_barrier": True,
            },
            "next_price": {**PRICE, "starts_at": "2026-11-20T10:30:00+08:00"},
            "prices_change_at": None,
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
        """The guns' own prices are those of their piles. Coupons to claim have a path of their own."""
        station: Any = station_shown(station_no=station_no)
        at = now()
        station.picture_links = picture_links([station.pk]).get(station.pk, [])
        retail = retail_prices(station_ids=[station.pk], at=at)
        (tariff,) = add_prices_and_guns([station], at)
        station.periods = _periods(tariff, at)
        changes_at = next_change(station_id=station.pk, at=at)
        station.prices_change_at = (
            changes_at if changes_at is not None and changes_at <= at + NOTICE_OF_CHANGE else None
        )
        station.next_price = _next_price(station.pk, tariff, at, station.prices_change_at)
        station.facilities = [
            {"code": code, "label": label}
            for code, label in FACILITIES.items()
            if getattr(station, facility_column(code))
        ]
        station.parking = parking_fields(station)
        connectors = list(connectors_of(station_id=station.pk))
        versions = effective_versions(places=[(item.pile_id, station.pk) for item in connectors], at=at)
        tariffs = {pile: _sold(version, retail.get(station.pk)) for pile, version in versions.items()}
        codes = parallel_codes(piles=[item.pile for item in connectors])
        station.connectors = [
            connector_fields(item, station, tariffs.get(item.pile_id), at, codes.get(item.pile_id, ()))
            for item in connectors
        ]
        return Response(StationDetailOutput.of(station))


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


def facility_column(code: str) -> str:
    """Return the column of a station that says whether it has one of FACILITIES."""
    return "is_manned" if code == "manned" else f"has_{code}"


def parking_fields(station: Station) -> dict[str, Any]:
    """Return what ParkingOutput shows of a station."""
    return {
        "fee": station.parking_fee,
        "info": station.parking_info,
        "spaces": station.parking_spaces,
        "relief": [way for way in ("plate", "receipt", "qr") if getattr(station, f"reduces_by_{way}")],
        "has_barrier": station.has_barrier,
    }


def _next_price(
    station_id: int, tariff: Tariff | None, at: datetime, changes_at: datetime | None
) -> dict[str, Any] | None:
    """The next half hour's price that differs, or what is planned instead if that begins before."""
    starts_at = tariff.next_price_at(at) if tariff is not None else None
    if changes_at is not None and (starts_at is None or changes_at <= starts_at):
        starts_at = changes_at
        tariff = station_tariffs(station_ids=[station_id], at=changes_at).get(station_id)
    if tariff is None or starts_at is None:
        return None
    return {**price_fields(tariff.class_at(starts_at), tariff.price_at(starts_at)), "starts_at": starts_at}


def add_prices_and_guns(stations: Sequence[Any], at: datetime) -> list[Tariff | None]:
    """Set `price_now` and `guns` of stations in two queries; return the tariffs that their drivers pay."""
    ids = [station.pk for station in stations]
    tariffs = station_tariffs(station_ids=ids, at=at)
    counts = gun_counts(station_ids=ids)
    for station in stations:
        count = counts[station.pk]
        station.is_open_now = hours.is_open(station.opening_hours, at)
        station.opening_hours = hours.words(station.opening_hours)
        station.price_now = _price_now(tariffs.get(station.pk), at)
        station.guns = {kind: {"idle": count[f"{kind}_idle"], "total": count[kind]} for kind in KINDS}
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
