"""Refunds in the bills of payment channels: what agrees with ours, what does not, and what heals by asking.

The bills of the first part are written by the tests; those of the second come from the providers' sandboxes.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.common.time import business_day, now
from apps.orders.ledger_check import differences
from apps.wallet import reconcile, refund_run, refunds
from apps.wallet.channels import channel_of
from apps.wallet.channels.base import BillKind, BillRow, RefundOrder
from apps.wallet.channels.base import RefundState as ChannelState
from apps.wallet.enums import BillState, PartState, RefundState
from apps.wallet.errors import NothingToAsk, RefundInBill
from apps.wallet.models import (
    ChannelDay,
    ChannelDifference,
    MerchantAccount,
    Recharge,
    WalletRefund,
    WalletRefundPart,
)
from tests.apps.wallet.conftest import Shopping, Site, a_shopping
from tests.apps.wallet.test_reconcile import (
    DECIDES,
    DIFFERENCES,
    END,
    NOON,
    YESTERDAY,
    Provider,
    found,
    merchant,
    paid,
    provider,
    row,
)
from tests.apps.wallet.test_refunds import LI, ZHAO, ask, fresh, yuan
from tests.apps.wallet.test_refunds_at_providers import TIMEOUT, beat, instant, says, silent
from tests.staff import a_user, signed_in

__all__ = ["merchant", "provider"]  # fixtures

TODAY = business_day(now())


# --- Bills that the tests write ---------------------------------------------------------------------------


def refunded(recharge: Recharge, amount: str, *, state: PartState = PartState.DONE) -> WalletRefundPart:
    """A refund of a top-up that was paid yesterday at noon, or is `state`."""
    refund = ask(recharge.wallet.customer, amount)
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    if state == PartState.DONE:
        refund_run.run_refund(refund_no=refund.refund_no)
        refund.parts.update(done_at=NOON)
    else:
        refund_run.begin(refund_no=refund.refund_no)
        refund.parts.update(state=state, sent_at=NOON, next_try_at=now() + timedelta(hours=1))
    return refund.parts.get()


def back(part: WalletRefundPart, **changes: Any) -> BillRow:
    """The line that an honest provider writes of a refund."""
    values: dict[str, Any] = {
        "kind": BillKind.REFUND,
        "out_refund_no": part.out_refund_no,
        "channel_refund_no": f"SANDBOX{part.out_refund_no}",
        "amount": part.amount,
        "fee": Decimal("0.00000"),
    }
    return row(part.recharge, **{**values, **changes})


def states() -> list[str]:
    """Our state in each difference."""
    return [one.figures["state"] for one in ChannelDifference.objects.order_by("kind", "subject")]


def test_payments_and_refunds_that_agree(merchant: MerchantAccount, provider: Provider) -> None:
    recharge = paid("100.00")
    part = refunded(recharge, "30.00")
    provider.rows = [row(recharge), back(part)]
    run = reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    assert (run.rows, run.differences) == (2, 0)
    day = ChannelDay.objects.get()
    assert (day.their_refunds, day.their_refunded, day.our_refunds, day.our_refunded) == (
        1,
        yuan("30.00"),
        1,
        yuan("30.00"),
    )
    assert (day.our_payments, day.our_paid) == (1, yuan("100.00"))
    assert differences() == []


def test_every_kind_of_difference_of_refunds(merchant: MerchantAccount, provider: Provider) -> None:
    charged = [paid("100.00") for _ in range(5)]
    ours, other, asked, twice, late = (
        refunded(charged[0], "10.00"),
        refunded(charged[1], "20.00"),
        refunded(charged[2], "30.00", state=PartState.PROCESSING),
        refunded(charged[3], "40.00"),
        refunded(charged[4], "50.00"),
    )
    WalletRefundPart.objects.filter(pk=late.pk).update(done_at=END)  # of today, and in the bill of yesterday
    provider.rows = [
        *(row(one) for one in charged),
        back(other, amount=yuan("20.01")),
        back(asked),
        back(twice),
        back(twice),
        back(late),
        back(twice, out_refund_no="W-UNKNOWN"),
    ]
    run = reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    assert (run.differences, run.undecided) == (5, 5)
    assert found() == [
        ("amount_differs", other.out_refund_no, "20.00", "20.01", "open"),
        ("only_ours", ours.out_refund_no, "10.00", None, "open"),
        ("only_theirs", "W-UNKNOWN", None, "40.00", "open"),
        ("only_theirs", twice.out_refund_no, "40.00", "40.00", "open"),
        ("state_differs", asked.out_refund_no, "30.00", "30.00", "open"),
    ]
    assert states() == ["done", "done", "", "done", "processing"]
    linked = ChannelDifference.objects.exclude(refund_part=None).values_list("out_no", "refund_part")
    assert dict(linked) == {part.out_refund_no: part.pk for part in (ours, other, twice, asked)}
    day = ChannelDay.objects.get()
    assert (day.our_refunds, day.our_refunded) == (3, yuan("70.00"))
    assert differences() == []


def test_a_refund_that_failed_there_or_is_under_way_is_no_payment(
    merchant: MerchantAccount, provider: Provider
) -> None:
    charged = [paid("100.00") for _ in range(6)]
    parts = [
        refunded(charged[0], "10.00"),  # paid with us, failed there: somebody has to look
        refunded(charged[1], "20.00", state=PartState.FAILED),  # failed on both sides
        refunded(charged[2], "30.00", state=PartState.PROCESSING),  # under way on both sides
        refunded(charged[3], "40.00"),  # done since the bill was written
        refunded(charged[4], "50.00", state=PartState.FAILED),  # refused with us, and yet under way there
        refunded(charged[5], "60.00", state=PartState.PROCESSING),  # failed there, and we do not know yet
    ]
    failed, running = ChannelState.CLOSED, ChannelState.PROCESSING
    told = [failed, failed, running, running, running, failed]
    provider.rows = [
        *(row(one) for one in charged),
        *(back(part, refund_state=state) for part, state in zip(parts, told, strict=True)),
        back(parts[0], out_refund_no="W-UNKNOWN", refund_state=failed),  # nobody's, and no money moved
    ]
    run = reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    assert sorted(found(), key=lambda one: str(one[2])) == [  # numbers of one second have no order
        ("state_differs", parts[0].out_refund_no, "10.00", "10.00", "open"),
        ("state_differs", parts[4].out_refund_no, "50.00", "50.00", "open"),
    ]
    assert (run.rows, sorted(states())) == (9, ["done", "failed"])
    day = ChannelDay.objects.get()
    assert (day.their_refunds, day.their_refunded) == (3, yuan("120.00"))  # what failed is no money

    # What failed at the channel goes back to the wallet; what is under way there must not.
    refund = parts[1].refund
    WalletRefund.objects.filter(pk__in=[refund.pk, parts[4].refund_id]).update(state=RefundState.RETURNED)
    refunds.reject(refund_no=refund.refund_no, reviewer=ZHAO, reason="退回钱包")
    with pytest.raises(RefundInBill):
        refunds.reject(refund_no=parts[4].refund.refund_no, reviewer=ZHAO, reason="退回钱包")
    assert differences() == []


def test_a_refund_of_another_accounts_payment_is_theirs_only(
    merchant: MerchantAccount, provider: Provider
) -> None:
    elsewhere = MerchantAccount.objects.create(channel="sandbox", name="二号", merchant_no="2")
    part = refunded(paid("100.00"), "10.00")
    Recharge.objects.filter(pk=part.recharge_id).update(merchant=elsewhere)
    provider.rows = [back(part)]
    reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    assert found() == [("only_theirs", part.out_refund_no, "10.00", "10.00", "open")]
    assert ChannelDifference.objects.get().figures["merchant"] == str(elsewhere.pk)


@pytest.mark.parametrize("state", [PartState.FAILED, PartState.GIVEN_BACK, PartState.REPLACED])
def test_money_that_went_out_under_a_number_that_was_given_up(
    merchant: MerchantAccount, provider: Provider, state: PartState
) -> None:
    """It went out twice, or will: nobody can heal that by asking."""
    recharge = paid("100.00")
    part = refunded(recharge, "10.00", state=PartState.PROCESSING)
    WalletRefundPart.objects.filter(pk=part.pk).update(state=state, next_try_at=None)
    provider.rows = [row(recharge), back(part)]
    reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    assert found() == [("state_differs", part.out_refund_no, "10.00", "10.00", "open")]
    assert states() == [state]
    with pytest.raises(NothingToAsk):
        reconcile.query_now(difference_id=ChannelDifference.objects.get().pk)


def test_a_refused_part_that_the_bill_shows_as_paid_goes_out_no_second_time(
    merchant: MerchantAccount, provider: Provider
) -> None:
    recharge = paid("100.00")
    part = refunded(recharge, "10.00", state=PartState.FAILED)
    refund = part.refund
    WalletRefundPart.objects.filter(pk=part.pk).update(next_try_at=None)
    WalletRefund.objects.filter(pk=refund.pk).update(state=RefundState.RETURNED)
    provider.rows = [row(recharge), back(part)]
    reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    for decide in (refunds.approve, refunds.reject, refunds.transfer_by_hand):
        with pytest.raises(RefundInBill, match=part.out_refund_no):
            decide(refund_no=refund.refund_no, reviewer=LI, reason="再试一次")
    assert refund.parts.get().state == PartState.FAILED

    difference = ChannelDifference.objects.get()
    reconcile.request_resolution(difference=difference, reason="与渠道核实：账单有误", actor=LI)
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    assert [one.state for one in refund.parts.order_by("id")] == [PartState.REPLACED, PartState.WAITING]


def test_a_transfer_by_hand_is_in_no_bill(merchant: MerchantAccount, provider: Provider) -> None:
    recharge = paid("100.00")
    part = refunded(recharge, "10.00")
    WalletRefundPart.objects.filter(pk=part.pk).update(manual=True)
    provider.rows = [row(recharge)]
    assert reconcile.reconcile_day(merchant=merchant, day=YESTERDAY).differences == 0
    assert ChannelDay.objects.get().our_refunds == 0
    provider.rows = [row(recharge), back(part)]
    reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    one = ChannelDifference.objects.get()
    assert (one.kind, one.figures["state"], reconcile.can_heal(one)) == ("state_differs", "by_hand", False)
    page = signed_in(a_user(*DECIDES)).get(f"{DIFFERENCES}{one.pk}/change/").content.decode()
    assert "我方状态：人工转账" in page
    assert f"{DIFFERENCES}{one.pk}/query/" not in page


def test_a_refund_is_healed_by_asking_on_its_page(merchant: MerchantAccount, provider: Provider) -> None:
    recharge = paid("100.00")
    part = refunded(recharge, "10.00", state=PartState.ASKED)
    WalletRefundPart.objects.filter(pk=part.pk).update(tries=1)
    order = RefundOrder(
        out_refund_no=part.out_refund_no,
        out_trade_no=recharge.recharge_no,
        amount=part.amount,
        total=recharge.amount,
    )
    provider.refund(order)
    provider.rows = [row(recharge), back(part)]
    assert reconcile.reconcile_day(merchant=merchant, day=YESTERDAY).undecided == 1
    one = ChannelDifference.objects.get()
    client = signed_in(a_user(*DECIDES, "wallet.view_walletrefund"))
    page = client.get(f"{DIFFERENCES}{one.pk}/change/").content.decode()
    assert f"/admin/wallet/walletrefund/{part.refund_id}/change/" in page
    assert f"{DIFFERENCES}{one.pk}/query/" in page
    client.post(f"{DIFFERENCES}{one.pk}/query/", {"_form_submitted": "on"})
    one.refresh_from_db()
    assert (one.state, WalletRefund.objects.get().state) == ("cleared", "done")
    assert differences() == []


# --- Bills of the providers' sandboxes --------------------------------------------------------------------


def reconciled(shopping: Shopping) -> reconcile.ChannelRun:
    """What the next morning's task does."""
    shopping.console("POST", "settings", unfinished_bills=True)
    return reconcile.reconcile_day(merchant=shopping.merchant, day=TODAY, at=now() + timedelta(days=1))


def with_a_refund(shopping: Shopping, *, slow: bool = False) -> WalletRefund:
    """A top-up of 100 yuan of which 30 go back, approved; the provider's notices do not come through."""
    _, params = shopping.begin()
    shopping.pay(params)
    shopping.site.keep_from = silent
    instant(shopping, slow=slow)
    refund = ask(shopping.customer, "30.00")
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    beat()
    return fresh(refund)


def test_the_providers_own_bill_agrees(shopping: Shopping) -> None:
    assert with_a_refund(shopping).state == "done"
    run = reconciled(shopping)
    assert (run.state, run.problem, run.rows, run.differences) == (BillState.RECONCILED, "", 2, 0)
    day = ChannelDay.objects.get()
    assert (day.their_refunded, day.our_refunded, day.their_paid, day.our_paid) == (
        yuan("30.00"),
        yuan("30.00"),
        yuan("100.00"),
        yuan("100.00"),
    )
    assert (day.fee, day.fee_booked) == (yuan("0.42"), yuan("0.42"))  # 0.6 % of what stayed
    assert differences() == []


def test_a_refund_whose_end_we_did_not_hear_of_heals(shopping: Shopping) -> None:
    refund = with_a_refund(shopping, slow=True)
    assert refund.state == "executing"
    number = f"{refund.refund_no}P1"
    says(shopping, number, "SUCCESS" if shopping.provider == "wechatpay" else "REFUND_SUCCESS")
    assert reconciled(shopping).undecided == 1
    one = ChannelDifference.objects.get()
    assert (one.kind, one.trade_kind, one.out_no, one.figures["state"]) == (
        "state_differs",
        "refund",
        number,
        "processing",
    )
    assert reconcile.query_now(difference_id=one.pk).undecided == 0
    one.refresh_from_db()
    assert (one.state, fresh(refund).state) == ("cleared", "done")
    assert differences() == []


def test_a_refund_on_the_providers_own_pages_is_theirs_only(shopping: Shopping) -> None:
    with_a_refund(shopping)
    recharge = Recharge.objects.get()
    order = RefundOrder(
        out_refund_no="BYHAND1",
        out_trade_no=recharge.recharge_no,
        amount=yuan("5.00"),
        total=recharge.amount,
    )
    channel_of(shopping.merchant).refund(order)
    assert reconciled(shopping).undecided == 1
    assert found() == [("only_theirs", "BYHAND1", None, "5.00", "open")]
    assert differences() == []


def test_paid_by_hand_and_then_by_the_channel_as_well(
    request: pytest.FixtureRequest, site: Site, settings: Any
) -> None:
    settings.PAYMENT_TIMEOUT_S = TIMEOUT
    wechat = a_shopping(request, "wechatpay", site)
    refund = with_a_refund(wechat, slow=True)
    says(wechat, f"{refund.refund_no}P1", "ABNORMAL")
    beat()
    refunds.transfer_by_hand(refund_no=refund.refund_no, reviewer=LI, reason="银行卡已注销")
    refunds.mark_transferred(part_id=refund.parts.get().pk, actor=ZHAO, transfer_no="B1")
    says(wechat, f"{refund.refund_no}P1", "SUCCESS")
    assert reconciled(wechat).undecided == 1
    one = ChannelDifference.objects.get()
    assert (one.kind, one.figures["state"], one.theirs) == ("state_differs", "by_hand", yuan("30.00"))
    assert differences() == []
