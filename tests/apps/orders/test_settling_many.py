"""Many records in one transaction come to what each of them on its own comes to, whoever works or dies beside it."""

from __future__ import annotations

import signal
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from django.db import connection

from apps.common.schema import current_schema
from apps.customers.models import Customer
from apps.orders import settling
from apps.orders.desk import SETTLED
from apps.orders.enums import OrderState, RecordState, Verdict
from apps.orders.ledger_check import differences
from apps.orders.models import BillingPolicy, Order, OrderEvent, TransactionRecord
from apps.wallet.models import Debt, JournalEntry, Posting
from apps.wallet.services import wallet_of
from tests import factories
from tests.apps.orders.test_at_once import at_once
from tests.forks import Forks

OTHERS = {"started_at", "ended_at", "settled_at", "findings", "coupon", "explanation"}
NAMES = ("sharp", "peak", "flat", "valley")


def sessions(seed: str) -> tuple[list[Customer], list[TransactionRecord]]:
    """Random charges of a few drivers, ended and not settled: the same kinds of charges for the same seed."""
    random = Random(seed)
    customers = []
    for place in range(4):
        customer = factories.a_customer(f"{random.choice([30, 80, 200])}.00")
        if place == 1:
            factories.an_enterprise(customer)
        for _ in range(random.randrange(3)):
            factories.a_coupon(customer)
        customers.append(customer)
    records = []
    for _ in range(12):
        customer = random.choice(customers)
        customer_has_money = wallet_of(customer=customer).available > 0
        if not customer_has_money:
            customer = factories.a_customer("5.00")
            customers.append(customer)
        amount = min(wallet_of(customer=customer).available, Decimal(random.randint(1, 40)))
        order = factories.a_charging_order(customer=customer, preset=str(amount))
        energies = {name: f"{random.randint(0, 60_000) / 10_000:.4f}" for name in NAMES}
        odd: dict[str, Any] = {}
        if random.random() < 0.2:
            odd = {"meter_start": Decimal("1010.0000"), "meter_end": Decimal("1000.0000")}  # held
        elif random.random() < 0.2:
            odd = {"total_amount": Decimal("999.0000")}  # flagged
        records.append(factories.a_record(order, energies, **odd))
    return customers, records


def picture(customers: list[Customer], records: list[TransactionRecord]) -> Any:
    """All that settling decided, without the numbers and times that no two charges share."""
    found = []
    for record in TransactionRecord.objects.filter(pk__in=[one.pk for one in records]).order_by("id"):
        order = record.order
        assert order is not None
        assert record.processed_at is not None
        bill = {name: getattr(order, name) for name in SETTLED if name not in OTHERS}
        codes = [finding["code"] for finding in order.findings]
        steps = [
            {key: word for key, word in step.items() if key not in ("id", "name")}
            for step in order.explanation
        ]
        lines = list(order.lines.values_list("rate_class", "energy_kwh", "electricity_fee", "pile_amount"))
        events = [
            (event.kind, event.from_state, event.to_state, event.actor_kind, {**event.data, "record": None})
            for event in order.events.all()
        ]
        legs = list(
            Posting.objects.filter(entry__reference=order.order_no)
            .order_by("id")
            .values_list("entry__kind", "account__kind", "amount")
        )
        debt = list(Debt.objects.filter(order_no=order.order_no).values_list("amount", flat=True))
        coupon = order.coupon and (order.coupon.state, order.coupon.saved)
        found.append((record.state, bill, codes, steps, lines, events, legs, debt, coupon))
        assert (order.settled_at is None) == (order.state == OrderState.ABNORMAL)
        assert order.ended_at is not None
    purses = []
    for customer in customers:
        wallet = wallet_of(customer=customer)
        purses.append((wallet.principal, wallet.bonus, wallet.held, wallet.debt))
    return found, purses


@pytest.mark.usefixtures("tenant")
@pytest.mark.parametrize("seed", ["one", "two", "three"])
@pytest.mark.parametrize("pay_order", ["principal_first", "ratio"])
def test_many_at_once_come_to_the_same_as_one_by_one(seed: str, pay_order: str) -> None:
    BillingPolicy.objects.update(pay_order=pay_order, bonus_ratio=Decimal("0.5000"))
    customers, records = sessions(seed)
    for record in records:
        settling.settle_record(record_id=record.pk)
    alone = picture(customers, records)
    customers, records = sessions(seed)
    settled = settling.settle_plain(limit=50)
    assert sorted(settled) == sorted(record.pk for record in records)
    assert picture(customers, records) == alone
    assert differences() == []
    states = {state for state, *_ in alone[0]}
    assert states == {RecordState.SETTLED, RecordState.HELD}, "the sessions show both"


@pytest.mark.usefixtures("tenant")
def test_a_coupon_that_the_first_of_a_driver_uses_is_gone_for_the_second() -> None:
    customer = factories.a_customer("100.00")
    coupon = factories.a_coupon(customer)
    orders = [factories.a_charging_order(customer=customer, preset="20.00") for _ in range(2)]
    for order in orders:
        factories.a_record(order, {"peak": "10.0000"})
    assert settling.settle_pending() == 2
    assert list(Order.objects.order_by("id").values_list("coupon", flat=True)) == [coupon.pk, None]
    assert differences() == []


@pytest.mark.usefixtures("tenant")
def test_a_poisoned_record_among_many_is_left_alone() -> None:
    orders = [factories.a_charging_order() for _ in range(4)]
    records = [factories.a_record(order, {"flat": "1.0000"}) for order in orders]
    TransactionRecord.objects.filter(pk=records[1].pk).update(report={"nonsense": True})
    results = [(one.record_id, one.result) for one in settling.settle_waiting()]
    assert results == [
        (record.pk, "error" if place == 1 else "settled") for place, record in enumerate(records)
    ]
    assert settling.settle_pending() == 0
    assert [order.state for order in Order.objects.order_by("id")] == [
        OrderState.COMPLETED,
        OrderState.CHARGING,
        OrderState.COMPLETED,
        OrderState.COMPLETED,
    ]
    assert OrderEvent.objects.filter(kind="settled").count() == 3
    assert JournalEntry.objects.filter(kind="charge").count() == 3
    assert differences() == []


@pytest.mark.usefixtures("tenant")
def test_what_is_not_plain_is_settled_on_its_own() -> None:
    """A late record, a repeated number, another gun's, and one that nobody can read."""
    late, twice, other, unread = (factories.a_charging_order() for _ in range(4))
    Order.objects.filter(pk=late.pk).update(state=OrderState.ABNORMAL)
    factories.a_record(late, {"flat": "1.0000"})
    factories.a_record(twice, {"flat": "1.0000"})
    factories.a_record(twice, {"flat": "2.0000"})
    factories.a_record(other, {"flat": "1.0000"}, connector_no="02")
    bad = factories.a_record(unread, {"flat": "1.0000"})
    TransactionRecord.objects.filter(pk=bad.pk).update(report=None)
    assert settling.settle_plain(limit=50) == {}
    assert settling.settle_pending() == 5
    states = TransactionRecord.objects.order_by("id").values_list("state", "reason")
    assert list(states) == [
        ("settled", ""),
        ("settled", ""),
        ("quarantined", "differs_from_first"),
        ("quarantined", "other_connector"),
        ("quarantined", "undecodable"),
    ]
    assert differences() == []


@pytest.mark.usefixtures("tenant")
def test_many_records_need_no_more_queries_than_few(django_assert_max_num_queries: Any) -> None:
    """Each settlement adds none, but for what a coupon's use writes."""
    for _ in range(12):
        factories.a_record(factories.a_charging_order(), {"flat": "1.0000"})
    with django_assert_max_num_queries(22):
        assert len(settling.settle_plain(limit=50)) == 12
    assert set(Order.objects.values_list("state", "verdict")) == {(OrderState.COMPLETED, Verdict.OK)}


@pytest.mark.usefixtures("committed")
def test_workers_share_the_queue_and_settle_each_record_once() -> None:
    customers = [factories.a_customer("100.00") for _ in range(3)]
    orders = []
    for number in range(24):
        order = factories.a_charging_order(customer=customers[number % 3], preset="5.00")
        factories.a_record(order, {"flat": "1.0000"})
        orders.append(order)

    def work() -> int:
        count = 0
        while claimed := settling.settle_plain(limit=3):
            assert {one.result for one in claimed.values()} == {"settled"}
            count += len(claimed)
        return count

    assert sum(at_once(*[work] * 4)) == 24
    assert JournalEntry.objects.filter(kind="charge").count() == 24
    assert OrderEvent.objects.filter(kind="settled").count() == 24
    assert {order.payable for order in Order.objects.all()} == {Decimal("1.20")}
    assert differences() == []


@pytest.mark.usefixtures("committed")
def test_what_another_worker_has_claimed_is_left_to_it() -> None:
    sessions("claimed")
    other = connection.copy()
    try:
        other.set_schema(current_schema())
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("select id from orders_order for update")
            cursor.execute("select id from orders_transactionrecord for update")
        with connection.cursor() as cursor:
            cursor.execute("set lock_timeout = '1s'")
        assert settling.settle_waiting() == []
        other.rollback()
        other.set_autocommit(True)
    finally:
        other.close()
    assert settling.settle_pending() == 12


@pytest.mark.usefixtures("committed")
def test_whole_queues_and_single_records_at_once() -> None:
    records = [factories.a_record(factories.a_charging_order(), {"flat": "1.0000"}) for _ in range(8)]
    alone = [lambda pk=record.pk: settling.settle_record(record_id=pk) for record in reversed(records)]
    at_once(*[settling.settle_pending] * 3, *alone)
    assert set(TransactionRecord.objects.values_list("state", flat=True)) == {"settled"}
    assert JournalEntry.objects.filter(kind="charge").count() == 8
    assert differences() == []


STEPS = ["money written", "bills written", "records written", "committed"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.usefixtures("committed")
def test_killed_among_many(forks: Forks, step: str) -> None:
    """All of them or none: what the next worker finds is settled once."""
    orders = [factories.a_charging_order() for _ in range(3)]
    for order in orders:
        factories.a_record(order, {"flat": "1.0000"})
    code, said = forks.run("tests.apps.orders.killed", "t_alpha", step)
    assert code == -signal.SIGKILL, said
    whole = step == "committed"
    assert JournalEntry.objects.filter(kind="charge").count() == (3 if whole else 0)
    assert settling.settle_pending() == (0 if whole else 3)
    assert {order.payable for order in Order.objects.all()} == {Decimal("1.20")}
    assert set(TransactionRecord.objects.values_list("state", flat=True)) == {"settled"}
    assert JournalEntry.objects.filter(kind="charge").count() == 3
    assert differences() == []
