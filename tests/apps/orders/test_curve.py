"""The curve of a charge: what a point is made of, thinning that keeps the shape, and where it is kept and shown."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from apps.common.time import SHANGHAI, now
from apps.orders import battery, settling
from apps.orders.curve import POINTS, Sample, curve, thin
from apps.orders.models import Order, OrderCurve
from apps.orders.selectors import curve_of
from apps.piles.models import Telemetry
from apps.piles.partitions import ensure_partitions
from tests import factories
from tests.staff import boss

START = datetime(2026, 11, 23, 12, tzinfo=SHANGHAI)
REALTIME, DEMAND, BATTERY = 0x13, 0x23, 0x25


def sample(
    seconds: float,
    kind: int = REALTIME,
    transaction: str = "1",
    *,
    volts: str | None = None,
    amps: str | None = None,
    soc: int | None = None,
    kwh: str | None = None,
    celsius: int | None = None,
) -> Sample:
    def number(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    at = START + timedelta(seconds=seconds)
    return Sample(at, kind, transaction, number(volts), number(amps), soc, number(kwh), celsius)


def state(seconds: float, amps: str = "100.0", transaction: str = "1", **fields: object) -> Sample:
    return sample(
        seconds,
        transaction=transaction,
        **{"volts": "400.0", "amps": amps, "soc": 50, "kwh": "1.0000"} | fields,
    )


# --- Points -----------------------------------------------------------------------------------------------


def test_a_point_is_a_report_of_the_gun():
    points = curve(
        [state(30, "120.5", volts="700.1", soc=42, kwh="3.2105", celsius=31), state(15)],
        transaction_no="1",
        start=START,
    )
    assert points == [
        [15, 40.0, 50, 400.0, 100.0, 1.0, None],
        [30, 84.36, 42, 700.1, 120.5, 3.2105, 31],
    ]


def test_the_battery_tells_temperature_and_what_the_pile_does_not_know_of_the_charge():
    points = curve(
        [
            sample(0, BATTERY, celsius=29),
            sample(0, DEMAND, soc=43, volts="1.0", amps="1.0"),
            state(0, soc=0, celsius=20),
            state(60, soc=0, celsius=21),
            state(61, soc=0, celsius=22),
            sample(62, BATTERY),
        ],
        transaction_no="1",
    )
    assert [(p[0], p[2], p[6]) for p in points] == [(0, 43, 29), (60, 43, 29), (61, None, 22)]


def test_guns_that_charge_one_car_are_added():
    points = curve(
        [
            state(0, "100.0"),
            state(5, "50.0", "2", kwh="0.5000"),
            state(15, "110.0", kwh="2.0000"),
            state(90, "120.0", kwh="3.0000"),
        ],
        transaction_no="1",
    )
    assert [(p[0], p[1], p[4], p[5]) for p in points] == [
        (0, 40.0, 100.0, 1.0),
        (15, 64.0, 160.0, 2.5),
        (90, 48.0, 120.0, 3.0),
    ]


@pytest.mark.parametrize("samples", [[], [sample(0, BATTERY, celsius=1)], [state(0, transaction="2")]])
def test_without_a_report_of_the_gun_there_is_no_curve(samples):
    assert curve(samples, transaction_no="1") == []


# --- Thinning ---------------------------------------------------------------------------------------------


def line(powers: list[float]) -> list[list[float | int | None]]:
    return [[15 * index, power, None, 0.0, 0.0, 0.0, None] for index, power in enumerate(powers)]


@pytest.mark.parametrize("count", [0, 1, 2, POINTS - 1, POINTS])
def test_few_points_stay_as_they_are(count):
    points = line([1.0] * count)
    assert thin(points) == points


@pytest.mark.parametrize("count", [POINTS + 1, POINTS + 2, 599, 600, 5_760])
def test_many_points_become_three_hundred_of_their_own(count):
    points = line([(index * 7919) % 101 / 1.0 for index in range(count)])
    kept = thin(points)
    assert len(kept) == POINTS
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert [p[0] for p in kept] == sorted({p[0] for p in kept})
    assert all(p in points for p in kept)


def test_a_short_break_and_a_peak_stay_visible():
    powers = [60.0] * 6_000
    powers[1_234], powers[4_321] = 0.0, 240.0
    kept = [p[1] for p in thin(line(powers))]
    assert (min(kept), max(kept)) == (0.0, 240.0)
    assert set(kept) == {0.0, 60.0, 240.0}


# --- Kept and shown ---------------------------------------------------------------------------------------


def measure(order: Order, seconds: int, amps: str = "100.0") -> None:
    Telemetry.objects.create(
        at=order.charging_at + timedelta(seconds=seconds),
        connector_id=order.connector_id,
        kind=REALTIME,
        transaction_no=order.transaction_no,
        voltage_v=Decimal("400.0"),
        current_a=Decimal(amps),
        soc_percent=50,
        energy_kwh=Decimal("1.0000"),
    )


@pytest.fixture
def order(tenant):
    ensure_partitions(at=now() - timedelta(days=1))
    ensure_partitions()
    return factories.a_charging_order()


def settled(order: Order) -> Order:
    settling.settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    order.refresh_from_db()
    return order


FIRST, SECOND = [0, 40.0, 50, 400.0, 100.0, 1.0, None], [15, 20.0, 50, 400.0, 50.0, 1.0, None]


def test_a_settlement_has_the_curve_stored(order, django_capture_on_commit_callbacks):
    measure(order, 0)
    measure(order, 15, "50.0")
    assert curve_of(order) == [FIRST, SECOND]  # while it runs, from telemetry
    with django_capture_on_commit_callbacks(execute=True):
        settled(order)
    assert OrderCurve.objects.get(order=order).points == [FIRST, SECOND]
    Telemetry.objects.all().delete()
    assert curve_of(order) == [FIRST, SECOND]


def test_other_charges_of_the_gun_are_not_in_it(order):
    measure(order, 0)
    Telemetry.objects.create(
        at=order.charging_at, connector_id=order.connector_id, kind=REALTIME, transaction_no="7" * 32
    )
    assert curve_of(order) == [FIRST]


def test_a_curve_is_stored_anew_and_never_for_nobody(order):
    measure(order, 0)
    battery.store_curve(order_no=order.order_no)
    measure(order, 15, "50.0")
    battery.store_curve(order_no=order.order_no)
    assert OrderCurve.objects.get().points == [FIRST, SECOND]
    assert battery.store_curve(order_no="nobody's") is None


def test_curves_whose_task_was_lost_are_stored_later(order):
    measure(order, 0)
    settled(order)  # nothing runs on commit: the test's transaction never commits
    factories.a_charging_order()
    assert not OrderCurve.objects.exists()
    assert battery.store_missing_curves(at=now() + timedelta(days=15)) == 0
    assert battery.store_missing_curves() == 1
    assert battery.store_missing_curves() == 0
    assert OrderCurve.objects.get().order == order


def test_the_orders_page_shows_chart_and_table(order):
    Order.objects.filter(pk=order.pk).update(
        vin="LSVAU2180N2183294",
        abort_words=[{"by": "battery_abort", "text": "battery too hot", "state": "untrusted"}],
    )
    path = f"/admin/orders/order/{order.pk}/change/"
    staff = boss("alpha.test")
    assert "curve-chart" not in staff.get(path, headers={"accept-language": "en"}).content.decode()
    measure(order, 0)
    measure(order, 15, "50.0")
    page = staff.get(path, headers={"accept-language": "en"}).content.decode()
    data = json.loads(re.search(r'<script id="curve-data"[^>]*>(.*?)</script>', page)[1])
    assert data["minutes"] == [0.0, 0.2]
    assert data["series"] == [[40.0, 20.0], [50, 50], [400.0, 400.0], [100.0, 50.0], [1.0, 1.0], [None, None]]
    assert "LSVAU2180N2183294" in page
    assert "battery – battery too hot: untrusted" in page
    assert page.count('<td class="bo-num">40.0</td>') == 1
