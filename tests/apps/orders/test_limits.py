"""Limits that a driver sets and no pile knows: watched in what the pile reports."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.common.time import now
from apps.customers.vehicles import add
from apps.orders import watchdog
from apps.orders.enums import OrderState, StopReason
from apps.orders.limits import Limits
from apps.orders.models import Order
from apps.orders.services import start_charge
from apps.piles.models import ConnectorStatus, PileCommand
from apps.wallet.errors import KeyReused
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")


def charging(limits: Limits) -> Order:
    """An order with these limits whose pile charges at 60 kW and reported just now."""
    customer, connector = factories.a_customer("100.00"), factories.a_connector()
    order = start_charge(
        customer=customer, connector_code=connector.code, request_key="one", limits=limits, plate="苏A12345"
    )
    factories.accept_start(order)
    factories.see_charging(order)
    order.refresh_from_db()
    assert order.state == OrderState.CHARGING
    return order


def report(order: Order, *, energy: str = "0", soc: int = 0, at=None) -> None:
    ConnectorStatus.objects.filter(connector=order.connector_id).update(
        energy_kwh=Decimal(energy),
        voltage_v=Decimal(600),
        current_a=Decimal(100),
        soc_percent=soc,
        reported_at=at or now(),
    )


def stopped(order: Order) -> bool:
    order.refresh_from_db()
    if order.stop_requested_at is None:
        return False
    assert (order.state, order.stop_reason) == (OrderState.STOPPING, StopReason.LIMIT_REACHED)
    assert PileCommand.objects.filter(kind="stop").count() == 1
    return True


def test_energy_stops_one_report_early(tenant) -> None:
    order = charging(Limits(energy_kwh=Decimal(10)))
    at = now()
    # 60 kW for the 15 s until the next report are 0.25 kWh.
    report(order, energy="9.7499", at=at)
    assert (watchdog.watch_limits(at=at), stopped(order)) == (0, False)
    report(order, energy="9.7500", at=at)
    assert (watchdog.watch_limits(at=at), stopped(order)) == (1, True)
    assert watchdog.watch_limits(at=at) == 0


def test_a_late_report_is_reckoned_with(tenant) -> None:
    order = charging(Limits(energy_kwh=Decimal(10)))
    at = now()
    report(order, energy="9.5000", at=at)
    assert watchdog.watch_limits(at=at) == 0
    assert watchdog.watch_limits(at=at + timedelta(seconds=15)) == 1


def test_minutes(tenant) -> None:
    order = charging(Limits(minutes=30))
    report(order)
    begin = order.charging_at
    assert watchdog.watch_limits(at=begin + timedelta(minutes=29, seconds=59)) == 0
    assert (watchdog.watch_limits(at=begin + timedelta(minutes=30)), stopped(order)) == (1, True)


def test_state_of_charge(tenant) -> None:
    order = charging(Limits(soc_percent=80))
    report(order, soc=79)
    assert watchdog.watch_limits() == 0
    report(order, soc=80)
    assert (watchdog.watch_limits(), stopped(order)) == (1, True)


def test_without_limits_nobody_is_stopped(tenant) -> None:
    order = charging(Limits())
    report(order, energy="500", soc=100)
    assert watchdog.watch_limits(at=now() + timedelta(hours=23)) == 0
    assert not stopped(order)


def test_a_gun_that_no_longer_charges_is_left_alone(tenant) -> None:
    order = charging(Limits(energy_kwh=Decimal(1)))
    report(order, energy="5")
    ConnectorStatus.objects.filter(connector=order.connector_id).update(transaction_no="")
    assert watchdog.watch_limits() == 0


def test_the_same_key_with_other_limits_is_refused(tenant) -> None:
    order = charging(Limits(minutes=30))
    asked = {"customer": order.customer, "connector_code": order.connector.code, "request_key": "one"}
    assert start_charge(**asked, limits=Limits(minutes=30)).pk == order.pk
    with pytest.raises(KeyReused):
        start_charge(**asked, limits=Limits(minutes=31))


def test_the_app_starts_with_limits_and_a_car(tenant) -> None:
    from apps.miniapp.authentication import token_for
    from tests.apps.miniapp.conftest import Caller, refusal

    customer, connector = factories.a_customer("100.00"), factories.a_connector()
    words = {"vin": "", "plug_and_charge": False, "is_default": False}
    add(customer=customer, plate="苏A11111", **words)
    second = add(customer=customer, plate="苏AD22222", **words)
    foreign = add(customer=factories.a_customer("0"), plate="苏A33333", **words)
    app = Caller(str(token_for(customer)), **{"accept-language": "en"})
    body = {
        "connector_code": connector.code,
        "preset_energy_kwh": "30.5",
        "preset_minutes": 45,
        "preset_soc_percent": 80,
    }
    refused = app.post("charges", {**body, "vehicle_id": str(foreign.pk)}, **{"idempotency-key": "a"})
    assert refusal(refused) == (404, "customers.vehicle_not_found")
    started = app.post("charges", {**body, "vehicle_id": str(second.pk)}, **{"idempotency-key": "b"}).json()
    wanted = {
        "preset_amount": None,
        "preset_energy_kwh": "30.5000",
        "preset_minutes": 45,
        "preset_soc_percent": 80,
        "plate": "苏AD22222",
        "hold_amount": "100.00",
    }
    assert {key: started[key] for key in wanted} == wanted
    assert Order.objects.get().limits == Limits(Decimal("30.5"), 45, 80)


def test_without_a_choice_it_is_the_default_car(tenant) -> None:
    from apps.customers.vehicles import plate_for

    customer = factories.a_customer("0")
    assert plate_for(customer=customer, vehicle_id=None) == ""
    add(customer=customer, plate="苏A11111", vin="", plug_and_charge=False, is_default=False)
    assert plate_for(customer=customer, vehicle_id=None) == "苏A11111"
