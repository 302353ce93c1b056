"""Retail prices while a charge runs: the balance at the pile, the watch, what the driver sees."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.common.time import now
from apps.orders import watchdog
from apps.orders.estimate import dearest, spent_at_retail
from apps.orders.models import Order
from apps.orders.selectors import progress
from apps.piles.models import ConnectorStatus, Telemetry
from apps.piles.partitions import ensure_partitions
from apps.pricing.tariff import ClassPrice, Tariff
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")


@pytest.fixture
def retail_charge():
    """A charge of 30 yuan held, at a station where every class costs drivers 2 yuan and the pile counts nothing."""
    free = Tariff(
        {rate_class: ClassPrice(Decimal(0), Decimal(0)) for rate_class in factories.TARIFF.prices},
        factories.TARIFF.slots,
    )
    station = factories.a_station()
    factories.a_price(free, station=station)
    factories.a_retail_price(station, {name.value: ("1.50000", "0.50000") for name in free.prices})
    return factories.a_charging_order(connector=factories.a_connector(station=station), preset="30.00")


def report(order, energy, *, volts="400.0", amps="150.0", at=None):
    ConnectorStatus.objects.filter(connector=order.connector).update(
        energy_kwh=Decimal(energy), voltage_v=Decimal(volts), current_a=Decimal(amps), reported_at=at or now()
    )


@pytest.mark.parametrize(
    ("energy", "amps", "stops"),
    [
        ("14.7400", "150.0", False),  # 29.48 and 15 s at 60 kW, 0.25 kWh or 0.50 yuan: 29.98
        ("14.7500", "150.0", True),  # 29.50 + 0.50 = 30.00
        ("14.9900", "0.0", False),
        ("15.0000", "0.0", True),
        ("0.0000", "150.0", False),
    ],
)
def test_a_charge_is_stopped_one_period_before_its_hold_is_used_up(retail_charge, energy, amps, stops):
    at = now()
    report(retail_charge, energy, amps=amps, at=at)
    assert watchdog.watch_limits(at=at) == stops
    retail_charge.refresh_from_db()
    assert (retail_charge.state, retail_charge.stop_reason) == (
        ("stopping", "hold_used") if stops else ("charging", "")
    )
    assert watchdog.watch_limits(at=at) == 0


def test_what_was_charged_since_the_last_word_counts(retail_charge):
    at = now()
    report(retail_charge, "14.0000", at=at - timedelta(seconds=45))
    assert watchdog.watch_limits(at=at - timedelta(seconds=45)) == 0
    # 28.00 and a minute at 60 kW is 1.00 kWh, 2.00 yuan
    assert watchdog.watch_limits(at=at) == 1


def test_the_driver_sees_retail_while_charging(retail_charge):
    report(retail_charge, "3.2500")
    retail_charge.refresh_from_db()
    order = Order.objects.select_related("connector__status", "connector__pile").get(pk=retail_charge.pk)
    assert progress(order=order).amount == Decimal("6.50")


def test_charges_at_the_piles_own_prices_are_left_to_it():
    order = factories.a_charging_order(preset="30.00")
    report(order, "900.0000")
    assert watchdog.watch_limits() == 0


def test_each_half_hour_has_its_price():
    """Across a price border energy is told apart by telemetry; what that lacks counts at the present price."""
    begin = now().replace(hour=7, minute=50, second=0, microsecond=0)
    ensure_partitions(at=begin)
    station = factories.a_station()
    factories.a_price(station=station)
    factories.a_retail_price(station, {"valley": ("0.50000", "0.50000"), "flat": ("1.00000", "1.00000")})
    order = factories.a_charging_order(connector=factories.a_connector(station=station))
    order.charging_at = begin
    for minutes, energy in ((5, "5.0000"), (9, "8.0000"), (15, "11.0000"), (20, "14.0000")):
        Telemetry.objects.create(
            at=begin + timedelta(minutes=minutes),
            connector_id=order.connector_id,
            kind=0x13,
            transaction_no=order.transaction_no,
            energy_kwh=Decimal(energy),
        )
    report(order, "15.0000")
    word = ConnectorStatus.objects.get(connector=order.connector)
    at = begin + timedelta(minutes=25)
    # 8 kWh before 08:00 at 1.00, then 6 kWh by telemetry and 1 kWh beyond it at 2.00.
    assert spent_at_retail(order, [word], at) == Decimal("22.00")
    assert dearest(order, [word], at) == Decimal("30.00")
