"""What every channel promises, each against its provider's sandbox over HTTP."""

from __future__ import annotations

import dataclasses
import itertools
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError

import pytest

from apps.common.money import AmountError
from apps.common.time import SHANGHAI, now
from apps.wallet.channels.alipay import Alipay
from apps.wallet.channels.base import (
    AlreadyPaid,
    BadSignature,
    BalanceShort,
    BillKind,
    BillRow,
    Mismatch,
    NoticeKind,
    PaymentOrder,
    Refund,
    RefundOrder,
    RefundState,
    Refused,
    Trade,
    TradeState,
    Unknown,
)
from apps.wallet.channels.wechatpay import WechatPay, WechatPayCredentials
from tests.apps.wallet.conftest import Console, Shop

DAY = now().date() - timedelta(days=2)
PAID_AT = datetime.combine(DAY, clock(8, 30, 15), SHANGHAI)
REFUNDED_AT = datetime.combine(DAY, clock(21, 5, 0), SHANGHAI)
_numbers = itertools.count(1)


@dataclass
class Side:
    """One channel with its sandbox, and the words in which the two differ."""

    name: str
    channel: WechatPay | Alipay
    console: Console
    create: str  # what a fault's `only` says for each operation
    query: str
    refund: str
    http_500: str
    rate_limited: str

    def amount(self, yuan: str) -> Any:
        """An amount as the control API of this sandbox takes it."""
        return int(Decimal(yuan) * 100) if self.name == "wechatpay" else yuan

    def wait_for(self, kind: str) -> None:
        """Wait until the sandbox has taken what a client with little patience sent."""
        deadline = time.monotonic() + 30
        while not self.console.state()[kind]:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def quick(self) -> WechatPay | Alipay:
        """The same merchant with little patience."""
        url, credentials = self.channel._base_url, self.channel._credentials
        if isinstance(credentials, WechatPayCredentials):
            return WechatPay(credentials, base_url=url, timeout=(2, 0.3))
        return Alipay(credentials, base_url=url, timeout=(2, 0.3))


@pytest.fixture(params=["wechatpay", "alipay"])
def side(request: pytest.FixtureRequest) -> Side:
    name = request.param
    channel = request.getfixturevalue(f"{name}_channel")
    console = request.getfixturevalue(f"{name}_console")
    if name == "wechatpay":
        words = ("/v3/pay/transactions/jsapi", "/v3/pay/transactions/out-trade-no", "/v3/refund")
        return Side(name, channel, console, *words, "SYSTEM_ERROR", "FREQUENCY_LIMITED")
    words = ("alipay.trade.create", "alipay.trade.query", "alipay.trade.refund")
    return Side(name, channel, console, *words, "http_502", "isv.app-call-limited")


def an_order(shop: Shop | None = None, amount: str = "50.00", **changes: Any) -> PaymentOrder:
    order = PaymentOrder(
        out_trade_no=f"RC{next(_numbers):010}",
        amount=Decimal(amount),
        description='余额充值 {"a": "}"} 50/元',
        payer="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
        notify_url=shop.url if shop else "http://127.0.0.1:1/notices/alpha/pay",
        expires_at=now() + timedelta(minutes=10),
    )
    return dataclasses.replace(order, **changes)


def a_refund(order: PaymentOrder, amount: str, number: str = "1") -> RefundOrder:
    return RefundOrder(
        out_refund_no=f"RF{order.out_trade_no}_{number}",
        out_trade_no=order.out_trade_no,
        amount=Decimal(amount),
        total=order.amount,
        reason="余额退款",
    )


def paid(side: Side, **options: Any) -> PaymentOrder:
    """An order that the phone has paid, without a notice."""
    order = an_order()
    side.channel.create(order)
    side.console.pay(order.out_trade_no, **{"notify": "no", "at": PAID_AT.isoformat()} | options)
    return order


# --- Payments -----------------------------------------------------------------------------------------------


def test_an_order_waits_is_paid_and_tells_so(side: Side, shop: Shop) -> None:
    notices = shop.serve(side.channel)
    order = an_order(shop)
    assert side.channel.create(order).out_trade_no == order.out_trade_no
    waiting = side.channel.query(order.out_trade_no)
    assert (waiting.state, waiting.paid, waiting.paid_at) == (TradeState.WAITING, False, None)

    side.console.pay(order.out_trade_no, at=PAID_AT.isoformat())

    found = side.channel.query(order.out_trade_no)
    assert found == Trade(
        out_trade_no=order.out_trade_no,
        state=TradeState.PAID,
        amount=Decimal("50.00"),
        channel_trade_no=found.channel_trade_no,
        paid_at=PAID_AT,
        payer=order.payer,
    )
    assert len(found.channel_trade_no) == 28
    found.must_pay(out_trade_no=order.out_trade_no, amount=Decimal("50.00"))
    [notice] = notices
    assert (notice.kind, notice.trade, notice.refund) == (NoticeKind.PAYMENT, found, None)
    [delivery] = side.console.state()["deliveries"]
    assert delivery["accepted"] is True


def test_the_phone_pays_with_what_it_was_given(side: Side) -> None:
    order = an_order()
    params = dict(side.channel.create(order).client_params)
    for name, value in params.items():
        other = value[:-2] + ("11" if value.endswith("00") else "00")
        with pytest.raises(HTTPError):
            side.console("POST", "pay", client_params=params | {name: other}, notify="no")
    assert side.channel.query(order.out_trade_no).state == TradeState.WAITING
    side.console("POST", "pay", client_params=params, notify="no")
    assert side.channel.query(order.out_trade_no).state == TradeState.PAID


def test_threads_share_one_channel(side: Side) -> None:
    """Eight at once: each gets the answer to its own question, and one refund asked eight times is one."""
    orders = [an_order(amount=f"{number}.00") for number in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(side.channel.create, orders))
        for order in orders:
            side.console.pay(order.out_trade_no, notify="no")
        found = list(pool.map(side.channel.query, [order.out_trade_no for order in orders]))
        refund = a_refund(orders[7], "8.00")
        refunds = list(pool.map(side.channel.refund, [refund] * 8))
    assert [trade.amount for trade in found] == [order.amount for order in orders]
    assert {each.amount for each in refunds} == {Decimal("8.00")}
    assert len(side.console.state()["refunds"]) == 1


def test_creating_twice_is_one_order(side: Side) -> None:
    order = an_order()
    first, second = side.channel.create(order), side.channel.create(order)
    names = {"wechatpay": "package", "alipay": "tradeNO"}
    assert first.client_params[names[side.name]] == second.client_params[names[side.name]]
    assert len(side.console.state()["orders"]) == 1


def test_a_number_with_another_content_is_refused(side: Side) -> None:
    order = an_order()
    side.channel.create(order)
    with pytest.raises(Refused) as caught:
        side.channel.create(dataclasses.replace(order, amount=Decimal("60.00")))
    codes = {"wechatpay": "OUT_TRADE_NO_USED", "alipay": "ACQ.CONTEXT_INCONSISTENT"}
    assert (type(caught.value), caught.value.code) == (Refused, codes[side.name])


def test_a_paid_number_is_already_paid(side: Side) -> None:
    order = paid(side)
    with pytest.raises(AlreadyPaid):
        side.channel.create(order)
    with pytest.raises(AlreadyPaid):
        side.channel.close(order.out_trade_no)


def test_an_unknown_number_is_not_found(side: Side) -> None:
    assert side.channel.query("RC_NOBODY") == Trade(out_trade_no="RC_NOBODY", state=TradeState.NOT_FOUND)
    found = side.channel.query_refund(out_trade_no="RC_NOBODY", out_refund_no="RF_NOBODY")
    assert found == Refund(out_refund_no="RF_NOBODY", out_trade_no="RC_NOBODY", state=RefundState.NOT_FOUND)


def test_closing_is_final_and_may_be_repeated(side: Side) -> None:
    order = an_order()
    side.channel.create(order)
    side.channel.close(order.out_trade_no)
    side.channel.close(order.out_trade_no)
    side.channel.close("RC_NEVER_MADE")
    assert side.channel.query(order.out_trade_no).state == TradeState.CLOSED
    with pytest.raises(Refused):
        side.channel.create(order)


@pytest.mark.parametrize("amount", ["0.00", "-1.00", "0.001", "NaN"])
def test_an_amount_that_is_none_never_leaves(side: Side, amount: str) -> None:
    order = an_order(amount=amount)
    with pytest.raises(AmountError):
        side.channel.create(order)
    with pytest.raises(AmountError):
        side.channel.refund(
            RefundOrder(
                out_refund_no="RF1", out_trade_no="RC000001", amount=Decimal(amount), total=Decimal("50.00")
            )
        )
    assert side.console.state()["orders"] == []


@pytest.mark.parametrize("number", ["", "订单000001", "RC 000001", "RC/000001", "R" * 65])
def test_a_number_that_no_provider_takes_never_leaves(side: Side, number: str) -> None:
    with pytest.raises(ValueError, match="0-9"):
        side.channel.create(an_order(out_trade_no=number))


@pytest.mark.parametrize(
    "url", ["", "/notices", "http://shop.test/notices?tenant=1", "ftp://shop.test/", "http://shop.test/#x"]
)
def test_a_notify_url_that_no_provider_takes(side: Side, url: str) -> None:
    with pytest.raises(ValueError, match="notify_url"):
        side.channel.create(an_order(notify_url=url))


def test_an_expiry_without_a_time_zone_is_no_order() -> None:
    with pytest.raises(ValueError, match="expires_at"):
        an_order(expires_at=datetime(2026, 11, 20, 8, 0))  # noqa: DTZ001


def test_a_refund_beyond_the_payment_never_leaves(side: Side) -> None:
    order = paid(side)
    with pytest.raises(ValueError, match="at most the payment"):
        side.channel.refund(a_refund(order, "50.01"))


# --- Unknown outcomes: ask, then repeat under the same number -----------------------------------------------------


def test_a_timeout_after_the_order_was_taken(side: Side) -> None:
    order = an_order()
    side.console.fault("timeout_after_accept", side.create, seconds=3)
    with pytest.raises(Unknown) as caught:
        side.quick().create(order)
    assert (type(caught.value), caught.value.cause) == (Unknown, "timeout")
    side.wait_for("orders")
    assert side.channel.query(order.out_trade_no).state == TradeState.WAITING
    side.channel.create(order)
    assert len(side.console.state()["orders"]) == 1


def test_a_timeout_of_a_refund_pays_once(side: Side) -> None:
    order = paid(side)
    refund = a_refund(order, "20.00")
    side.console.fault("timeout_after_accept", side.refund, seconds=3)
    with pytest.raises(Unknown):
        side.quick().refund(refund)
    side.wait_for("refunds")
    found = side.channel.query_refund(out_trade_no=refund.out_trade_no, out_refund_no=refund.out_refund_no)
    assert found.state in {RefundState.PROCESSING, RefundState.DONE}
    assert found.amount == Decimal("20.00")
    assert side.channel.refund(refund).state == RefundState.PROCESSING
    assert len(side.console.state()["refunds"]) == 1


def test_an_error_before_anything_was_done(side: Side) -> None:
    order = an_order()
    for fault, cause in (("http_500", side.http_500), ("rate_limited", side.rate_limited)):
        side.console.fault(fault, side.create)
        with pytest.raises(Unknown) as caught:
            side.channel.create(order)
        assert (type(caught.value), caught.value.cause) == (Unknown, cause)
        assert side.channel.query(order.out_trade_no).state == TradeState.NOT_FOUND
    side.channel.create(order)


def test_an_answer_with_a_bad_signature_leaves_the_outcome_unknown(side: Side) -> None:
    order = paid(side)
    refund = a_refund(order, "20.00")
    side.console.fault("bad_signature", side.refund)
    with pytest.raises(BadSignature) as caught:
        side.channel.refund(refund)
    assert isinstance(caught.value, Unknown)
    found = side.channel.query_refund(out_trade_no=refund.out_trade_no, out_refund_no=refund.out_refund_no)
    assert found.amount == Decimal("20.00")
    side.console.fault("bad_signature", side.query)
    with pytest.raises(BadSignature):
        side.channel.query(order.out_trade_no)


def test_a_slow_answer_is_an_answer(side: Side) -> None:
    order = an_order()
    side.console.fault("slow", side.create, seconds=0.2)
    assert side.channel.create(order).out_trade_no == order.out_trade_no


def test_an_unknown_field_is_passed_over(side: Side, shop: Shop) -> None:
    notices = shop.serve(side.channel)
    order = an_order(shop)
    side.console.fault("unknown_field", times=None)
    side.channel.create(order)
    side.console.pay(order.out_trade_no)
    assert side.channel.query(order.out_trade_no).state == TradeState.PAID
    assert [notice.kind for notice in notices] == [NoticeKind.PAYMENT]


def test_nobody_listens(side: Side) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/gateway.do"
        channel = type(side.channel)(side.channel._credentials, base_url=url, timeout=(1, 1))  # type: ignore[arg-type]
        with pytest.raises(Unknown) as caught:
            channel.query("RC0000000001")
    assert caught.value.cause == "connection"


# --- Refunds ------------------------------------------------------------------------------------------------


def test_a_refund_is_polled_until_done(side: Side) -> None:
    side.console("POST", "settings", slow_refunds=True)
    order = paid(side)
    refund = a_refund(order, "20.00")
    asked = side.channel.refund(refund)
    numbers = {"out_trade_no": refund.out_trade_no, "out_refund_no": refund.out_refund_no}
    assert (asked.state, asked.amount, asked.done_at) == (RefundState.PROCESSING, Decimal("20.00"), None)
    assert side.channel.query_refund(**numbers).state == RefundState.PROCESSING
    status = {"wechatpay": "SUCCESS", "alipay": "REFUND_SUCCESS"}[side.name]
    side.console(
        "POST",
        "refunds",
        out_refund_no=refund.out_refund_no,
        status=status,
        at=REFUNDED_AT.isoformat(),
        notify="no",
    )
    done = side.channel.query_refund(**numbers)
    assert done == Refund(
        **numbers,
        state=RefundState.DONE,
        amount=Decimal("20.00"),
        channel_refund_no=asked.channel_refund_no,
        done_at=REFUNDED_AT,
    )
    trade = side.channel.query(order.out_trade_no)
    assert (trade.paid, trade.amount) == (True, Decimal("50.00"))


def test_refunds_in_parts_end_at_the_payment(side: Side) -> None:
    order = paid(side)
    side.channel.refund(a_refund(order, "20.00", "1"))
    side.channel.refund(a_refund(order, "29.99", "2"))
    with pytest.raises(Refused):
        side.channel.refund(a_refund(order, "0.02", "3"))
    side.channel.refund(a_refund(order, "0.01", "4"))
    assert side.channel.query(order.out_trade_no).state == TradeState.REFUNDED
    assert len(side.console.state()["refunds"]) == 3


def test_a_refund_number_with_another_amount_is_refused(side: Side) -> None:
    order = paid(side)
    side.channel.refund(a_refund(order, "20.00"))
    with pytest.raises(Refused):
        side.channel.refund(a_refund(order, "21.00"))


def test_a_refund_of_an_unpaid_order_is_refused(side: Side) -> None:
    order = an_order()
    side.channel.create(order)
    with pytest.raises(Refused):
        side.channel.refund(a_refund(order, "20.00"))


def test_a_merchant_without_money_keeps_the_refund_for_later(side: Side) -> None:
    order = paid(side)
    side.console("POST", "settings", balance=side.amount("19.99"))
    with pytest.raises(BalanceShort):
        side.channel.refund(a_refund(order, "20.00"))
    side.console("POST", "settings", balance=side.amount("20.00"))
    side.channel.refund(a_refund(order, "20.00"))
    [refund] = side.console.state()["refunds"]
    assert refund["out_refund_no"] == f"RF{order.out_trade_no}_1"


# --- Notices ------------------------------------------------------------------------------------------------


def test_a_notice_sent_twice_has_one_event(side: Side, shop: Shop) -> None:
    notices = shop.serve(side.channel)
    order = an_order(shop)
    side.channel.create(order)
    side.console.fault("duplicate_callback", "notice")
    side.console.pay(order.out_trade_no)
    side.console("POST", "announce", out_trade_no=order.out_trade_no)
    assert len(notices) == 3
    assert len({notice.event_id for notice in notices}) == 1


def test_notices_out_of_order(side: Side, shop: Shop) -> None:
    notices = shop.serve(side.channel)
    first, second = an_order(shop), an_order(shop)
    for order in (first, second):
        side.channel.create(order)
    side.console.fault("callback_out_of_order", "notice")
    side.console.pay(first.out_trade_no)
    assert notices == []
    side.console.pay(second.out_trade_no)
    assert [notice.trade.out_trade_no for notice in notices if notice.trade] == [
        second.out_trade_no,
        first.out_trade_no,
    ]


def test_a_forged_notice_is_refused_and_the_next_one_accepted(side: Side, shop: Shop) -> None:
    notices = shop.serve(side.channel)
    order = an_order(shop)
    side.channel.create(order)
    side.console.fault("bad_signature", "notice")
    side.console.pay(order.out_trade_no)
    assert notices == []
    [refused] = side.console.state()["deliveries"]
    assert (refused["accepted"], refused["status"]) == (False, side.channel.notice_refused.status)
    side.console("POST", "announce", out_trade_no=order.out_trade_no)
    assert [notice.kind for notice in notices] == [NoticeKind.PAYMENT]


def test_every_changed_byte_of_a_notice_is_noticed(side: Side, shop: Shop) -> None:
    shop.serve(side.channel)
    order = an_order(shop)
    side.channel.create(order)
    side.console.pay(order.out_trade_no)
    [(headers, body)] = shop.received
    assert side.channel.parse_notice(headers, body).kind == NoticeKind.PAYMENT
    for at in range(0, len(body), 7):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        with pytest.raises(BadSignature):
            side.channel.parse_notice(headers, changed)


def test_a_wrong_amount_is_told_apart(side: Side, shop: Shop) -> None:
    notices = shop.serve(side.channel)
    order = an_order(shop)
    side.channel.create(order)
    side.console.pay(order.out_trade_no, amount=side.amount("0.01"))
    [notice] = notices
    assert notice.trade is not None
    assert notice.trade.amount == Decimal("0.01")
    with pytest.raises(Mismatch, match="amount"):
        notice.trade.must_pay(out_trade_no=order.out_trade_no, amount=order.amount)
    with pytest.raises(Mismatch, match="out_trade_no"):
        notice.trade.must_pay(out_trade_no="RC9999999999", amount=Decimal("0.01"))
    notice.trade.must_pay(out_trade_no=order.out_trade_no, amount=Decimal("0.01"))


def test_an_unpaid_trade_pays_nothing(side: Side) -> None:
    order = an_order()
    side.channel.create(order)
    with pytest.raises(Mismatch, match="state"):
        side.channel.query(order.out_trade_no).must_pay(out_trade_no=order.out_trade_no, amount=order.amount)


def test_a_late_payment_of_a_closed_order_is_seen(side: Side, shop: Shop) -> None:
    notices = shop.serve(side.channel)
    order = an_order(shop)
    side.channel.create(order)
    side.channel.close(order.out_trade_no)
    side.console.pay(order.out_trade_no, force=True)
    assert [notice.kind for notice in notices] == [NoticeKind.PAYMENT]
    assert side.channel.query(order.out_trade_no).paid


# --- Bills --------------------------------------------------------------------------------------------------


def test_a_bill_becomes_rows(side: Side) -> None:
    first = paid(side)
    trade_no = side.channel.query(first.out_trade_no).channel_trade_no
    side.console("POST", "settings", slow_refunds=True)
    refund = a_refund(first, "20.00")
    asked = side.channel.refund(refund)
    status = {"wechatpay": "SUCCESS", "alipay": "REFUND_SUCCESS"}[side.name]
    side.console(
        "POST",
        "refunds",
        out_refund_no=refund.out_refund_no,
        status=status,
        at=REFUNDED_AT.isoformat(),
        notify="no",
    )
    paid(side, at=(PAID_AT + timedelta(days=1)).isoformat())  # the next day's
    assert side.channel.download_bill(DAY) == [
        BillRow(
            kind=BillKind.PAYMENT,
            out_trade_no=first.out_trade_no,
            channel_trade_no=trade_no,
            amount=Decimal("50.00"),
            fee=Decimal("0.30"),
            at=PAID_AT,
        ),
        BillRow(
            kind=BillKind.REFUND,
            out_trade_no=first.out_trade_no,
            channel_trade_no=trade_no,
            amount=Decimal("20.00"),
            fee=Decimal("-0.12"),
            at=REFUNDED_AT,
            out_refund_no=refund.out_refund_no,
            channel_refund_no=asked.channel_refund_no,
        ),
    ]


def test_a_day_without_trades_has_an_empty_bill(side: Side) -> None:
    assert side.channel.download_bill(DAY - timedelta(days=1)) == []


def test_todays_bill_is_refused(side: Side) -> None:
    with pytest.raises(Refused):
        side.channel.download_bill(now().date())


# --- Secrets ------------------------------------------------------------------------------------------------


def test_credentials_show_no_secret(side: Side) -> None:
    credentials = side.channel._credentials
    text = repr(credentials)
    assert credentials.app_id in text
    assert credentials.private_key.splitlines()[1] not in text
    if isinstance(credentials, WechatPayCredentials):
        assert credentials.api_v3_key not in text
