"""Refunds of wallets: what may go out, who decides, how it is split, and what happens at the same moment.

The channel here is the pretend one; the providers' sandboxes are in test_refunds_at_providers.py.
"""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.backoffice.errors import NotAPerson, ReasonMissing, SamePerson
from apps.common.ids import Actor
from apps.common.time import now
from apps.customers.models import Customer
from apps.orders import settling
from apps.orders.ledger_check import differences
from apps.wallet import refund_run, refunds, services
from apps.wallet.enums import BonusOnRefund
from apps.wallet.errors import (
    ChargeRunning,
    HasDebt,
    KeyReused,
    NotByHand,
    RefundAmount,
    RefundAtProvider,
    RefundDecided,
    RefundNotFound,
    RefundUnderWay,
    TransferNumberUsed,
)
from apps.wallet.models import JournalEntry, Recharge, WalletPolicy, WalletRefund, WalletRefundPart
from tests import factories
from tests.apps.orders.test_at_once import at_once
from tests.apps.orders.test_refunds import give_bonus

WANG, LI, ZHAO = Actor("staff", "1", "王芳"), Actor("staff", "2", "李强"), Actor("staff", "3", "赵敏")
_keys = itertools.count(1)


@pytest.fixture
def clean(tenant: Any) -> Any:
    """The books are right after every test."""
    yield
    assert differences() == []


def yuan(text: str) -> Decimal:
    return Decimal(text)


def me(customer: Customer) -> Actor:
    return Actor("customer", str(customer.pk), str(customer))


def ask(
    customer: Customer, amount: str | None = None, key: str = "", by: Actor | None = None
) -> WalletRefund:
    return refunds.apply(
        customer=customer,
        amount=None if amount is None else yuan(amount),
        reason="不再使用",
        applied_by=by or me(customer),
        request_key=key or f"k{next(_keys)}",
    )


def topped_up(*amounts: str) -> Customer:
    """A driver with top-ups of these amounts, the oldest first, each a day after the other."""
    customer = factories.a_customer("0")
    for number, amount in enumerate(amounts):
        factories.top_up(customer, amount)
        newest = Recharge.objects.latest("id")
        paid_at = now() - timedelta(days=len(amounts) - number)
        Recharge.objects.filter(pk=newest.pk).update(paid_at=paid_at)
    return customer


def aged(customer: Customer, days: int, which: int = 0) -> None:
    """Make one of a driver's top-ups this old."""
    recharge = Recharge.objects.filter(wallet__customer=customer).order_by("id")[which]
    Recharge.objects.filter(pk=recharge.pk).update(paid_at=now() - timedelta(days=days))


def money(customer: Customer) -> tuple[str, str, str, str]:
    """Principal, bonus, frozen principal, frozen bonus."""
    wallet = services.wallet_of(customer=customer)
    return str(wallet.principal), str(wallet.bonus), str(wallet.frozen_principal), str(wallet.frozen_bonus)


def parts(refund: WalletRefund) -> list[tuple[str, str, str]]:
    """Top-up, amount, state of each part."""
    rows = refund.parts.select_related("recharge").order_by("id")
    return [(str(row.recharge.amount), str(row.amount), row.state) for row in rows]


def fresh(refund: WalletRefund) -> WalletRefund:
    return WalletRefund.objects.get(pk=refund.pk)


# --- The way it should go ---------------------------------------------------------------------------------


def test_frozen_when_asked_for_paid_when_approved(
    clean: None, django_capture_on_commit_callbacks: Any
) -> None:
    customer = topped_up("100.00")
    refund = ask(customer, "80.00")
    assert (refund.state, money(customer)) == ("applied", ("20.00", "0.00", "80.00", "0.00"))
    with django_capture_on_commit_callbacks(execute=True):
        assert refunds.approve(refund_no=refund.refund_no, reviewer=LI).state == "approved"
    done = fresh(refund)
    assert (done.state, done.paid, done.given_back) == ("done", yuan("80.00"), 0)
    assert money(customer) == ("20.00", "0.00", "0.00", "0.00")
    assert parts(refund) == [("100.00", "80.00", "done")]
    assert Recharge.objects.get().refunded == yuan("80.00")
    kinds = [event.kind for event in refund.events.all()]
    assert kinds == ["applied", "approved", "begun", "part_paid", "done"]
    (paid,) = JournalEntry.objects.filter(kind="refund_paid")
    assert {(line.account.kind, str(line.amount)) for line in paid.postings.select_related("account")} == {
        ("frozen_principal", "80.00"),
        ("channel_clearing", "-80.00"),
    }


def test_newest_payment_first_and_never_more_than_each_brought(clean: None) -> None:
    customer = topped_up("100.00", "30.00", "20.00")
    first = ask(customer, "45.00")
    assert parts(first) == [("20.00", "20.00", "waiting"), ("30.00", "25.00", "waiting")]
    refunds.approve(refund_no=first.refund_no, reviewer=LI)
    refund_run.run_refund(refund_no=first.refund_no)
    rest = ask(customer)
    assert rest.amount == yuan("105.00")
    assert parts(rest) == [("30.00", "5.00", "waiting"), ("100.00", "100.00", "waiting")]
    refunds.approve(refund_no=rest.refund_no, reviewer=LI)
    refund_run.run_refund(refund_no=rest.refund_no)
    assert money(customer) == ("0.00", "0.00", "0.00", "0.00")
    assert [row.refunded for row in Recharge.objects.order_by("id")] == [100, 30, 20]


def test_what_was_charged_cannot_go_back(clean: None) -> None:
    customer = topped_up("20.00", "30.00")
    order = factories.a_charging_order(customer=customer, preset="20.00")
    settling.settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    with pytest.raises(RefundAmount):
        ask(customer, "38.01")
    assert parts(ask(customer)) == [("30.00", "30.00", "waiting"), ("20.00", "8.00", "waiting")]


@pytest.mark.parametrize("amount", ["0.00", "-1.00", "100.01", "99999999999.99", "0.001", "NaN", "Infinity"])
def test_amounts_that_cannot_be(clean: None, amount: str) -> None:
    customer = topped_up("100.00")
    with pytest.raises(RefundAmount):
        ask(customer, amount)
    assert (WalletRefund.objects.count(), money(customer)[0]) == (0, "100.00")


def test_nothing_to_refund(clean: None) -> None:
    with pytest.raises(RefundAmount):
        ask(factories.a_customer("0"))


def test_one_at_a_time_and_once_per_key(clean: None) -> None:
    customer = topped_up("100.00")
    refund = ask(customer, "10.00", key="a")
    assert ask(customer, "10.00", key="a") == refund
    with pytest.raises(KeyReused):
        ask(customer, "20.00", key="a")
    with pytest.raises(RefundUnderWay):
        ask(customer, "10.00", key="b")
    assert money(customer)[2] == "10.00"


# --- Bonus ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "forfeited", "left"),
    [
        ("100.00", "10.00", "0.00"),
        ("33.33", "3.33", "6.67"),
        ("0.01", "0.00", "10.00"),
        ("99.99", "9.99", "0.01"),
    ],
)
def test_bonus_is_forfeited_in_proportion(clean: None, amount: str, forfeited: str, left: str) -> None:
    customer = topped_up("100.00")
    give_bonus(customer, "10.00")
    refund = ask(customer, amount)
    assert (str(refund.bonus_forfeited), money(customer)[1], money(customer)[3]) == (
        forfeited,
        left,
        forfeited,
    )
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    # The rule that counts is that of the application.
    WalletPolicy.objects.update(bonus_on_refund=BonusOnRefund.KEEP)
    refund_run.run_refund(refund_no=refund.refund_no)
    assert (str(fresh(refund).bonus_taken), money(customer)[1], money(customer)[3]) == (
        forfeited,
        left,
        "0.00",
    )


def test_bonus_stays_where_the_rule_says_so(clean: None) -> None:
    WalletPolicy.objects.update(bonus_on_refund=BonusOnRefund.KEEP)
    customer = topped_up("100.00")
    give_bonus(customer, "10.00")
    refund = ask(customer)
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    refund_run.run_refund(refund_no=refund.refund_no)
    assert money(customer) == ("0.00", "10.00", "0.00", "0.00")


# --- The review -------------------------------------------------------------------------------------------


def test_a_rejected_refund_gives_everything_back(clean: None) -> None:
    customer = topped_up("100.00")
    give_bonus(customer, "10.00")
    refund = ask(customer)
    with pytest.raises(ReasonMissing):
        refunds.reject(refund_no=refund.refund_no, reviewer=LI, reason=" ")
    no = refunds.reject(refund_no=refund.refund_no, reviewer=LI, reason="有未处理的投诉")
    assert (no.state, no.given_back, no.paid, no.bonus_taken) == ("rejected", yuan("100.00"), 0, 0)
    assert money(customer) == ("100.00", "10.00", "0.00", "0.00")
    assert Recharge.objects.get().refunded == 0
    for decide in (refunds.approve, refunds.reject, refunds.transfer_by_hand):
        with pytest.raises(RefundDecided):
            decide(refund_no=refund.refund_no, reviewer=LI, reason="x")
    assert ask(customer).amount == yuan("100.00")


def test_the_driver_withdraws_before_the_review(clean: None) -> None:
    customer, other = topped_up("100.00"), topped_up("10.00")
    refund = ask(customer)
    with pytest.raises(RefundNotFound):
        refunds.cancel(refund_no=refund.refund_no, customer=other, actor=me(other))
    for _ in range(2):
        assert (
            refunds.cancel(refund_no=refund.refund_no, customer=customer, actor=me(customer)).state
            == "cancelled"
        )
    assert money(customer) == ("100.00", "0.00", "0.00", "0.00")
    second = ask(customer)
    refunds.approve(refund_no=second.refund_no, reviewer=LI)
    with pytest.raises(RefundDecided):
        refunds.cancel(refund_no=second.refund_no, customer=customer, actor=me(customer))
    staff = topped_up("10.00")
    by_staff = ask(staff, by=WANG)
    with pytest.raises(RefundDecided):
        refunds.cancel(refund_no=by_staff.refund_no, customer=staff, actor=me(staff))


def test_the_applicant_does_not_decide(clean: None) -> None:
    customer = topped_up("100.00")
    refund = ask(customer, by=WANG)
    with pytest.raises(SamePerson):
        refunds.approve(refund_no=refund.refund_no, reviewer=WANG)
    with pytest.raises(SamePerson):
        refunds.reject(refund_no=refund.refund_no, reviewer=WANG, reason="x")
    with pytest.raises(NotAPerson):
        refunds.approve(refund_no=refund.refund_no, reviewer=me(customer))
    assert fresh(refund).state == "applied"


# --- Charges and debts ------------------------------------------------------------------------------------


def test_never_while_a_charge_runs(clean: None) -> None:
    customer = topped_up("200.00")
    order = factories.a_charging_order(customer=customer, preset="50.00")
    with pytest.raises(ChargeRunning):
        ask(customer, "10.00")
    settling.settle_record(record_id=factories.a_record(order, {"flat": "1.0000"}).pk)
    refund = ask(customer, "100.00")
    running = factories.a_charging_order(customer=customer, preset="50.00")
    with pytest.raises(ChargeRunning):
        refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    settling.settle_record(record_id=factories.a_record(running, {"flat": "1.0000"}).pk)
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    third = factories.a_charging_order(customer=customer, preset="50.00")
    refund_run.run_due()
    assert fresh(refund).state == "approved"  # waits
    settling.settle_record(record_id=factories.a_record(third, {"flat": "1.0000"}).pk)
    refund_run.run_due()
    assert fresh(refund).state == "done"


def test_never_while_money_is_owed(clean: None) -> None:
    customer = topped_up("20.00")
    refund = ask(customer, "15.00")
    order = factories.a_charging_order(customer=customer)  # with the five that are left
    settling.settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    assert services.wallet_of(customer=customer).debt == yuan("7.00")
    with pytest.raises(HasDebt):
        refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    # Rejected, the money that was frozen pays what is owed.
    refunds.reject(refund_no=refund.refund_no, reviewer=LI, reason="先补缴欠费")
    wallet = services.wallet_of(customer=customer)
    assert (wallet.principal, wallet.debt) == (yuan("8.00"), 0)


def test_a_debt_that_comes_after_the_approval_brings_it_back_to_review(clean: None) -> None:
    customer = topped_up("20.00")
    refund = ask(customer, "15.00")
    order = factories.a_charging_order(customer=customer)
    WalletRefund.objects.filter(pk=refund.pk).update(state="approved")
    settling.settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    refund_run.run_due()
    assert fresh(refund).state == "returned"
    assert refund.events.latest("id").kind == "returned_for_debt"
    with pytest.raises(HasDebt):
        refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    factories.top_up(customer, "7.00")
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    refund_run.run_due()
    assert fresh(refund).state == "done"


def test_what_the_provider_may_still_pay_is_not_given_back(clean: None) -> None:
    """A refund that came back to review while its provider was asked once more, as after one that was not accepted."""
    customer = topped_up("20.00")
    refund = ask(customer, "15.00")
    order = factories.a_charging_order(customer=customer)
    WalletRefund.objects.filter(pk=refund.pk).update(state="approved")
    refund.parts.update(state="processing", tries=1, sent_at=now(), next_try_at=now())
    settling.settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    refund_run.begin(refund_no=refund.refund_no)
    assert (fresh(refund).state, parts(refund)) == ("returned", [("20.00", "15.00", "processing")])
    with pytest.raises(RefundAtProvider):
        refunds.reject(refund_no=refund.refund_no, reviewer=LI, reason="欠费")
    assert money(customer) == ("0.00", "0.00", "15.00", "0.00")
    refund_run.run_due()  # what the provider says in the end is booked, once
    assert (fresh(refund).state, parts(refund)) == ("done", [("20.00", "15.00", "done")])
    assert money(customer) == ("0.00", "0.00", "0.00", "0.00")


# --- By hand ----------------------------------------------------------------------------------------------


def test_payments_past_the_age_limit_are_transferred_by_hand(clean: None) -> None:
    customer = topped_up("100.00", "30.00")
    aged(customer, 366)
    refund = ask(customer)
    assert parts(refund) == [("30.00", "30.00", "waiting"), ("100.00", "100.00", "manual")]
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    refund_run.run_due()
    assert (fresh(refund).state, fresh(refund).paid) == ("executing", yuan("30.00"))
    by_hand = refund.parts.get(state="manual")
    with pytest.raises(ReasonMissing):
        refunds.mark_transferred(part_id=by_hand.pk, actor=ZHAO, transfer_no=" ")
    with pytest.raises(SamePerson):
        refunds.mark_transferred(part_id=by_hand.pk, actor=LI, transfer_no="B1")
    for _ in range(2):
        marked = refunds.mark_transferred(
            part_id=by_hand.pk, actor=ZHAO, transfer_no="B1", transfer_to="张三 6222…1234"
        )
        assert (marked.state, marked.transferred_by) == ("done", "赵敏")
    with pytest.raises(NotByHand):
        refunds.mark_transferred(part_id=by_hand.pk, actor=ZHAO, transfer_no="B2")
    assert (fresh(refund).state, fresh(refund).paid) == ("done", yuan("130.00"))
    entry = JournalEntry.objects.get(key=f"refund:{by_hand.out_refund_no}")
    lines = {(line.account.kind, str(line.amount)) for line in entry.postings.select_related("account")}
    assert lines == {("frozen_principal", "100.00"), ("manual_transfer", "-100.00")}


def test_a_payment_that_grows_too_old_while_it_waits(clean: None) -> None:
    customer = topped_up("100.00")
    refund = ask(customer)
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    aged(customer, 366)
    refund_run.run_due()
    assert (fresh(refund).state, parts(refund)) == ("executing", [("100.00", "100.00", "manual")])


def test_nobody_marks_before_the_refund_is_approved(clean: None) -> None:
    customer = topped_up("100.00")
    aged(customer, 366)
    refund = ask(customer)
    with pytest.raises(NotByHand):
        refunds.mark_transferred(part_id=refund.parts.get().pk, actor=ZHAO, transfer_no="B1")
    with pytest.raises(RefundNotFound):
        refunds.mark_transferred(part_id=987654321, actor=ZHAO, transfer_no="B1")


def test_a_transfer_number_is_good_for_one_refund(clean: None) -> None:
    for number, customer in enumerate((topped_up("100.00"), topped_up("100.00"))):
        aged(customer, 400)
        refund = ask(customer)
        refunds.approve(refund_no=refund.refund_no, reviewer=LI)
        refund_run.run_due()
        part = refund.parts.get()
        if number == 0:
            refunds.mark_transferred(part_id=part.pk, actor=ZHAO, transfer_no="B1")
            continue
        with pytest.raises(TransferNumberUsed):
            refunds.mark_transferred(part_id=part.pk, actor=ZHAO, transfer_no="B1")
        refunds.mark_transferred(part_id=part.pk, actor=ZHAO, transfer_no="B2")


def test_what_cannot_be_transferred_either_goes_back_to_the_wallet(clean: None) -> None:
    customer = topped_up("100.00", "30.00")
    give_bonus(customer, "13.00")
    aged(customer, 366)
    refund = ask(customer)
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    refund_run.run_due()
    done = refunds.reject(refund_no=refund.refund_no, reviewer=LI, reason="联系不到车主")
    assert (done.state, done.paid, done.given_back, done.bonus_taken) == (
        "done",
        yuan("30.00"),
        yuan("100.00"),
        yuan("3.00"),
    )
    assert money(customer) == ("100.00", "10.00", "0.00", "0.00")


# --- At once ----------------------------------------------------------------------------------------------


def test_two_reviewers_and_a_withdrawal_at_once(committed: Any) -> None:
    customer = topped_up("100.00")
    refund = ask(customer)
    number = refund.refund_no
    results = at_once(
        lambda: refunds.approve(refund_no=number, reviewer=WANG).state,
        lambda: refunds.approve(refund_no=number, reviewer=LI).state,
        lambda: refunds.reject(refund_no=number, reviewer=ZHAO, reason="x").state,
        lambda: refunds.cancel(refund_no=number, customer=customer, actor=me(customer)).state,
    )
    assert results.count("wallet.refund_decided") == 3
    refund_run.run_due()
    expected = {"done": "0.00", "rejected": "100.00", "cancelled": "100.00"}[fresh(refund).state]
    assert money(customer) == (expected, "0.00", "0.00", "0.00")
    assert differences() == []


def test_the_button_pressed_four_times_makes_one_refund(committed: Any) -> None:
    customer = topped_up("100.00")
    numbers = at_once(*[lambda: ask(customer, "60.00", key="same").refund_no] * 4)
    assert len(set(numbers)) == 1
    others = at_once(*[lambda key=key: ask(customer, "10.00", key=f"o{key}").refund_no for key in range(3)])
    assert others == ["wallet.refund_under_way"] * 3
    assert money(customer)[2] == "60.00"


def test_four_workers_pay_a_refund_once(committed: Any) -> None:
    customer = topped_up("60.00", "40.00")
    refund = ask(customer)
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    at_once(*[refund_run.run_due] * 4, lambda: refund_run.run_refund(refund_no=refund.refund_no))
    assert (fresh(refund).state, fresh(refund).paid) == ("done", yuan("100.00"))
    assert JournalEntry.objects.filter(kind="refund_paid").count() == 2
    assert WalletRefundPart.objects.filter(tries=1).count() == 2
    assert differences() == []


def test_a_refund_a_start_and_a_top_up_at_once(committed: Any) -> None:
    """The same money is frozen or held, never both."""
    for _ in range(3):
        customer, connector = topped_up("100.00"), factories.a_connector()
        results = at_once(
            lambda customer=customer: ask(customer, "80.00").state,
            lambda customer=customer, connector=connector: (
                factories.a_started_order(customer=customer, connector=connector, preset="60.00").state
            ),
            lambda customer=customer: factories.top_up(customer, "10.00"),
        )
        assert results[0] in {"applied", "wallet.charge_running", "wallet.refund_amount"}
        assert results[1] in {"starting", "wallet.insufficient"}
        assert "applied" in results or "starting" in results
    assert differences() == []


def test_two_people_mark_the_same_transfer(committed: Any) -> None:
    customer = topped_up("100.00")
    aged(customer, 366)
    refund = ask(customer)
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    part_id = refund.parts.get().pk
    results = at_once(
        lambda: refunds.mark_transferred(part_id=part_id, actor=WANG, transfer_no="B1").state,
        lambda: refunds.mark_transferred(part_id=part_id, actor=ZHAO, transfer_no="B2").state,
        lambda: refunds.reject(refund_no=refund.refund_no, reviewer=LI, reason="x").state,
    )
    assert results.count("done") + results.count("rejected") == 1
    assert differences() == []
