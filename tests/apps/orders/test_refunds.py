"""Refunds of orders: what may go back, to which money, who decides, and what happens at the same moment."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest

from apps.backoffice.approvals import NotAPerson, SamePerson
from apps.common.ids import Actor
from apps.orders import refunds
from apps.orders.enums import OrderRefundState
from apps.orders.errors import NotRefundable, OrderNotFound, RefundDecided, RefundOpen, RefundTooHigh
from apps.orders.ledger_check import differences
from apps.orders.models import Order, OrderRefund
from apps.orders.settling import settle_record
from apps.wallet import debts, ledger, services
from apps.wallet.enums import AccountKind, JournalKind
from apps.wallet.errors import AmountNotAllowed, ChargeRunning, KeyReused, NothingToRecover
from apps.wallet.models import Debt, JournalEntry
from tests import factories
from tests.apps.orders.test_at_once import at_once

WANG, LI = Actor("staff", "1", "王芳"), Actor("staff", "2", "李强")
_keys = itertools.count(1)


@pytest.fixture
def clean(tenant: Any) -> Any:
    """The books are right after every test."""
    yield
    assert differences() == []


def yuan(text: str) -> Decimal:
    return Decimal(text)


def give_bonus(customer: Any, amount: str) -> None:
    wallet = services.lock_wallet(customer_id=customer.pk)
    ledger.post(
        key=f"bonus {next(_keys)}",
        kind=JournalKind.RELEASE,
        wallet=wallet,
        reference="a present",
        lines=[
            ledger.debit(AccountKind.BONUS_EXPENSE, yuan(amount)),
            ledger.credit(AccountKind.CUSTOMER_BONUS, yuan(amount)),
        ],
    )


def settled(energy: str = "10.0000", balance: str = "100.00", customer: Any = None) -> Order:
    """10 kWh flat: 8.00 electricity, 4.00 service."""
    order = factories.a_charging_order(customer=customer or factories.a_customer(balance))
    settle_record(record_id=factories.a_record(order, {"flat": energy}).pk)
    order.refresh_from_db()
    return order


def ask(
    order: Order, electricity: str | None = None, service: str | None = None, **options: Any
) -> OrderRefund:
    values = {"reason": "充电桩故障", "applied_by": WANG, "request_key": f"k{next(_keys)}", **options}
    return refunds.apply(
        order_no=order.order_no,
        electricity=None if electricity is None else yuan(electricity),
        service=None if service is None else yuan(service),
        **values,
    )


def money(order: Order) -> tuple[str, str, str]:
    wallet = services.wallet_of(customer=order.customer)
    return str(wallet.principal), str(wallet.bonus), str(wallet.debt)


def test_all_of_an_order_goes_back(clean: None) -> None:
    order = settled()
    assert money(order) == ("88.00", "0.00", "0.00")
    refund = ask(order)
    assert (refund.electricity, refund.service, refund.state) == (yuan("8.00"), yuan("4.00"), "applied")
    assert money(order) == ("88.00", "0.00", "0.00")
    done = refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    assert (done.state, done.principal, done.bonus, done.reviewed_by) == ("done", yuan("12.00"), 0, "李强")
    assert money(order) == ("100.00", "0.00", "0.00")
    order.refresh_from_db()
    assert (order.refunded_electricity, order.refunded_service) == (yuan("8.00"), yuan("4.00"))
    with pytest.raises(RefundTooHigh):
        ask(order, "0.01", "0.00")
    assert [event.kind for event in order.events.order_by("-id")[:2]] == ["refunded", "refund_applied"]


def test_parts_by_fee_kind_up_to_what_is_left(clean: None) -> None:
    order = settled()
    refunds.approve(refund_no=ask(order, "0.00", "4.00").refund_no, reviewer=LI)
    with pytest.raises(RefundTooHigh) as refused:
        ask(order, "8.00", "0.01")
    assert refused.value.data == {"electricity": yuan("8.00"), "service": yuan("0.00")}
    refunds.approve(refund_no=ask(order, "7.99", "0.00").refund_no, reviewer=LI)
    rest = ask(order)
    assert (rest.electricity, rest.service) == (yuan("0.01"), yuan("0.00"))
    refunds.approve(refund_no=rest.refund_no, reviewer=LI)
    assert money(order) == ("100.00", "0.00", "0.00")
    kinds = JournalEntry.objects.filter(kind="order_refund").count()
    assert kinds == 3


def test_principal_and_bonus_get_back_what_each_paid(clean: None) -> None:
    customer = factories.a_customer("5.00")
    give_bonus(customer, "20.00")
    order = settled(customer=customer)
    assert (order.paid_principal, order.paid_bonus) == (yuan("5.00"), yuan("7.00"))
    backs = []
    for fee in ("0.01", "0.01", "0.01", "3.34", "4.63"):
        done = refunds.approve(refund_no=ask(order, fee, "0.00").refund_no, reviewer=LI)
        backs.append((str(done.principal), str(done.bonus)))
    done = refunds.approve(refund_no=ask(order).refund_no, reviewer=LI)
    backs.append((str(done.principal), str(done.bonus)))
    # 5/12 of 0.01, 0.02, 0.03, 3.37, 8.00, 12.00 in all, to the fen
    assert backs == [
        ("0.00", "0.01"),
        ("0.01", "0.00"),
        ("0.00", "0.01"),
        ("1.39", "1.95"),
        ("1.93", "2.70"),
        ("1.67", "2.33"),
    ]
    assert money(order) == ("5.00", "20.00", "0.00")


def test_an_open_debt_of_the_order_is_called_off_first(clean: None) -> None:
    order = settled(balance="5.00")
    assert money(order) == ("0.00", "0.00", "7.00")
    done = refunds.approve(refund_no=ask(order, "6.00", "0.00").refund_no, reviewer=LI)
    assert (done.debt, done.principal) == (yuan("6.00"), 0)
    assert money(order) == ("0.00", "0.00", "1.00")
    done = refunds.approve(refund_no=ask(order).refund_no, reviewer=LI)
    assert (done.debt, done.principal) == (yuan("1.00"), yuan("5.00"))
    assert money(order) == ("5.00", "0.00", "0.00")
    debt = Debt.objects.get()
    assert (debt.cancelled, debt.recovered, debt.outstanding) == (yuan("7.00"), 0, 0)
    assert debt.closed_at is not None


def test_what_a_debt_was_paid_with_later_goes_back_too(clean: None) -> None:
    order = settled(balance="5.00")
    factories.top_up(order.customer, "3.00")
    assert money(order) == ("0.00", "0.00", "4.00")
    give_bonus(order.customer, "1.50")
    wallet = services.wallet_of(customer=order.customer)
    assert debts.recover_now(wallet_id=wallet.pk) == yuan("1.50")
    assert money(order) == ("0.00", "0.00", "2.50")
    done = refunds.approve(refund_no=ask(order).refund_no, reviewer=LI)
    assert (done.debt, done.principal, done.bonus) == (yuan("2.50"), yuan("8.00"), yuan("1.50"))
    assert money(order) == ("8.00", "1.50", "0.00")


def test_money_that_comes_back_pays_other_debts(clean: None) -> None:
    first = settled(balance="12.00")
    factories.top_up(first.customer, "1.00")
    second = settled("1.0000", customer=first.customer)
    assert money(second) == ("0.00", "0.00", "0.20")
    refunds.approve(refund_no=ask(first).refund_no, reviewer=LI)
    assert money(second) == ("11.80", "0.00", "0.00")


def test_nothing_to_recover(clean: None) -> None:
    order = settled(balance="5.00")
    with pytest.raises(NothingToRecover):
        debts.recover_now(wallet_id=services.wallet_of(customer=order.customer).pk)


def test_recovering_twice_from_the_same_balance_of_debt(clean: None) -> None:
    """The same sum owed at two times is two payments."""
    order = settled(balance="5.00")
    wallet = services.wallet_of(customer=order.customer)
    for _ in range(2):
        give_bonus(order.customer, "1.00")
        assert debts.recover_now(wallet_id=wallet.pk) == yuan("1.00")
    assert money(order) == ("0.00", "0.00", "5.00")


@pytest.mark.parametrize(
    ("electricity", "service", "error"),
    [
        ("8.01", "0.00", RefundTooHigh),
        ("0.00", "4.01", RefundTooHigh),
        ("99999999999.99", "0.00", RefundTooHigh),
        ("0.00", "0.00", RefundTooHigh),
        ("-1.00", "4.00", AmountNotAllowed),
        ("1.00", "-0.01", AmountNotAllowed),
        ("0.001", "0.00", AmountNotAllowed),
        ("NaN", "0.00", AmountNotAllowed),
        ("Infinity", "0.00", AmountNotAllowed),
    ],
)
def test_amounts_that_cannot_be(clean: None, electricity: str, service: str, error: type[Exception]) -> None:
    order = settled()
    with pytest.raises(error):
        ask(order, electricity, service)
    assert not OrderRefund.objects.exists()


def test_not_before_the_order_is_settled_nor_while_another_runs(clean: None) -> None:
    customer = factories.a_customer("200.00")
    done = settled(customer=customer)
    running = factories.a_charging_order(customer=customer, preset="50.00")
    with pytest.raises(NotRefundable):
        ask(running)
    with pytest.raises(ChargeRunning):
        ask(done)
    settle_record(record_id=factories.a_record(running, {"flat": "1.0000"}).pk)
    refund = ask(done)
    factories.a_charging_order(customer=customer, preset="50.00")
    with pytest.raises(ChargeRunning):
        refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    refund.refresh_from_db()
    assert refund.state == OrderRefundState.APPLIED


def test_the_applicant_does_not_decide(clean: None) -> None:
    refund = ask(settled())
    with pytest.raises(SamePerson):
        refunds.approve(refund_no=refund.refund_no, reviewer=WANG)
    with pytest.raises(SamePerson):
        refunds.reject(refund_no=refund.refund_no, reviewer=WANG, reason="x")
    with pytest.raises(NotAPerson):
        refunds.approve(refund_no=refund.refund_no, reviewer=Actor("customer", "1"))


def test_a_rejected_refund_moves_nothing_and_may_be_asked_for_again(clean: None) -> None:
    order = settled()
    refund = ask(order)
    with pytest.raises(RefundOpen):
        ask(order, "1.00", "0.00")
    no = refunds.reject(refund_no=refund.refund_no, reviewer=LI, reason="记录正常")
    assert (no.state, no.review_reason) == ("rejected", "记录正常")
    with pytest.raises(RefundDecided):
        refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    assert money(order) == ("88.00", "0.00", "0.00")
    refunds.approve(refund_no=ask(order).refund_no, reviewer=LI)
    assert money(order) == ("100.00", "0.00", "0.00")


def test_a_driver_asks_for_their_own_orders_and_withdraws(clean: None) -> None:
    order, other = settled(), settled()
    me = Actor("customer", str(order.customer_id), "车主")
    mine = {"customer": order.customer, "applied_by": me}
    with pytest.raises(OrderNotFound):
        ask(other, **mine)
    refund = ask(order, request_key="a", **mine)
    assert ask(order, request_key="a", **mine) == refund
    with pytest.raises(KeyReused):
        ask(order, "1.00", "0.00", request_key="a", **mine)
    for _ in range(2):
        gone = refunds.cancel(refund_no=refund.refund_no, customer=order.customer, actor=me)
        assert gone.state == "cancelled"
    with pytest.raises(RefundDecided):
        refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    done = refunds.approve(refund_no=ask(order, **mine).refund_no, reviewer=LI)
    with pytest.raises(RefundDecided):
        refunds.cancel(refund_no=done.refund_no, customer=order.customer, actor=me)


# --- At once ----------------------------------------------------------------------------------------------


def test_two_reviewers_and_a_withdrawal_at_once(committed: Any) -> None:
    order = settled()
    me = Actor("customer", str(order.customer_id), "车主")
    refund = ask(order, customer=order.customer, applied_by=me)
    calls = [
        lambda: refunds.approve(refund_no=refund.refund_no, reviewer=WANG).state,
        lambda: refunds.approve(refund_no=refund.refund_no, reviewer=LI).state,
        lambda: refunds.reject(refund_no=refund.refund_no, reviewer=LI, reason="x").state,
        lambda: refunds.cancel(refund_no=refund.refund_no, customer=order.customer, actor=me).state,
    ]
    results = at_once(*calls)
    assert results.count("orders.refund_decided") == 3
    refund.refresh_from_db()
    expected = "100.00" if refund.state == "done" else "88.00"
    assert money(order) == (expected, "0.00", "0.00")
    assert differences() == []


def test_the_button_pressed_four_times_makes_one_refund(committed: Any) -> None:
    order = settled()
    numbers = at_once(*[lambda: ask(order, request_key="same").refund_no] * 4)
    assert len(set(numbers)) == 1
    others = at_once(*[lambda key=key: ask(order, request_key=f"other{key}").refund_no for key in range(3)])
    assert others == ["orders.refund_open"] * 3
    assert OrderRefund.objects.count() == 1


def test_a_refund_and_a_start_and_a_top_up_at_once(committed: Any) -> None:
    order = settled()
    refund = ask(order)
    connector = factories.a_connector()
    results = at_once(
        lambda: refunds.approve(refund_no=refund.refund_no, reviewer=LI).state,
        lambda: factories.a_started_order(customer=order.customer, connector=connector, preset="50.00").state,
        lambda: factories.top_up(order.customer, "10.00"),
    )
    assert results[0] in {"done", "wallet.charge_running"}
    assert results[1] == "starting"
    assert differences() == []
