"""Everything runs concurrently with itself: real threads, real commits."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import connection

from apps.backoffice import approvals
from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.schema import current_schema, run_in_schema
from apps.customers import enterprises
from apps.orders import services, settling
from apps.orders.ledger_check import differences
from apps.orders.models import Order
from apps.piles.models import PileCommand
from apps.wallet import enterprise_accounts, recharges
from apps.wallet import services as wallet
from apps.wallet.models import Hold, JournalEntry
from tests import factories

pytestmark = pytest.mark.usefixtures("committed")


def at_once(*calls):
    """Run calls in threads of their own, started together; returns results or the errors that they raised."""
    schema, barrier = current_schema(), Barrier(len(calls))

    def run(call):
        try:
            barrier.wait(timeout=30)
            return run_in_schema(schema, call)
        except DomainError as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def start(customer, connector, key):
    return lambda: (
        services.start_charge(customer=customer, connector_code=connector.code, request_key=key).order_no
    )


def test_start_pressed_twice_makes_one_order():
    customer, connector = factories.a_customer("50.00"), factories.a_connector()
    numbers = at_once(*[start(customer, connector, "same")] * 4)
    assert len(set(numbers)) == 1
    assert Order.objects.count() == Hold.objects.count() == PileCommand.objects.count() == 1
    assert differences() == []


def test_two_drivers_at_one_gun():
    connector = factories.a_connector()
    results = at_once(*[start(factories.a_customer(), connector, f"k{n}") for n in range(3)])
    assert sorted(results)[1:] == ["piles.busy", "piles.busy"]
    assert Order.objects.count() == 1


def test_one_wallet_at_two_guns_is_held_once():
    customer = factories.a_customer("50.00")
    calls = [start(customer, factories.a_connector(), f"k{n}") for n in range(2)]
    results = at_once(*calls)
    assert sorted(results)[1] == "wallet.insufficient"
    assert Hold.objects.get().amount == Decimal("50.00")
    assert differences() == []


def test_one_record_settled_by_four_workers_is_charged_once():
    order = factories.a_charging_order()
    record = factories.a_record(order, {"flat": "0.5000"})
    at_once(*[lambda: settling.settle_record(record_id=record.pk)] * 4)
    order.refresh_from_db()
    assert (order.state, order.payable) == ("completed", Decimal("0.60"))
    assert JournalEntry.objects.filter(kind="charge").count() == 1
    assert differences() == []


def test_a_top_up_confirmed_by_four_callbacks_is_booked_once():
    customer = factories.a_customer("0")
    recharge = recharges.create_recharge(
        customer=customer, amount=Decimal("20.00"), channel="sandbox", request_key="k"
    )
    paid = lambda: recharges.recharge_paid(  # noqa: E731 - four times the same
        recharge_no=recharge.recharge_no, amount=Decimal("20.00"), channel_trade_no="T1"
    )
    at_once(*[paid] * 4)
    assert wallet.wallet_of(customer=customer).principal == Decimal("20.00")
    assert differences() == []


def test_a_stop_and_the_record_at_once():
    order = factories.a_charging_order()
    record = factories.a_record(order, {"flat": "0.5000"})
    at_once(
        lambda: settling.settle_record(record_id=record.pk),
        lambda: services.stop_charge(order_no=order.order_no, actor=factories.SYSTEM),
    )
    order.refresh_from_db()
    assert order.state == "completed"
    assert differences() == []


def test_the_first_top_ups_of_a_tenant_at_once():
    """Each finds the channel's account missing; one makes it, all are booked."""
    customers = [factories.a_customer("0") for _ in range(4)]
    numbers = [
        recharges.create_recharge(
            customer=customer, amount=Decimal("20.00"), channel="sandbox", request_key="k"
        ).recharge_no
        for customer in customers
    ]
    calls = [
        lambda number=number: (
            recharges.recharge_paid(
                recharge_no=number, amount=Decimal("20.00"), channel_trade_no=f"T{number}"
            ).state
        )
        for number in numbers
    ]
    assert at_once(*calls) == ["paid"] * 4
    assert [wallet.wallet_of(customer=customer).principal for customer in customers] == [Decimal("20.00")] * 4
    assert differences() == []


def a_fleet(count, balance, **fields):
    """So many members of one enterprise that pays, each at a gun of their own: what starts each for 20 yuan."""
    drivers = [factories.a_customer("0") for _ in range(count)]
    enterprise = factories.a_paying_enterprise(drivers[0], balance, **fields)
    phones = [driver.phone for driver in drivers]
    enterprises.add_members(enterprise=enterprise, phones=phones, actor=factories.SYSTEM)
    guns = [factories.a_connector() for _ in drivers]
    calls = [
        lambda driver=driver, gun=gun: str(
            factories.a_started_order(customer=driver, connector=gun, preset="20.00").hold_amount
        )
        for driver, gun in zip(drivers, guns, strict=True)
    ]
    return enterprise, calls


def test_members_of_an_enterprise_never_hold_more_than_there_is():
    enterprise, calls = a_fleet(4, "20.00", account_kind="postpaid", credit_limit=Decimal("30.00"))
    assert sorted(at_once(*calls)) == ["20.00", "20.00", *["wallet.enterprise_short"] * 2]
    assert wallet.account_of(enterprise=enterprise).principal == Decimal("-20.00")
    assert differences() == []


def test_members_of_an_enterprise_share_its_limit():
    _, calls = a_fleet(3, "500.00", monthly_limit=Decimal("50.00"))
    assert sorted(at_once(*calls)) == ["20.00", "20.00", "orders.enterprise_limit"]
    assert differences() == []


def test_one_record_settled_by_four_workers_is_charged_once_to_the_enterprise():
    customer = factories.a_customer("0")
    enterprise = factories.a_paying_enterprise(customer)
    order = factories.a_charging_order(customer=customer)
    record = factories.a_record(order, {"flat": "10.0000"})
    at_once(*[lambda: settling.settle_record(record_id=record.pk)] * 4)
    assert wallet.account_of(enterprise=enterprise).principal == Decimal("88.00")
    assert differences() == []


def test_one_transfer_asked_for_two_enterprises_is_booked_for_one():
    asked = [
        enterprise_accounts.request_deposit(
            account=wallet.account_of(enterprise=factories.an_enterprise(account_kind="prepaid")),
            amount=Decimal("80.00"),
            number="N1",
            actor=factories.ASKER,
            reason="对公转账",
        )
        for _ in range(3)
    ]
    reviewer = Actor("staff", "2", "复核员")
    calls = [lambda pk=one.pk: approvals.approve(pk, reviewer).state for one in asked]
    assert sorted(at_once(*calls)) == ["executed", "failed", "failed"]
    assert JournalEntry.objects.filter(reference="N1").count() == 1
    assert differences() == []
