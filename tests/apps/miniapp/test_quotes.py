"""A quote is the bill of what is expected: it is compared with the bill of just that, settled."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
import time_machine

from apps.common.time import SHANGHAI
from apps.coupons.models import Coupon
from apps.orders import settling
from apps.orders.limits import NO_LIMITS, Limits
from apps.orders.models import BillingPolicy, Order
from apps.orders.quotes import expected
from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from apps.wallet.models import Hold
from tests import factories
from tests.apps.miniapp.conftest import refusal

pytestmark = pytest.mark.usefixtures("tenant")
TEN = datetime(2026, 11, 20, 10, tzinfo=SHANGHAI)


@pytest.fixture(autouse=True)
def morning():
    """10:00, in the flat class of the tests' tariff: 0.80 + 0.40; peak from 12:00, 1.20 + 0.60."""
    with time_machine.travel(TEN, tick=False) as clock:
        yield clock


def test_a_quote_is_the_bill_of_what_is_expected(app_of) -> None:
    customer = factories.a_customer("100.00")
    factories.an_enterprise(customer, name="顺风物流")
    factories.a_coupon(customer, name="立减", save_amount=2, spend=1)
    connector = factories.a_connector()
    app = app_of(customer)
    # 240 kWh fit into the two hours until the peak; for what is left of 300 yuan there are 6.6666 more.
    asked = {"connector_code": connector.code, "preset_energy_kwh": "250.5"}
    BillingPolicy.objects.update(pay_order="principal_first")
    factories.top_up(customer, "900.00")
    body = app.post("quotes", {**asked, "preset_amount": "300.00"}).json()
    assert [(line["rate_class"], line["energy_kwh"]) for line in body["lines"]] == [
        ("peak", "6.6666"),
        ("flat", "240.0000"),
    ]
    assert (body["minutes"], body["hold_amount"]) == (124, "300.00")
    body = app.post("quotes", {"connector_code": connector.code, "preset_energy_kwh": "12.3456"}).json()
    assert (body["energy_kwh"], body["minutes"], body["can_pay"]) == ("12.3456", 7, True)
    assert (Order.objects.count(), Hold.objects.count()) == (0, 0)
    assert Coupon.objects.get().state == "available"

    order = factories.a_charging_order(customer=customer, connector=connector)
    settling.settle_record(record_id=factories.a_record(order, {"flat": "12.3456"}).pk)
    bill = app.get(f"orders/{order.order_no}").json()
    same = [
        "energy_kwh",
        "lines",
        "electricity_fee",
        "service_fee",
        "enterprise_discount",
        "coupon_discount",
        "electricity_payable",
        "service_payable",
        "payable",
    ]
    assert {key: body[key] for key in same} == {key: bill[key] for key in same}
    assert (body["from_principal"], body["from_bonus"]) == (bill["paid_principal"], bill["paid_bonus"])
    assert (body["enterprise"], body["coupon"]["id"]) == ("顺风物流", bill["coupon_id"])
    assert body["explanation"] == bill["explanation"][:-1]
    assert len(body["explanation"]) == 5


def test_money_ends_the_charge(app_of) -> None:
    app, connector = app_of(factories.a_customer("36.00")), factories.a_connector()
    full = app.post("quotes", {"connector_code": connector.code}).json()
    assert (full["hold_amount"], full["energy_kwh"], full["payable"], full["minutes"]) == (
        "36.00",
        "30.0000",
        "36.00",
        15,
    )
    half = app.post("quotes", {"connector_code": connector.code, "preset_amount": "18.00"}).json()
    assert (half["hold_amount"], half["energy_kwh"], half["payable"]) == ("18.00", "15.0000", "18.00")
    short = app.post("quotes", {"connector_code": connector.code, "preset_amount": "48.00"}).json()
    assert (short["can_pay"], short["available"], short["shortfall"]) == (False, "36.00", "12.00")


def test_who_has_no_money_sees_the_price_all_the_same(app_of) -> None:
    app, connector = app_of(factories.a_customer("0")), factories.a_connector()
    body = app.post("quotes", {"connector_code": connector.code, "preset_energy_kwh": "10"}).json()
    assert (body["can_pay"], body["hold_amount"], body["payable"], body["shortfall"]) == (
        False,
        "0.00",
        "12.00",
        "12.00",
    )


def test_time_ends_the_charge(app_of) -> None:
    app, connector = app_of(factories.a_customer("100.00")), factories.a_connector()
    body = app.post("quotes", {"connector_code": connector.code, "preset_minutes": 30}).json()
    assert (body["energy_kwh"], body["minutes"], body["payable"]) == ("60.0000", 30, "72.00")


def test_a_chosen_coupon_or_none(app_of) -> None:
    customer, connector = factories.a_customer("100.00"), factories.a_connector()
    small = factories.a_coupon(customer, name="small", save_amount=1, spend=1)
    large = factories.a_coupon(customer, name="large", save_amount=3, spend=1)
    foreign = factories.a_coupon(factories.a_customer("0"), name="foreign", save_amount=9)
    app = app_of(customer)

    def saved(coupon: str) -> tuple[str | None, str]:
        body = app.post(
            "quotes",
            {"connector_code": connector.code, "preset_energy_kwh": "10", "coupon": coupon},
        ).json()
        return (body["coupon"] or {}).get("name"), body["coupon_discount"]

    assert saved("best") == ("large", "3.00")
    assert saved("none") == (None, "0.00")
    assert saved(str(small.pk)) == ("small", "1.00")
    asked = {"connector_code": connector.code, "coupon": str(foreign.pk)}
    assert refusal(app.post("quotes", asked)) == (404, "coupons.not_found")
    Coupon.objects.filter(pk=large.pk).update(state="used")
    asked["coupon"] = str(large.pk)
    assert refusal(app.post("quotes", asked)) == (409, "coupons.not_usable")


def test_what_cannot_be_quoted(app_of, anybody) -> None:
    app = app_of(factories.a_customer("100.00"))
    connector = factories.a_connector()
    unpriced = factories.a_pile(priced=False).connectors.get()
    assert refusal(anybody.post("quotes", {"connector_code": connector.code}))[0] == 401
    assert refusal(app.post("quotes", {"connector_code": "9" * 16})) == (404, "piles.not_found")
    assert refusal(app.post("quotes", {"connector_code": unpriced.code})) == (409, "pricing.no_price")
    apart = {"connector_code": connector.code, "further_connectors": [unpriced.code]}
    assert refusal(app.post("quotes", apart)) == (409, "orders.guns_apart")
    for wrong in (
        {"preset_energy_kwh": "0"},
        {"preset_energy_kwh": 10},
        {"preset_energy_kwh": "1000.0001"},
        {"preset_minutes": 0},
        {"preset_minutes": 1441},
        {"preset_soc_percent": 101},
    ):
        assert refusal(app.post("quotes", {"connector_code": connector.code, **wrong})) == (400, "invalid")


P = {RateClass.FLAT: ClassPrice(Decimal(1), Decimal(0)), RateClass.PEAK: ClassPrice(Decimal(2), Decimal(0))}
ALTERNATING = Tariff(P, (RateClass.FLAT, RateClass.PEAK) * 24)


@pytest.mark.parametrize(
    ("amount", "limits", "energies", "minutes"),
    [
        # 60 kW: 30 kWh in each half hour, 30 yuan in a flat one, 60 in a peak one.
        ("30", NO_LIMITS, {"flat": "30.0000"}, 30),
        ("90", NO_LIMITS, {"flat": "30.0000", "peak": "30.0000"}, 60),
        ("60", NO_LIMITS, {"flat": "30.0000", "peak": "15.0000"}, 45),
        ("1000", Limits(energy_kwh=Decimal(45)), {"flat": "30.0000", "peak": "15.0000"}, 45),
        ("1000", Limits(minutes=75), {"flat": "45.0000", "peak": "30.0000"}, 75),
        ("10", Limits(energy_kwh=Decimal(45), minutes=75), {"flat": "10.0000"}, 10),
        ("1000", Limits(energy_kwh=Decimal(20), minutes=75), {"flat": "20.0000"}, 20),
        ("1", Limits(soc_percent=80), {"flat": "1.0000"}, 1),
    ],
)
def test_energy_by_half_hour(amount: str, limits: Limits, energies: dict[str, str], minutes: int) -> None:
    found, length = expected(
        ALTERNATING, power_kw=Decimal(60), begin=TEN, amount=Decimal(amount), limits=limits
    )
    assert {name.value: str(energy) for name, energy in found.items()} == energies
    assert length.total_seconds() == minutes * 60


def test_energy_that_costs_nothing_ends_after_a_day() -> None:
    free = Tariff({RateClass.FLAT: ClassPrice(Decimal(0), Decimal(0))}, (RateClass.FLAT,) * 48)
    found, length = expected(free, power_kw=Decimal(7), begin=TEN, amount=Decimal(50), limits=NO_LIMITS)
    assert (found, length.days) == ({RateClass.FLAT: Decimal("168.0000")}, 1)


def test_an_amount_that_no_price_divides_ends_where_it_does() -> None:
    third = Tariff({RateClass.FLAT: ClassPrice(Decimal("0.33333"), Decimal(0))}, (RateClass.FLAT,) * 48)
    found, length = expected(
        third, power_kw=Decimal(120), begin=TEN, amount=Decimal("0.10"), limits=NO_LIMITS
    )
    assert (found[RateClass.FLAT], length.total_seconds()) == (Decimal("0.3000"), 9)
