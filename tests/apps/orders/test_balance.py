"""A top-up while the car charges."""

from decimal import Decimal

import pytest

from apps.orders import balance, settling, watchdog
from apps.orders.ledger_check import differences
from apps.orders.models import Order
from apps.piles.enums import CommandKind
from apps.piles.models import PileCommand
from apps.wallet.models import Debt, Hold, JournalEntry, Recharge
from apps.wallet.services import wallet_of
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")


@pytest.fixture(autouse=True)
def ledger_is_clean(tenant):
    yield
    assert differences() == []


def top_up(customer, amount):
    factories.top_up(customer, amount)
    return Recharge.objects.latest("id").recharge_no


def told():
    return [row.payload for row in PileCommand.objects.filter(kind=CommandKind.SET_BALANCE).order_by("id")]


def test_the_hold_grows_by_the_top_up_and_the_pile_is_told_the_whole_of_it():
    order = factories.a_charging_order(customer=factories.a_customer("50.00"))
    number = top_up(order.customer, "30.00")
    assert balance.raise_holds(recharge_no=number) == 1
    order.refresh_from_db()
    assert order.hold_amount == Hold.objects.get().amount == Decimal("80.00")
    assert told() == [{"connector_no": "01", "balance": "80.00"}]
    assert JournalEntry.objects.filter(key=f"raise:{order.order_no}:{number}").count() == 1
    wallet = wallet_of(customer=order.customer)
    assert (wallet.available, wallet.held) == (Decimal(0), Decimal("80.00"))


def test_once_per_top_up():
    order = factories.a_charging_order(customer=factories.a_customer("50.00"))
    number = top_up(order.customer, "30.00")
    assert [balance.raise_holds(recharge_no=number) for _ in range(2)] == [1, 0]
    assert watchdog.watch_orders() == 0
    assert len(told()) == 1


def test_at_most_the_tenants_maximum():
    order = factories.a_charging_order(customer=factories.a_customer("290.00"))
    balance.raise_holds(recharge_no=top_up(order.customer, "30.00"))
    order.refresh_from_db()
    assert order.hold_amount == Decimal("300.00")
    assert wallet_of(customer=order.customer).available == Decimal("20.00")


def test_a_preset_amount_stays():
    order = factories.a_charging_order(customer=factories.a_customer("50.00"), preset="20.00")
    assert balance.raise_holds(recharge_no=top_up(order.customer, "30.00")) == 0
    assert watchdog.watch_orders() == 0
    order.refresh_from_db()
    assert order.hold_amount == Decimal("20.00")
    assert told() == []


def test_a_top_up_while_the_order_starts_follows_when_it_charges():
    order = factories.a_started_order(customer=factories.a_customer("50.00"))
    number = top_up(order.customer, "30.00")
    assert balance.raise_holds(recharge_no=number) == 0
    factories.see_charging(order)
    assert watchdog.watch_orders() == 1
    order.refresh_from_db()
    assert order.hold_amount == Decimal("80.00")


def test_the_new_money_pays_the_bill():
    order = factories.a_charging_order(customer=factories.a_customer("10.00"))
    balance.raise_holds(recharge_no=top_up(order.customer, "10.00"))
    settling.settle_record(record_id=factories.a_record(order, {"flat": "15.0000"}).pk)
    order.refresh_from_db()
    assert (order.payable, order.paid_principal, order.debt) == (
        Decimal("18.00"),
        Decimal("18.00"),
        Decimal("0.00"),
    )
    assert not Debt.objects.exists()
    assert wallet_of(customer=order.customer).available == Decimal("2.00")


def test_an_order_that_is_over_takes_nothing():
    order = factories.a_charging_order(customer=factories.a_customer("10.00"))
    settling.settle_record(record_id=factories.a_record(order, {"flat": "1.0000"}).pk)
    assert balance.raise_holds(recharge_no=top_up(order.customer, "10.00")) == 0
    assert Order.objects.get().hold_amount == Decimal("10.00")
