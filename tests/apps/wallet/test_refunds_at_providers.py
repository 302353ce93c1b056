"""Refunds through the providers' sandboxes, over real HTTP both ways, with every fault that they can have."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from apps.common.time import now
from apps.orders.ledger_check import differences
from apps.wallet import refunds, tasks
from apps.wallet.channels import channel_of
from apps.wallet.channels.base import RefundOrder
from apps.wallet.errors import RefundAtProvider
from apps.wallet.models import JournalEntry, PaymentNotice, Recharge, WalletRefund, WalletRefundPart
from tests.apps.wallet.conftest import Shopping, Site, open_shop
from tests.apps.wallet.test_refunds import LI, WANG, ZHAO, ask, fresh, yuan

TIMEOUT = (10.0, 30.0)
SHORT_TIMEOUT = (5.0, 1.0)
REFUND_CALL = {"wechatpay": "POST /v3/refund", "alipay": "alipay.trade.refund"}
QUERY_CALL = {"wechatpay": "GET /v3/refund", "alipay": "alipay.trade.fastpay.refund.query"}


def silent(_: Any) -> None:
    """Our site hears no notice."""


@pytest.fixture
def paid(shopping: Shopping) -> Shopping:
    """A top-up of 100 yuan is paid; no notice of what follows comes through."""
    _, params = shopping.begin()
    shopping.pay(params)
    shopping.site.keep_from = silent
    instant(shopping)
    return shopping


def instant(shopping: Shopping, *, slow: bool = False) -> None:
    """The provider pays refunds at once, or only when it is told to."""
    shopping.console("POST", "settings", instant_refunds=not slow, slow_refunds=slow)


def top_up(shopping: Shopping, amount: str, key: str) -> Recharge:
    """Another top-up, paid."""
    shopping.site.keep_from = None
    recharge, params = shopping.begin(amount, key=key)
    shopping.pay(params)
    shopping.site.keep_from = silent
    recharge.refresh_from_db()
    assert recharge.state == "paid"
    return recharge


def beat() -> None:
    """What beat does, some time later."""
    WalletRefundPart.objects.exclude(next_try_at=None).update(next_try_at=now())
    tasks.execute_refunds()


def approved(shopping: Shopping, amount: str | None = None) -> WalletRefund:
    """A refund, asked for and approved; its task has run."""
    refund = ask(shopping.customer, amount)
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    return fresh(refund)


def gone(shopping: Shopping) -> dict[str, str]:
    """What the provider has given back, by number, yuan."""
    rows = shopping.console.state()["refunds"]
    if shopping.provider == "alipay":
        return {row["out_refund_no"]: f"{Decimal(row['amount']):.2f}" for row in rows}
    return {row["out_refund_no"]: f"{Decimal(row['content']['amount']['refund']) / 100:.2f}" for row in rows}


def is_done(shopping: Shopping, refund: WalletRefund, amount: str = "100.00") -> None:
    """The refund is paid: once here, once there, under the one number; and the books are right.

    WeChat answers a refund with "being processed", whatever becomes of it, and says so when it is asked again.
    """
    beat()
    done = fresh(refund)
    assert (done.state, done.paid) == ("done", yuan(amount))
    assert gone(shopping) == {f"{refund.refund_no}P1": amount}
    assert JournalEntry.objects.filter(kind="refund_paid").count() == 1
    wallet = shopping.wallet()
    assert (wallet.principal, wallet.frozen) == (yuan("100.00") - yuan(amount), 0)
    assert Recharge.objects.order_by("id")[0].refunded == yuan(amount)
    assert differences() == []


# --- The way it should go ---------------------------------------------------------------------------------


def test_paid_at_once(paid: Shopping) -> None:
    refund = approved(paid, "30.00")
    is_done(paid, refund, "30.00")
    part = refund.parts.get()
    assert (part.tries, part.problem) == (2 if paid.provider == "wechatpay" else 1, "")
    assert part.done_at is not None
    is_done(paid, refund, "30.00")
    assert refund.parts.get().tries == part.tries


def test_paid_later_and_asked_about_until_then(paid: Shopping) -> None:
    instant(paid, slow=True)
    refund = approved(paid)
    part = refund.parts.get()
    assert (refund.state, part.state) == ("executing", "processing")
    assert (part.next_try_at - now()).total_seconds() > 5
    beat()
    assert (fresh(refund).paid, refund.parts.get().tries) == (0, 2)
    done = "SUCCESS" if paid.provider == "wechatpay" else "REFUND_SUCCESS"
    paid.console("POST", "refunds", out_refund_no=part.out_refund_no, status=done, notify="no")
    beat()
    is_done(paid, refund)


def test_a_notice_makes_us_ask(paid: Shopping) -> None:
    instant(paid, slow=True)
    refund = approved(paid)
    paid.site.keep_from = None
    done = "SUCCESS" if paid.provider == "wechatpay" else "REFUND_SUCCESS"
    paid.console("POST", "refunds", out_refund_no=f"{refund.refund_no}P1", status=done)
    assert fresh(refund).state == "done"
    is_done(paid, refund)
    notices = PaymentNotice.objects.filter(kind="refund")
    assert notices
    assert set(notices.values_list("state", flat=True)) == {"done"}


def test_split_over_payments_newest_first(paid: Shopping) -> None:
    newer = top_up(paid, "40.00", "second")
    refund = approved(paid, "90.00")
    beat()
    refund = fresh(refund)
    assert (refund.state, refund.paid) == ("done", yuan("90.00"))
    assert gone(paid) == {f"{refund.refund_no}P1": "40.00", f"{refund.refund_no}P2": "50.00"}
    assert refund.parts.order_by("id")[0].recharge == newer
    assert paid.wallet().principal == yuan("50.00")
    assert differences() == []


# --- Faults -----------------------------------------------------------------------------------------------


def test_a_timeout_after_the_provider_accepted_pays_once(paid: Shopping, settings: Any) -> None:
    settings.PAYMENT_TIMEOUT_S = SHORT_TIMEOUT
    forget_channels()
    paid.console.fault("timeout_after_accept", REFUND_CALL[paid.provider], seconds=3)
    refund = approved(paid)
    part = refund.parts.get()
    assert (refund.state, part.state, part.unclear_since is not None) == ("executing", "asked", True)
    assert gone(paid) == {part.out_refund_no: "100.00"}
    assert paid.wallet().frozen == yuan("100.00")
    beat()
    is_done(paid, refund)


@pytest.mark.parametrize("fault", ["http_500", "rate_limited"])
def test_a_provider_that_did_nothing_is_asked_again_under_the_same_number(paid: Shopping, fault: str) -> None:
    paid.console.fault(fault, REFUND_CALL[paid.provider])
    refund = approved(paid)
    assert (refund.parts.get().state, gone(paid)) == ("asked", {})
    beat()
    is_done(paid, refund)


@pytest.mark.parametrize("fault", ["http_500", "rate_limited", "bad_signature"])
def test_a_question_without_an_answer_pays_nothing_twice(paid: Shopping, fault: str) -> None:
    paid.console.fault("bad_signature", REFUND_CALL[paid.provider])
    refund = approved(paid)
    assert refund.parts.get().state == "asked"
    paid.console.fault(fault, QUERY_CALL[paid.provider])
    beat()
    assert (fresh(refund).paid, refund.parts.get().state) == (0, "asked")
    beat()
    is_done(paid, refund)


def test_a_slow_provider_and_unknown_fields(paid: Shopping) -> None:
    paid.console.fault("slow", REFUND_CALL[paid.provider], seconds=0.3)
    paid.console.fault("unknown_field", times=None)
    is_done(paid, approved(paid))


def test_a_merchant_account_that_is_short_keeps_it_queued(paid: Shopping) -> None:
    paid.console("POST", "settings", balance=0)
    refund = approved(paid)
    part = refund.parts.get()
    assert (refund.state, part.state) == ("executing", "short")
    assert "余额不足" in part.problem
    assert (part.next_try_at - now()).total_seconds() > 300
    beat()
    assert (refund.parts.get().state, gone(paid)) == ("short", {})
    assert [event.kind for event in refund.events.all()].count("part_short") == 1
    paid.console("POST", "settings", balance=10_000_00)
    beat()
    is_done(paid, refund)


def test_a_refused_refund_comes_back_and_goes_out_under_a_new_number(paid: Shopping) -> None:
    """Somebody refunded the payment at the provider's own pages: ours is refused until a person finds a way."""
    recharge = Recharge.objects.get()
    order = RefundOrder(
        out_refund_no="BYHAND1",
        out_trade_no=recharge.recharge_no,
        amount=yuan("40.00"),
        total=recharge.amount,
    )
    channel_of(paid.merchant).refund(order)
    refund = approved(paid)
    assert (refund.state, refund.parts.get().state) == ("returned", "failed")
    assert refund.parts.get().problem
    assert paid.wallet().frozen == yuan("100.00")
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    assert [(row.out_refund_no[-2:], row.state) for row in refund.parts.order_by("id")] == [
        ("P1", "replaced"),
        ("P2", "failed"),
    ]
    assert set(gone(paid)) == {"BYHAND1"}
    refunds.transfer_by_hand(refund_no=refund.refund_no, reviewer=LI, reason="商户平台已退 40 元，其余转账")
    part = refund.parts.get(state="manual")
    refunds.mark_transferred(part_id=part.pk, actor=ZHAO, transfer_no="B1")
    assert fresh(refund).state == "done"
    assert Recharge.objects.get().refunded == yuan("100.00")
    assert differences() == []


def test_a_refused_refund_can_be_rejected(paid: Shopping) -> None:
    recharge = Recharge.objects.get()
    order = RefundOrder(
        out_refund_no="BYHAND1",
        out_trade_no=recharge.recharge_no,
        amount=yuan("100.00"),
        total=recharge.amount,
    )
    channel_of(paid.merchant).refund(order)
    refund = approved(paid)
    assert refund.state == "returned"
    refunds.reject(refund_no=refund.refund_no, reviewer=WANG, reason="已在商户平台退款")
    assert (fresh(refund).state, paid.wallet().principal) == ("rejected", yuan("100.00"))
    assert Recharge.objects.get().refunded == 0
    assert differences() == []


def test_keys_that_cannot_be_read_keep_it_queued(paid: Shopping) -> None:
    kept = paid.merchant.credentials
    paid.merchant.credentials = "{}"
    paid.merchant.save()
    refund = approved(paid)
    assert (refund.state, refund.parts.get().state, gone(paid)) == ("executing", "asked", {})
    assert "not configured" in refund.parts.get().problem
    paid.merchant.credentials = kept
    paid.merchant.save()
    beat()
    is_done(paid, refund)


# --- What only WeChat says --------------------------------------------------------------------------------


@pytest.fixture
def wechat(request: pytest.FixtureRequest, site: Site, settings: Any) -> Shopping:
    settings.PAYMENT_TIMEOUT_S = TIMEOUT
    made = open_shop(
        "wechatpay",
        request.getfixturevalue("wechatpay_issued"),
        request.getfixturevalue("wechatpay_server")[1].url,
        request.getfixturevalue("wechatpay_console"),
        site,
    )
    _, params = made.begin()
    made.pay(params)
    site.keep_from = silent
    instant(made, slow=True)
    return made


def says(shopping: Shopping, number: str, status: str) -> None:
    shopping.console("POST", "refunds", out_refund_no=number, status=status, notify="no")


def test_closed_comes_back_and_a_new_number_pays(wechat: Shopping) -> None:
    refund = approved(wechat)
    says(wechat, f"{refund.refund_no}P1", "CLOSED")
    beat()
    assert (fresh(refund).state, refund.parts.get().problem) == ("returned", "closed")
    instant(wechat)
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    beat()
    assert fresh(refund).state == "done"
    assert gone(wechat) == {f"{refund.refund_no}P1": "100.00", f"{refund.refund_no}P2": "100.00"}
    assert JournalEntry.objects.filter(kind="refund_paid").count() == 1
    assert differences() == []


def test_abnormal_is_never_sent_under_a_second_number(wechat: Shopping) -> None:
    refund = approved(wechat)
    says(wechat, f"{refund.refund_no}P1", "ABNORMAL")
    beat()
    assert (fresh(refund).state, refund.parts.get().state) == ("returned", "abnormal")
    with pytest.raises(RefundAtProvider):
        refunds.reject(refund_no=refund.refund_no, reviewer=WANG, reason="x")
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)  # asks again, by the same number
    assert (fresh(refund).state, refund.parts.get().state) == ("returned", "abnormal")
    assert set(gone(wechat)) == {f"{refund.refund_no}P1"}
    # Finished at the provider's pages: its notice, or the next approval, books it.
    wechat.site.keep_from = None
    wechat.console("POST", "refunds", out_refund_no=f"{refund.refund_no}P1", status="SUCCESS")
    is_done(wechat, refund)


def test_abnormal_can_be_transferred_by_hand(wechat: Shopping) -> None:
    refund = approved(wechat)
    says(wechat, f"{refund.refund_no}P1", "ABNORMAL")
    beat()
    refunds.transfer_by_hand(refund_no=refund.refund_no, reviewer=LI, reason="银行卡已注销")
    part = refund.parts.get()
    refunds.mark_transferred(part_id=part.pk, actor=ZHAO, transfer_no="B1")
    assert (fresh(refund).state, set(gone(wechat))) == ("done", {f"{refund.refund_no}P1"})
    assert (
        JournalEntry.objects.get(kind="refund_paid").postings.filter(account__kind="manual_transfer").exists()
    )
    assert differences() == []


def forget_channels() -> None:
    """Build the clients anew, with the timeout of now."""
    from apps.wallet import channels

    channels._channels.clear()
