"""Figures of the overview. Days are those of Asia/Shanghai; an order counts on the day it was settled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from apps.common.differences import DifferenceState
from apps.common.money import ZERO
from apps.common.time import SHANGHAI, business_day, day_bounds
from apps.orders.enums import OrderRefundState, OrderState, RecordState
from apps.orders.models import EnergyDifference, Order, OrderRefund, TransactionRecord
from apps.piles.enums import ConnectorState, PileState
from apps.piles.models import Alarm, ConnectorStatus
from apps.sites.models import Station
from apps.wallet.enums import PartState, RefundState
from apps.wallet.models import ChannelDifference, LedgerCheck, WalletRefund, WalletRefundPart

NO_ENERGY = Decimal("0.0000")
Stations = Collection[int] | None
"""Ids of the stations that figures are of; None for all."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of settled orders: energy kWh, fees yuan (before anything is paid from bonus)."""

    orders: int
    energy_kwh: Decimal
    electricity_fee: Decimal
    service_fee: Decimal

    @property
    def income(self) -> Decimal:
        """Electricity and service fee, yuan."""
        return self.electricity_fee + self.service_fee


@dataclass(frozen=True, slots=True)
class Change:
    """A figure of today and the same figure of yesterday until this time of day."""

    today: Decimal | int
    before: Decimal | int

    @property
    def percent(self) -> Decimal | None:
        """By how much today is more (+) or less (−), one place; None without a figure to compare with."""
        if not self.before:
            return None
        ratio = (Decimal(self.today) - Decimal(self.before)) / Decimal(self.before) * 100
        return ratio.quantize(Decimal("0.1"))


@dataclass(frozen=True, slots=True)
class Today:
    """The day's figures so far, each against yesterday until the same time."""

    energy: Change
    income: Change
    orders: Change


@dataclass(frozen=True, slots=True)
class Todo:
    """What waits for a person."""

    faults: int
    abnormal: int
    quarantined: int
    channel_differences: int
    energy_differences: int
    alarms: int
    ledger_differences: int
    order_refunds: int
    wallet_refunds: int
    transfers: int


@dataclass(frozen=True, slots=True)
class StationLine:
    """A station with its guns and its figures of today."""

    station: Station
    guns: int
    charging: int
    faults: int
    sums: Sums


def today(*, at: datetime, station_ids: Stations = None) -> Today:
    """Return the figures of the business day of `at` until `at`, and of the day before until the same time."""
    start, _end = day_bounds(business_day(at))
    now_sums = settled_between(start, at, station_ids=station_ids)
    day = timedelta(days=1)
    then_sums = settled_between(start - day, at - day, station_ids=station_ids)
    return Today(
        energy=Change(now_sums.energy_kwh, then_sums.energy_kwh),
        income=Change(now_sums.income, then_sums.income),
        orders=Change(now_sums.orders, then_sums.orders),
    )


def settled_between(start: datetime, end: datetime, *, station_ids: Stations = None) -> Sums:
    """Return the sums of orders settled from `start` until before `end`."""
    return _sums(_settled(start, end, station_ids).aggregate(**_AGGREGATES))


def by_day(*, last: date, days: int = 14, station_ids: Stations = None) -> list[tuple[date, Sums]]:
    """Return the sums of each of `days` business days up to `last`, oldest first, days without orders as zeros."""
    first = last - timedelta(days=days - 1)
    start, _end = day_bounds(first)
    _start, end = day_bounds(last)
    rows = (
        _settled(start, end, station_ids)
        .annotate(day=TruncDate("settled_at", tzinfo=SHANGHAI))
        .order_by()
        .values("day")
        .annotate(**_AGGREGATES)
    )
    found = {row["day"]: _sums(dict(row)) for row in rows}
    none = Sums(0, NO_ENERGY, ZERO, ZERO)
    return [(day, found.get(day, none)) for day in (first + timedelta(days=n) for n in range(days))]


def gun_states(*, station_ids: Stations = None) -> dict[ConnectorState, int]:
    """Return how many guns of piles in service are in each state."""
    guns = ConnectorStatus.objects.filter(connector__pile__state=PileState.IN_SERVICE)
    if station_ids is not None:
        guns = guns.filter(connector__pile__station_id__in=station_ids)
    counts = dict(guns.order_by().values_list("state").annotate(Count("pk")))
    return {state: counts.get(state.value, 0) for state in ConnectorState}


def todo(*, seen: Callable[[QuerySet], QuerySet] = lambda rows: rows, station_ids: Stations = None) -> Todo:
    """Return what waits for a person; `seen` leaves of rows those that the person may see."""
    return Todo(
        faults=gun_states(station_ids=station_ids)[ConnectorState.FAULT],
        abnormal=seen(Order.objects.filter(state=OrderState.ABNORMAL)).count(),
        quarantined=seen(TransactionRecord.objects.filter(state=RecordState.QUARANTINED)).count(),
        channel_differences=ChannelDifference.objects.filter(state=DifferenceState.OPEN).count(),
        energy_differences=seen(EnergyDifference.objects.filter(state=DifferenceState.OPEN)).count(),
        alarms=seen(Alarm.objects.filter(closed_at=None)).count(),
        ledger_differences=LedgerCheck.objects.values_list("differences", flat=True).first() or 0,
        order_refunds=seen(OrderRefund.objects.filter(state=OrderRefundState.APPLIED)).count(),
        wallet_refunds=WalletRefund.objects.filter(
            state__in=[RefundState.APPLIED, RefundState.RETURNED]
        ).count(),
        transfers=WalletRefundPart.objects.filter(
            state=PartState.MANUAL, refund__state=RefundState.EXECUTING
        ).count(),
    )


def stations(*, at: datetime, limit: int = 12, station_ids: Stations = None) -> list[StationLine]:
    """Return stations by today's income, with guns and figures, in three queries."""
    start, _end = day_bounds(business_day(at))
    rows = {row["station_id"]: _sums(row) for row in _by_station(start, at, station_ids)}
    in_service = ConnectorStatus.objects.filter(connector__pile__state=PileState.IN_SERVICE).order_by()
    guns = {
        row["connector__pile__station_id"]: row
        for row in in_service.values("connector__pile__station_id").annotate(
            guns=Count("pk"),
            charging=Count("pk", filter=Q(state=ConnectorState.CHARGING)),
            faults=Count("pk", filter=Q(state=ConnectorState.FAULT)),
        )
    }
    none = Sums(0, NO_ENERGY, ZERO, ZERO)
    lines = []
    shown = Station.objects.all() if station_ids is None else Station.objects.filter(pk__in=station_ids)
    for station in shown:
        row: Mapping[str, Any] = guns.get(station.pk, {})
        sums = rows.get(station.pk, none)
        lines.append(
            StationLine(station, row.get("guns", 0), row.get("charging", 0), row.get("faults", 0), sums)
        )
    lines.sort(key=lambda line: (-line.sums.income, -line.charging, line.station.station_no))
    return lines[:limit]


_AGGREGATES = {
    "orders": Count("pk"),
    "energy": Sum("energy_kwh"),
    "electricity": Sum("electricity_fee"),
    "service": Sum("service_fee"),
}


def _settled(start: datetime, end: datetime, station_ids: Stations) -> QuerySet[Order]:
    orders = Order.objects.filter(state=OrderState.COMPLETED, settled_at__gte=start, settled_at__lt=end)
    return orders if station_ids is None else orders.filter(station__in=station_ids)


def _by_station(start: datetime, end: datetime, station_ids: Stations) -> QuerySet[Order, dict[str, object]]:
    return _settled(start, end, station_ids).order_by().values("station_id").annotate(**_AGGREGATES)  # type: ignore[return-value]


def _sums(row: dict[str, object]) -> Sums:
    return Sums(row["orders"], row["energy"] or NO_ENERGY, row["electricity"] or ZERO, row["service"] or ZERO)  # type: ignore[arg-type]
