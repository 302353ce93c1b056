"""Figures of the overview. Days are those of Asia/Shanghai; an order counts on the day it was settled.

Days that are over are read from the rollups. The running day, and days that nobody has summed up since they ended, are
read from the orders themselves, which an index finds by time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from apps.backoffice.todo import EVERYWHERE, Place
from apps.common.money import ZERO
from apps.common.time import SHANGHAI, business_day, day_bounds
from apps.franchisees.selectors import owned_by
from apps.orders.enums import OrderState, StopReason
from apps.orders.models import Order
from apps.orders.models.orders import BEGAN_HOUR
from apps.piles.enums import ConnectorState, PileState
from apps.piles.models import ConnectorStatus
from apps.reports.enums import Grain, Period
from apps.reports.models import RolledPeriod, Rollup
from apps.reports.places import States
from apps.sites.models import Station

NO_ENERGY = Decimal("0.0000")
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of settled orders: energy kWh, fees yuan (before anything is paid from bonus)."""

    orders: int = 0
    energy_kwh: Decimal = NO_ENERGY
    electricity_fee: Decimal = ZERO
    service_fee: Decimal = ZERO

    @property
    def income(self) -> Decimal:
        """Electricity and service fee, yuan."""
        return self.electricity_fee + self.service_fee

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.orders + other.orders,
            self.energy_kwh + other.energy_kwh,
            self.electricity_fee + other.electricity_fee,
            self.service_fee + other.service_fee,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """A figure and the one that it is compared with; None where nothing is known."""

    today: Decimal | int | None
    before: Decimal | int | None

    @property
    def percent(self) -> Decimal | None:
        """By how much it is more (+) or less (−), per cent, one place; None without a figure to compare with."""
        if not self.before or self.today is None:
            return None
        ratio = (Decimal(self.today) - Decimal(self.before)) / Decimal(self.before) * 100
        return ratio.quantize(Decimal("0.1"))

    @property
    def points(self) -> Decimal | None:
        """The difference of two rates, in points; None if one is unknown."""
        if self.before is None or self.today is None:
            return None
        return (Decimal(self.today) - Decimal(self.before)).quantize(Decimal("0.1"))


@dataclass(frozen=True, slots=True)
class Today:
    """The day's figures so far, each against yesterday until the same time."""

    energy: Change
    income: Change
    orders: Change


@dataclass(frozen=True, slots=True)
class Span:
    """A number of days up to yesterday, against as many before."""

    days: int
    now: Sums
    before: Sums


@dataclass(frozen=True, slots=True)
class StationLine:
    """A station with its guns by state and its figures of today."""

    station: Station
    states: States
    sums: Sums

    @property
    def guns(self) -> int:
        """How many are in service."""
        return sum(self.states.values())

    @property
    def charging(self) -> int:
        """How many of them charge."""
        return self.states.get(ConnectorState.CHARGING, 0)

    @property
    def faults(self) -> int:
        """How many of them have a fault."""
        return self.states.get(ConnectorState.FAULT, 0)


def today(*, at: datetime, place: Place = EVERYWHERE, so_far: Sums | None = None) -> Today:
    """Return the figures of the business day of `at` until `at`, and of the day before until the same time.

    Who has added up the day already gives it as `so_far`.
    """
    start, _end = day_bounds(business_day(at))
    now_sums = settled_between(start, at, place=place) if so_far is None else so_far
    then_sums = settled_between(start - DAY, at - DAY, place=place)
    return Today(
        energy=Change(now_sums.energy_kwh, then_sums.energy_kwh),
        income=Change(now_sums.income, then_sums.income),
        orders=Change(now_sums.orders, then_sums.orders),
    )


def settled_between(start: datetime, end: datetime, *, place: Place = EVERYWHERE) -> Sums:
    """Return the sums of orders settled from `start` until before `end`."""
    return _sums(_settled(start, end, place).aggregate(**_AGGREGATES))


def by_day(*, last: date, days: int = 14, place: Place = EVERYWHERE) -> list[tuple[date, Sums]]:
    """Return the sums of each of `days` business days up to `last`, oldest first, days without orders as zeros."""
    first = last - timedelta(days=days - 1)
    found = _summed(first, last, place, Grain.STATION)
    return [(day, found.get(day, Sums())) for day in (first + timedelta(days=n) for n in range(days))]


def by_hour(*, first: date, last: date, place: Place = EVERYWHERE) -> list[Sums]:
    """Return the sums for each hour of the day (24) in which charges began, of orders settled on these days."""
    if place.pile or place.gun:  # the rollups have no hours of guns; one pile's orders are few
        found = _from_orders(first, last, place, BEGAN_HOUR)
    else:
        found = _summed(first, last, place, Grain.HOUR)
    return [found.get(hour, Sums()) for hour in range(24)]


def _summed(first: date, last: date, place: Place, grain: Grain) -> dict[Any, Sums]:
    """Return sums by day or hour (`grain`): of days that were rolled up from the rollups, of others from orders."""
    key, of_order = _KEYS[grain]
    asked = RolledPeriod.objects.filter(period=Period.DAY, day__range=(first, last))
    rolled = {day for day, at in asked.values_list("day", "rolled_at") if at >= day_bounds(day)[1]}
    rows = Rollup.objects.filter(period=Period.DAY, day__range=(first, last), rolled_day__in=rolled)
    if place.franchisee is not None:
        rows = rows.filter(owned_by(place.franchisee))
    if place.gun:
        rows = rows.filter(grain=Grain.GUN, connector=place.gun)
    elif place.pile:
        rows = rows.filter(grain=Grain.GUN, connector__pile=place.pile)
    else:
        rows = rows.filter(grain=grain)
        if place.stations is not None:
            rows = rows.filter(station__in=place.stations)
    found = {}
    if rolled:
        for row in rows.order_by().values(key).annotate(**_ROLLED):
            found[row[key]] = Sums(row["o"], row["e"], row["ef"], row["sf"])
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    for _is_rolled, run in groupby(days, key=lambda day: day in rolled):
        missing = list(run)
        if _is_rolled:
            continue
        for value, sums in _from_orders(missing[0], missing[-1], place, of_order).items():
            found[value] = found.get(value, Sums()) + sums
    return found


def _from_orders(first: date, last: date, place: Place, key: Any) -> dict[Any, Sums]:
    start, end = day_bounds(first)[0], day_bounds(last)[1]
    rows = _settled(start, end, place).annotate(key=key).order_by().values("key").annotate(**_AGGREGATES)
    return {row["key"]: _sums(dict(row)) for row in rows}


def spans(days: Mapping[date, Sums], *, last: date, lengths: tuple[int, ...] = (7, 30)) -> list[Span]:
    """Return the last 7 and 30 days up to `last`, each against as many days before, from sums by day."""

    def total(end: date, length: int) -> Sums:
        return sum((days.get(end - timedelta(days=n), Sums()) for n in range(length)), Sums())

    return [
        Span(length, total(last, length), total(last - timedelta(days=length), length)) for length in lengths
    ]


def start_rate(*, at: datetime, place: Place = EVERYWHERE) -> Change:
    """Return how many of the starts of the day until `at` led to a charge, per cent, and of yesterday until then.

    Left out are starts that are still open and those that the driver cancelled; None without any start.
    """
    start, _end = day_bounds(business_day(at))
    return Change(_start_rate(start, at, place), _start_rate(start - DAY, at - DAY, place))


def _start_rate(start: datetime, end: datetime, place: Place) -> Decimal | None:
    orders = _at(Order.objects.filter(created_at__gte=start, created_at__lt=end), place, "created_at")
    decided = orders.exclude(state__in=[OrderState.PENDING, OrderState.STARTING]).exclude(
        fail_reason=StopReason.CANCELLED
    )
    counts = decided.aggregate(
        all=Count("pk"), failed=Count("pk", filter=Q(state=OrderState.FAILED) | ~Q(fail_reason=""))
    )
    if not counts["all"]:
        return None
    return Decimal(counts["all"] - counts["failed"]) * 100 / counts["all"]


def gun_states(*, place: Place = EVERYWHERE) -> States:
    """Return how many guns of piles in service are in each state."""
    guns = ConnectorStatus.objects.filter(connector__pile__state=PileState.IN_SERVICE)
    if place.gun:
        guns = guns.filter(connector=place.gun)
    elif place.pile:
        guns = guns.filter(connector__pile=place.pile)
    elif place.stations is not None:
        guns = guns.filter(connector__pile__station_id__in=list(place.stations))
    counts = dict(guns.order_by().values_list("state").annotate(Count("pk")))
    return {state: counts.get(state.value, 0) for state in ConnectorState}


def power_now(*, place: Place = EVERYWHERE) -> Decimal:
    """Return the present output of all guns that charge, kW."""
    guns = ConnectorStatus.objects.filter(
        connector__pile__state=PileState.IN_SERVICE, state=ConnectorState.CHARGING
    )
    if place.stations is not None:
        guns = guns.filter(connector__pile__station_id__in=list(place.stations))
    found = guns.aggregate(watts=Sum(F("voltage_v") * F("current_a")))["watts"]
    return Decimal(found or 0) / 1000


def by_station(*, at: datetime, place: Place = EVERYWHERE) -> dict[int, Sums]:
    """Return today's sums until `at` by station id; stations without orders are left out."""
    start, _end = day_bounds(business_day(at))
    rows = _settled(start, at, place).order_by().values("station_id").annotate(**_AGGREGATES)
    return {row["station_id"]: _sums(dict(row)) for row in rows}


def station_lines(
    stations: list[Station], states: Mapping[int, States], sums: Mapping[int, Sums], *, limit: int = 12
) -> list[StationLine]:
    """Return stations by today's income, then by how many guns charge."""
    lines = [
        StationLine(station, states.get(station.pk, {}), sums.get(station.pk, Sums())) for station in stations
    ]
    lines.sort(key=lambda line: (-line.sums.income, -line.charging, line.station.station_no))
    return lines[:limit]


_KEYS: dict[Grain, tuple[str, Any]] = {
    Grain.STATION: ("day", TruncDate("settled_at", tzinfo=SHANGHAI)),
    Grain.HOUR: ("hour", BEGAN_HOUR),
}
"""By what is summed up: the rollups' column, and the same of an order."""
_ROLLED = {
    "o": Sum("orders"),
    "e": Sum("energy_kwh"),
    "ef": Sum("electricity_fee"),
    "sf": Sum("service_fee"),
}
_AGGREGATES = {
    "orders": Count("pk"),
    "energy": Sum("energy_kwh"),
    "electricity": Sum("electricity_fee"),
    "service": Sum("service_fee"),
}


def _settled(start: datetime, end: datetime, place: Place) -> QuerySet[Order]:
    orders = Order.objects.filter(state=OrderState.COMPLETED, settled_at__gte=start, settled_at__lt=end)
    return _at(orders, place, "settled_at")


def _at(orders: QuerySet[Order], place: Place, moment: str) -> QuerySet[Order]:
    """Those of a place; of a franchisee, those whose `moment` lies on a day on which the station was its own."""
    if place.franchisee is not None:
        orders = orders.alias(own_day=TruncDate(moment, tzinfo=SHANGHAI))
        orders = orders.filter(owned_by(place.franchisee, day="own_day"))
    if place.gun:
        return orders.filter(connector=place.gun)
    if place.pile:
        return orders.filter(connector__pile=place.pile)
    return orders if place.stations is None else orders.filter(station__in=place.stations)


def _sums(row: Mapping[str, Any]) -> Sums:
    return Sums(row["orders"], row["energy"] or NO_ENERGY, row["electricity"] or ZERO, row["service"] or ZERO)
