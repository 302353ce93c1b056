"""Discounts of live orders: what is frozen at the start, what settlement takes off, what `bill` says of the same."""

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from apps.common.errors import DomainError
from apps.common.time import SHANGHAI, now
from apps.coupons.models import Coupon
from apps.customers import enterprises
from apps.customers.models import Enterprise
from apps.orders import services, settling
from apps.orders.billing import bill_session
from apps.orders.enums import OrderState
from apps.orders.ledger_check import differences
from apps.orders.models import Order
from apps.piles.models import PileCommand
from apps.pricing.tariff import RateClass
from apps.wallet.enums import AccountKind
from apps.wallet.models import Posting
from apps.wallet.services import wallet_of
from tests import factories, oracle

pytestmark = pytest.mark.usefixtures("tenant")


@pytest.fixture(autouse=True)
def ledger_is_clean(tenant):
    yield
    assert differences() == []


def settle(order, energies, **changes):
    record = factories.a_record(order, energies, **changes)
    settling.settle_record(record_id=record.pk)
    order.refresh_from_db()
    return order


def booked(order, kind):
    rows = Posting.objects.filter(entry__key=f"charge:{order.order_no}", account__kind=kind)
    return sum((row.amount for row in rows), Decimal(0))


def test_enterprise_then_coupon_then_wallet():
    """10 kWh peak: electricity 12.00, service 6.00; 20 % off service leaves 4.80; 5 yuan off leaves nothing of it."""
    customer = factories.a_customer("100.00")
    factories.an_enterprise(customer, station_share=Decimal(50))
    coupon = factories.a_coupon(customer, station_share=Decimal(25))
    order = settle(factories.a_charging_order(customer=customer), {"peak": "10.0000"})
    assert (order.electricity_fee, order.service_fee) == (Decimal("12.00"), Decimal("6.00"))
    assert (order.enterprise_discount, order.coupon_discount) == (Decimal("1.20"), Decimal("4.80"))
    assert (order.electricity_payable, order.service_payable) == (Decimal("12.00"), Decimal("0.00"))
    assert (order.payable, order.paid_principal) == (Decimal("12.00"), Decimal("12.00"))
    # 1.20 in halves, 4.80 in three quarters and one.
    assert (order.platform_borne, order.station_borne) == (Decimal("4.20"), Decimal("1.80"))
    coupon.refresh_from_db()
    assert (coupon.state, coupon.order_no, coupon.saved) == ("used", order.order_no, Decimal("4.80"))
    assert order.coupon == coupon
    assert booked(order, AccountKind.ENTERPRISE_DISCOUNT) == Decimal("1.20")
    assert booked(order, AccountKind.COUPON_DISCOUNT) == Decimal("4.80")
    assert booked(order, AccountKind.REVENUE_SERVICE) == Decimal("-6.00")
    assert wallet_of(customer=customer).available == Decimal("88.00")
    assert [step["step"] for step in order.explanation] == ["enterprise", "coupon", "paid"]
    assert order.explanation[0]["before"] == ["12.00", "6.00"]
    assert order.explanation[0]["after"] == ["12.00", "4.80"]
    assert order.explanation[1]["platform"] == "3.60"


def test_what_was_agreed_at_the_start_holds():
    customer = factories.a_customer("100.00")
    enterprise = factories.an_enterprise(customer)
    order = factories.a_charging_order(customer=customer)
    Enterprise.objects.update(percent_off=Decimal(90), is_active=False)
    enterprises.remove_members(enterprise=enterprise, member_ids=[enterprise.members.get().pk])
    settle(order, {"peak": "10.0000"})
    assert (order.enterprise_discount, order.enterprise) == (Decimal("1.20"), enterprise)
    assert enterprises.enterprise_of(customer=customer) is None


def test_the_best_coupon_is_chosen_and_others_stay():
    customer = factories.a_customer("100.00")
    small = factories.a_coupon(customer, save_amount=Decimal("2.00"))
    best = factories.a_coupon(
        customer, kind="percent", percent_off=Decimal(50), applies_to="all", cap=Decimal("3.00")
    )
    too_much = factories.a_coupon(customer, save_amount=Decimal("6.00"), spend=Decimal("100.00"))
    order = settle(factories.a_charging_order(customer=customer), {"peak": "10.0000"})
    assert (order.coupon, order.coupon_discount) == (best, Decimal("3.00"))
    # 3.00 over 12.00 and 6.00
    assert (order.electricity_payable, order.service_payable) == (Decimal("10.00"), Decimal("5.00"))
    states = [Coupon.objects.get(pk=coupon.pk).state for coupon in (small, best, too_much)]
    assert states == ["available", "used", "available"]


def test_a_chosen_coupon_is_reserved_and_used_although_another_is_better():
    customer = factories.a_customer("100.00")
    chosen = factories.a_coupon(customer, save_amount=Decimal("1.00"))
    factories.a_coupon(customer, save_amount=Decimal("6.00"))
    order = factories.a_charging_order(customer=customer, coupon=chosen.pk)
    chosen.refresh_from_db()
    assert (chosen.state, chosen.order_no) == ("reserved", order.order_no)
    settle(order, {"peak": "10.0000"})
    assert (order.coupon, order.coupon_discount) == (chosen, Decimal("1.00"))


def test_a_chosen_coupon_that_saves_nothing_is_given_back_and_said_so():
    customer = factories.a_customer("100.00")
    chosen = factories.a_coupon(customer, spend=Decimal("50.00"))
    factories.a_coupon(customer)
    order = settle(factories.a_charging_order(customer=customer, coupon=chosen.pk), {"peak": "10.0000"})
    chosen.refresh_from_db()
    assert (chosen.state, order.coupon, order.coupon_discount) == ("available", None, Decimal("0.00"))
    assert [step["step"] for step in order.explanation] == ["coupon_unused", "paid"]
    assert order.explanation[0]["id"] == str(chosen.pk)


def test_none_means_none():
    customer = factories.a_customer("100.00")
    factories.a_coupon(customer)
    order = settle(factories.a_charging_order(customer=customer, coupon="none"), {"peak": "10.0000"})
    assert (order.coupon, order.payable) == (None, Decimal("18.00"))


def test_one_coupon_is_not_for_two_charges():
    customer = factories.a_customer("100.00")
    coupon = factories.a_coupon(customer)
    first = factories.a_started_order(customer=customer, coupon=coupon.pk, preset="10.00")
    with pytest.raises(DomainError) as caught:
        factories.a_started_order(customer=customer, coupon=coupon.pk, preset="10.00")
    assert caught.value.code == "coupons.not_usable"
    assert Order.objects.get() == first
    assert wallet_of(customer=customer).held == Decimal("10.00")
    with pytest.raises(DomainError) as caught:
        factories.a_started_order(coupon=coupon.pk)
    assert caught.value.code == "coupons.not_found"


def test_a_repeated_start_needs_the_same_coupon():
    customer, connector = factories.a_customer("100.00"), factories.a_connector()
    coupon = factories.a_coupon(customer)
    first = factories.a_started_order(customer=customer, connector=connector, key="k", coupon=coupon.pk)
    again = factories.a_started_order(customer=customer, connector=connector, key="k", coupon=coupon.pk)
    assert again == first
    with pytest.raises(DomainError) as caught:
        factories.a_started_order(customer=customer, connector=connector, key="k", coupon="none")
    assert caught.value.code == "idempotency.key_reused"


@pytest.mark.parametrize("chosen", [True, False])
def test_a_failed_start_gives_the_coupon_back_and_a_late_record_takes_none(chosen):
    """Product rule 4: a late record is billed by the frozen tariff, without a coupon."""
    customer = factories.a_customer("100.00")
    coupon = factories.a_coupon(customer)
    order = factories.a_started_order(customer=customer, coupon=coupon.pk if chosen else "best")
    factories.accept_start(order, accepted=False, reason="fault")
    order.refresh_from_db()
    coupon.refresh_from_db()
    assert (order.state, order.coupon, coupon.state) == (OrderState.FAILED, None, "available")
    settle(order, {"peak": "10.0000"})
    coupon.refresh_from_db()
    assert (order.state, order.payable, coupon.state) == (OrderState.COMPLETED, Decimal("18.00"), "available")


def test_a_cancelled_start_gives_the_coupon_back():
    customer = factories.a_customer("100.00")
    coupon = factories.a_coupon(customer)
    order = factories.a_started_order(customer=customer, coupon=coupon.pk)
    factories.accept_start(order, accepted=False, reason="not_plugged")
    services.stop_charge(order_no=order.order_no, actor=services.SYSTEM)
    answer = services.StopAnswer(
        pile_code=order.connector.pile.pile_code, connector_no="01", accepted=True, reason="none"
    )
    services.stop_answered(answer)
    coupon.refresh_from_db()
    assert (Order.objects.get().state, coupon.state, coupon.order_no) == ("failed", "available", "")


def test_a_coupon_is_valid_by_the_start_of_the_charge():
    """A charge from 21:50 to 23:00 with a coupon until 22:00, and one for the night from 22:00 on."""
    begin = datetime.combine((now() - timedelta(days=1)).date(), datetime.min.time(), SHANGHAI)
    begin = begin.replace(hour=21, minute=50)
    customer, connector = factories.a_customer("100.00"), factories.a_connector()
    evening = factories.a_coupon(customer, at=begin, from_time="18:00", until_time="22:00", days_valid=1)
    factories.a_coupon(customer, at=begin, save_amount=Decimal("6.00"), from_time="22:00", until_time="06:00")
    factories.top_up(customer, "1.00")
    order = services.start_charge(
        customer=customer, connector_code=connector.code, request_key="k", at=begin, coupon="best"
    )
    factories.accept_start(order)
    factories.see_charging(order, at=begin + timedelta(seconds=10))
    order.refresh_from_db()
    settle(order, {"flat": "10.0000"}, end_time=begin + timedelta(minutes=70))
    assert (order.coupon_id, order.coupon_discount) == (evening.pk, Decimal("4.00"))


def test_nothing_charged_uses_no_coupon():
    customer = factories.a_customer("100.00")
    coupon = factories.a_coupon(customer)
    order = settle(factories.a_charging_order(customer=customer), {})
    coupon.refresh_from_db()
    assert (order.state, order.payable, coupon.state) == (OrderState.COMPLETED, Decimal("0.00"), "available")


def test_a_held_record_keeps_the_coupon_reserved():
    customer = factories.a_customer("100.00")
    coupon = factories.a_coupon(customer)
    order = factories.a_charging_order(customer=customer, coupon=coupon.pk)
    settle(order, {"peak": "900.0000"})
    coupon.refresh_from_db()
    assert (order.state, coupon.state) == (OrderState.ABNORMAL, "reserved")


def test_settling_again_moves_nothing():
    customer = factories.a_customer("100.00")
    factories.a_coupon(customer, per_customer=1)
    factories.a_coupon(customer)
    order = factories.a_charging_order(customer=customer)
    record = factories.a_record(order, {"peak": "10.0000"})
    for _ in range(3):
        settling.settle_record(record_id=record.pk)
    assert Coupon.objects.filter(state="used").count() == 1
    assert wallet_of(customer=customer).available == Decimal("87.00")


# --- retail prices


RETAIL = {
    "sharp": ("1.50000", "1.10000"),
    "peak": ("1.20000", "0.90000"),
    "flat": ("0.80000", "0.40000"),
    "valley": ("0.30500", "0.25000"),
}


def test_the_driver_pays_retail_and_the_audit_looks_at_the_infrastructure():
    connector = factories.a_connector()
    factories.a_retail_price(connector.pile.station, RETAIL)
    order = factories.a_charging_order(connector=connector)
    assert order.frozen_tariff() == factories.TARIFF
    assert order.frozen_retail_tariff().prices[RateClass.PEAK].service == Decimal("0.90000")
    settle(order, {"peak": "10.0000", "valley": "10.0000"})
    assert (order.electricity_fee, order.service_fee) == (Decimal("15.05"), Decimal("11.50"))
    assert order.verdict == "ok"
    assert order.explanation[0] == {"step": "retail"}


def test_the_balance_is_such_that_no_charge_is_dearer_than_the_hold():
    """Peak costs 2.10 instead of 1.80: of the classes the smallest ratio is 1.80/2.10, and 100.00 become 85.71."""
    connector = factories.a_connector()
    factories.a_retail_price(connector.pile.station, RETAIL)
    order = factories.a_started_order(connector=connector, preset="100.00")
    assert order.hold_amount == Decimal("100.00")
    assert PileCommand.objects.get().payload["balance"] == "85.71"


def test_a_class_without_a_retail_price_keeps_its_own():
    connector = factories.a_connector()
    factories.a_retail_price(connector.pile.station, {"peak": ("1.00000", "0.50000")})
    order = settle(factories.a_charging_order(connector=connector), {"peak": "10.0000", "flat": "10.0000"})
    assert order.payable == Decimal("15.00") + Decimal("12.00")


def test_running_charges_keep_the_retail_price_they_started_with():
    connector = factories.a_connector()
    order = factories.a_charging_order(connector=connector)
    factories.a_retail_price(connector.pile.station, RETAIL)
    assert settle(order, {"peak": "10.0000"}).payable == Decimal("18.00")


# --- equal to the command that anybody can check


def test_live_settlement_equals_the_bill_command_and_the_oracle():
    """Random enterprises, coupons, retail prices, energies and purses; each order against `bill` and the oracle."""
    rng = Random(20261128)
    seen = {"enterprise_discount": 0, "coupon_discount": 0, "debt": 0, "from_bonus": 0}
    for _ in range(60):
        customer = factories.a_customer(f"{rng.choice([1, 5, 30, 200])}.00")
        wallet = wallet_of(customer=customer)
        enterprise = None
        if rng.random() < 0.6:
            enterprise = {
                "percent_off": rng.choice(["5", "12.5", "33.3333", "100"]),
                "applies_to": rng.choice(["service", "all"]),
            }
            factories.an_enterprise(
                customer,
                percent_off=Decimal(enterprise["percent_off"]),
                applies_to=enterprise["applies_to"],
                station_share=Decimal(rng.randint(0, 100)),
            )
        session_coupons = [random_coupon(rng, customer) for _ in range(rng.choice([0, 1, 3]))]
        connector = factories.a_connector()
        if rng.random() < 0.5:
            prices = {
                name: (f"0.{rng.randint(0, 99999):05d}", f"0.{rng.randint(0, 99999):05d}") for name in RETAIL
            }
            factories.a_retail_price(connector.pile.station, prices)
        order = factories.a_charging_order(customer=customer, connector=connector)
        energies = {
            name: f"{rng.randint(0, 20)}.{rng.randint(0, 9999):04d}" for name in RETAIL if rng.random() < 0.7
        }
        settle(order, energies)
        session = {
            "tariff": order.retail_tariff["prices"],
            "energy_kwh": energies,
            "enterprise": enterprise,
            "coupons": session_coupons,
            "wallet": {"principal": str(wallet.available), "bonus": "0.00", "order": "principal_first"},
        }
        bill = bill_session(session)
        assert bill.pop("explanation")
        assert bill == oracle.bill(session)
        assert live(order) == {name: bill[name] for name in live(order)}, session
        for name in seen:
            seen[name] += bill[name] != "0.00"
    assert seen["enterprise_discount"] > 15
    assert seen["coupon_discount"] > 15
    assert seen["debt"] > 5


def random_coupon(rng, customer):
    rule = {"kind": "threshold", "save_amount": Decimal(rng.choice(["1", "5.00", "500"]))}
    form = {"kind": "threshold", "save": str(rule["save_amount"])}
    if rng.random() < 0.5:
        rule = {
            "kind": "percent",
            "percent_off": Decimal(rng.choice(["5", "12.5", "100"])),
            "cap": Decimal("7.77"),
        }
        form = {"kind": "percent", "percent_off": str(rule["percent_off"]), "cap": "7.77"}
    applies_to, spend = rng.choice(["service", "all"]), rng.choice(["0", "10", "30.00"])
    last_day = (now() + timedelta(days=rng.choice([0, 1, 30]))).date()
    coupon = factories.a_coupon(
        customer, applies_to=applies_to, spend=Decimal(spend), last_day=last_day, **rule
    )
    return {"id": str(coupon.pk), **form, "spend": spend, "applies_to": applies_to, "ends": str(last_day)}


def live(order):
    return {
        "electricity_fee": f"{order.electricity_fee:.2f}",
        "service_fee": f"{order.service_fee:.2f}",
        "enterprise_discount": f"{order.enterprise_discount:.2f}",
        "coupon": str(order.coupon_id) if order.coupon_id else None,
        "coupon_discount": f"{order.coupon_discount:.2f}",
        "electricity_payable": f"{order.electricity_payable:.2f}",
        "service_payable": f"{order.service_payable:.2f}",
        "payable": f"{order.payable:.2f}",
        "from_principal": f"{order.paid_principal:.2f}",
        "from_bonus": f"{order.paid_bonus:.2f}",
        "debt": f"{order.debt:.2f}",
    }
