"""Reads of orders for drivers and staff."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from apps.common.bulk import to_json
from apps.common.fields import MoneyField
from apps.common.money import ZERO
from apps.common.time import day_bounds, now
from apps.customers.models import Customer
from apps.orders.curve import Point, Sample, curve
from apps.orders.enums import OVER, OrderGroup, OrderState
from apps.orders.errors import OrderNotFound
from apps.orders.estimate import spent_at_retail
from apps.orders.guns import guns_of
from apps.orders.models import BillingPolicy, Order, OrderCurve
from apps.piles.models import ConnectorStatus, Telemetry, TelemetryKind
from apps.wallet.models import Debt

SAMPLES_READ = 100_000
"""Rows of telemetry of one charge at most; a day at the usual pace is a sixth of it."""
_AROUND = timedelta(days=1)
_LAST_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """A charge at one moment. Energy kWh, amount yuan (an estimate of the pile's until settled), power kW.

    `sequence` grows with every newer picture (milliseconds since 1970): a reader drops what is older than it has.
    """

    order_no: str
    state: str
    state_label: str
    connector_code: str
    further_connectors: list[str]
    station_name: str
    waiting_for_plug: bool
    stop_requested: bool
    fail_reason: str
    energy_kwh: Decimal
    amount: Decimal
    settled: bool
    soc_percent: int
    power_kw: Decimal
    voltage_v: Decimal
    current_a: Decimal
    minutes: int
    remaining_minutes: int
    hold_amount: Decimal | None
    preset_amount: Decimal | None
    preset_energy_kwh: Decimal | None
    preset_minutes: int | None
    preset_soc_percent: int | None
    plate: str
    started_at: datetime | None
    reported_at: datetime | None
    sequence: int


def billing_policy() -> BillingPolicy:
    """Return how this tenant bills, pays and audits."""
    return BillingPolicy.objects.first() or BillingPolicy()


class Sampled(NamedTuple):
    """What a charging gun reported of its energy, kWh, and when."""

    energy_kwh: Decimal
    at: datetime


def last_samples(charges: Sequence[tuple[str, int, datetime, datetime]]) -> dict[str, Sampled]:
    """Return of each charge (transaction number, connector's id, since, until) the report (0x13) with most energy.

    Of the last ones up to `until` only; keyed by the transaction number, nothing for a charge without a report.
    """
    rows = [
        {"number": number, "connector": connector, "since": since - _AROUND, "until": until}
        for number, connector, since, until in charges
    ]
    found: dict[str, list[Sampled]] = {}
    with connection.cursor() as cursor:
        # The very last may come after the end, with a meter that was set back.
        cursor.execute(
            """
            SELECT charge.number, newest.energy_kwh, newest.at
              FROM jsonb_to_recordset(%s::jsonb)
                   AS charge (number text, connector bigint, since timestamptz, until timestamptz)
             CROSS JOIN LATERAL (
                   SELECT energy_kwh, at FROM piles_telemetry
                    WHERE transaction_no = charge.number AND connector_id = charge.connector AND kind = %s
                      AND at <= charge.until AND at >= charge.since AND energy_kwh IS NOT NULL
                    ORDER BY at DESC LIMIT %s) AS newest
            """,
            [to_json(rows), TelemetryKind.REALTIME.value, _LAST_SAMPLES],
        )
        for number, energy_kwh, at in cursor.fetchall():
            found.setdefault(number, []).append(Sampled(energy_kwh, at))
    return {
        number: max(samples, key=lambda sample: (sample.energy_kwh, -sample.at.timestamp()))
        for number, samples in found.items()
    }


def samples_of(order: Order) -> QuerySet[Telemetry]:
    """Return the reports of an order's charging guns (0x13) that told an energy, oldest first."""
    numbers = [order.transaction_no, *order.legs.values_list("transaction_no", flat=True)]
    rows = Telemetry.objects.filter(
        transaction_no__in=numbers,
        kind=TelemetryKind.REALTIME,
        at__gte=order.created_at - _AROUND,
        energy_kwh__isnull=False,
    )
    if order.ended_at is not None:
        rows = rows.filter(at__lte=order.ended_at + _AROUND)
    return rows.order_by("at")[:SAMPLES_READ]


def order_of(*, customer: Customer, order_no: str) -> Order:
    """Return a customer's own order with what its pages show. Raises OrderNotFound."""
    order = (
        Order.objects.select_related("station", "connector__pile", "connector__status")
        .filter(customer=customer, order_no=order_no)
        .first()
    )
    if order is None:
        raise OrderNotFound
    return order


def orders_by_number(*, order_nos: Collection[str]) -> dict[str, Order]:
    """Return {order number: order} with what `progress` shows, whoever's they are; numbers of no order are left out."""
    orders = Order.objects.select_related("station", "connector__pile", "connector__status")
    return {order.order_no: order for order in orders.filter(order_no__in=order_nos)}


def orders_of(
    *, customer: Customer, state: str | None = None, group: str | None = None, month: date | None = None
) -> QuerySet[Order]:
    """Return a customer's orders, newest first, each with `owed` (yuan, what is still to be paid).

    Of one state, one group, and of the month (Asia/Shanghai) of a day, where given.
    """
    orders = Order.objects.select_related("station", "connector").filter(customer=customer).order_by("-id")
    orders = orders.annotate(owed=_owed())
    if state:
        orders = orders.filter(state=state)
    if group == OrderGroup.CHARGING:
        orders = orders.exclude(state__in=OVER)
    elif group == OrderGroup.TO_PAY:
        orders = orders.filter(state__in=OVER, owed__gt=0)
    elif group == OrderGroup.DONE:
        orders = orders.filter(state__in=OVER, owed=0)
    if month:
        first = month.replace(day=1)
        following = (first + timedelta(days=32)).replace(day=1)
        orders = orders.filter(created_at__gte=day_bounds(first)[0], created_at__lt=day_bounds(following)[0])
    return orders


def group_counts(*, customer: Customer) -> dict[str, int]:
    """Return how many orders each group of a customer's has, in one query."""
    over = Q(state__in=OVER)
    owing = Q(Exists(_open_debt()))
    return Order.objects.filter(customer=customer).aggregate(
        charging=Count("id", filter=~over),
        to_pay=Count("id", filter=over & owing),
        done=Count("id", filter=over & ~owing),
    )


def owed_of(order: Order) -> Decimal:
    """Return what is still to be paid for an order, yuan."""
    if not order.debt:
        return ZERO
    return Order.objects.filter(pk=order.pk).values_list(_owed(), flat=True).get()


def _open_debt() -> QuerySet[Debt]:
    return Debt.objects.filter(order_no=OuterRef("order_no"), closed_at=None)


def _owed() -> Coalesce:
    left = _open_debt().values(left=F("amount") - F("recovered") - F("cancelled"))
    return Coalesce(Subquery(left[:1]), Value(ZERO), output_field=MoneyField())


def progress(*, order: Order) -> Progress:
    """Return the live picture of an order: the guns' last words while it charges, the bill once settled.

    Of several guns energies, amounts, power and current are added; the rest is the main gun's.
    """
    status: ConnectorStatus = order.connector.status
    guns = guns_of(order)
    words = [gun.connector.status for gun in guns if gun.speaks]
    live = bool(words) and order.state not in OVER
    settled = order.state == OrderState.COMPLETED
    reported_at = status.reported_at if live else order.ended_at
    newest = max(order.updated_at, reported_at) if reported_at else order.updated_at
    zero = Decimal(0)
    return Progress(
        order_no=order.order_no,
        state=order.state,
        state_label=str(OrderState(order.state).label),
        connector_code=order.connector.code,
        further_connectors=[gun.connector.code for gun in guns[1:]],
        station_name=order.station.name,
        waiting_for_plug=order.waiting_for_plug,
        stop_requested=order.stop_requested_at is not None,
        fail_reason=order.fail_reason,
        energy_kwh=order.energy_kwh
        if settled
        else sum((word.energy_kwh for word in words), zero)
        if live
        else zero,
        amount=order.payable if settled else _amount_so_far(order, words) if live else zero,
        settled=settled,
        soc_percent=status.soc_percent if live else 0,
        power_kw=sum((word.power_kw for word in words), zero) if live else zero,
        voltage_v=status.voltage_v if live else zero,
        current_a=sum((word.current_a for word in words), zero) if live else zero,
        minutes=status.charge_minutes if live else 0,
        remaining_minutes=status.remaining_minutes if live else 0,
        hold_amount=order.own_hold,
        preset_amount=order.preset_amount,
        preset_energy_kwh=order.limit_energy_kwh,
        preset_minutes=order.limit_minutes,
        preset_soc_percent=order.limit_soc_percent,
        plate=order.plate,
        started_at=order.started_at or order.charging_at,
        reported_at=reported_at,
        sequence=int(newest.timestamp() * 1000),
    )


def _amount_so_far(order: Order, words: list[ConnectorStatus]) -> Decimal:
    """What the driver will pay for what the guns report, yuan: the piles' own amounts, or ours at retail prices."""
    if order.is_retail:
        return spent_at_retail(order, words, now())
    return sum((word.amount_yuan for word in words), Decimal(0))


def curve_of(order: Order) -> list[Point]:
    """Return the points of an order's curve: the stored ones, or what its telemetry shows up to now."""
    stored = OrderCurve.objects.filter(order=order).values_list("points", flat=True).first()
    return stored if stored is not None else curve_from_telemetry(order)


def curve_from_telemetry(order: Order) -> list[Point]:
    """Return an order's curve as its telemetry shows it, while that is kept."""
    numbers = [order.transaction_no, *order.legs.values_list("transaction_no", flat=True)]
    rows = Telemetry.objects.filter(transaction_no__in=numbers, at__gte=order.created_at - _AROUND)
    if order.ended_at is not None:
        rows = rows.filter(at__lte=order.ended_at + _AROUND)
    samples = rows.order_by("at").values_list(*Sample._fields)[:SAMPLES_READ]
    return curve(
        map(Sample._make, samples),
        transaction_no=order.transaction_no,
        start=order.charging_at or order.started_at,
    )
