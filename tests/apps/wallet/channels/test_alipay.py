"""What is Alipay's alone: the text that is signed, certificate mode, the notices of refunds, answers half done."""

from __future__ import annotations

import base64
import dataclasses
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from apps.common.time import now
from apps.wallet.channels.alipay import Alipay, AlipayCredentials, certificate_number, raw_nodes, sign_text
from apps.wallet.channels.base import (
    BadSignature,
    Mismatch,
    NotConfigured,
    NoticeKind,
    RefundState,
    Refused,
    TradeState,
    Unknown,
)
from apps.wallet.channels.wire import load_certificate
from sandbox import alipay
from sandbox.provider import Reply, Server
from sandbox.provider import now as sandbox_now
from sandbox.rsa import KeyPair
from tests.apps.wallet.channels.test_contract import a_refund, an_order
from tests.apps.wallet.conftest import TIMEOUT, Console, Shop

Sandbox = tuple[alipay.Alipay, Server]
UNSIGNED = (BadSignature, "answer without a signature")
FORGED = (BadSignature, "signature")


@pytest.fixture
def fresh() -> Iterator[Sandbox]:
    """A gateway of its own, for tests that change its keys."""
    provider = alipay.Alipay()
    with Server(provider) as server:
        yield provider, server


def a_channel(issued: dict[str, Any], server: Server, **changes: Any) -> Alipay:
    credentials = AlipayCredentials(**(issued | changes))
    return Alipay(credentials, base_url=f"{server.url}/gateway.do", timeout=TIMEOUT)


def a_notice(channel: Alipay, console: Console, shop: Shop) -> bytes:
    """The raw notice of a payment of 50 yuan."""
    order = an_order(shop)
    channel.create(order)
    console.pay(order.out_trade_no)
    return shop.received[-1][1]


def answering(
    monkeypatch: pytest.MonkeyPatch, provider: alipay.Alipay, body: bytes, status: int = 200
) -> None:
    monkeypatch.setattr(provider, "answer", lambda request, **_: Reply(status, body))


# --- The protocol's texts -----------------------------------------------------------------------------------


def test_the_text_that_is_signed_is_sorted_and_not_encoded() -> None:
    params = {"version": "1.0", "biz_content": '{"a":"充 值&="}', "app_id": "2021", "sign_type": "RSA2"}
    assert sign_text(params) == 'app_id=2021&biz_content={"a":"充 值&="}&sign_type=RSA2&version=1.0'


def test_nodes_keep_the_text_that_was_sent() -> None:
    body = '{ "a_response" : {"x": "}{\\"\\/", "y":[1,{"z":2}]} ,"n":1.50,"sign":"AB\\/=" }\n'
    nodes = raw_nodes(body.encode())
    assert {name: raw for name, (raw, _) in nodes.items()} == {
        "a_response": '{"x": "}{\\"\\/", "y":[1,{"z":2}]}',
        "n": "1.50",
        "sign": '"AB\\/="',
    }
    assert nodes["sign"][1] == "AB/="
    assert nodes["a_response"][1] == {"x": '}{"/', "y": [1, {"z": 2}]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'"{"',
        b"<html></html>",
        b'{"a": 1',
        b'{"a": 1,}',
        b'{"a": 1} x',
        b'{"a" 1}',
        b"{1: 1}",
        b'{"a": 1, "a": 2}',
        b'{"a": "\xff"}',
        b'{"a": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Unknown, match="malformed"):
        raw_nodes(body)


def test_the_number_of_a_certificate_is_worked_out_twice() -> None:
    pair = KeyPair.make("someone")
    assert certificate_number(load_certificate(pair.certificate_pem, "x")) == alipay.certificate_number(pair)
    assert len(alipay.certificate_number(pair)) == 32


# --- Payments and answers -----------------------------------------------------------------------------------


def test_the_phone_is_given_the_trade_number(alipay_channel: Alipay, alipay_console: Console) -> None:
    params = alipay_channel.create(an_order()).client_params
    [order] = alipay_console.state()["orders"]
    assert params == {"tradeNO": order["trade_no"]}
    assert order["content"]["total_amount"] == "50.00"


@pytest.mark.parametrize(
    ("payer", "field"),
    [("2088000000000017", "buyer_id"), ("074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsN", "buyer_open_id")],
)
def test_the_buyer_is_named_by_either_id(
    payer: str, field: str, alipay_channel: Alipay, alipay_console: Console
) -> None:
    order = an_order(payer=payer)
    alipay_channel.create(order)
    alipay_console.pay(order.out_trade_no, notify="no")
    assert alipay_channel.query(order.out_trade_no).payer == payer
    [row] = alipay_console.state()["orders"]
    assert row["content"][field] == payer


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"private_key": KeyPair.make().private_pem}, "isv.invalid-signature"),
        ({"app_id": "2021999999999999"}, "isv.invalid-app-id"),
    ],
)
def test_an_unsigned_refusal_of_the_gateway(
    change: dict[str, str], code: str, alipay_issued: dict[str, Any], alipay_server: Sandbox
) -> None:
    with pytest.raises(Refused) as caught:
        a_channel(alipay_issued, alipay_server[1], **change).query("RC0000000001")
    assert caught.value.code == code


def test_the_time_is_beijings(alipay_channel: Alipay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert alipay_channel.query("RC0000000001").state == TradeState.NOT_FOUND
    finally:
        monkeypatch.undo()
        time.tzset()
    monkeypatch.setattr(alipay, "now", lambda: sandbox_now() + timedelta(minutes=11))
    with pytest.raises(Refused) as caught:
        alipay_channel.query("RC0000000001")
    assert caught.value.code == "isv.invalid-timestamp"


def test_a_system_error_after_the_work_was_done(alipay_channel: Alipay, alipay_console: Console) -> None:
    order = an_order()
    alipay_console("POST", "settings", system_error=1)
    with pytest.raises(Unknown) as caught:
        alipay_channel.create(order)
    assert (type(caught.value), caught.value.cause) == (Unknown, "isp.unknow-error")
    assert alipay_channel.query(order.out_trade_no).state == TradeState.WAITING


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"alipay_trade_query_response":{"code":"10000","trade_status":"TRADE_SUCCESS"}}', UNSIGNED),
        (b'{"alipay_trade_query_response":{"code":"40004","sub_code":"ACQ.TRADE_NOT_EXIST"}}', UNSIGNED),
        (b'{"error_response":{"code":"10000"}}', UNSIGNED),
        (b'{"alipay_trade_query_response":{"code":"10000"},"sign":"AAAA"}', FORGED),
        (b'{"error_response":{"code":"40002","sub_code":"isv.x"},"sign":"AAAA"}', FORGED),
        (b'{"error_response":{"code":"20000"}}', (Unknown, "20000")),
        (b'{"error_response":{}}', (Unknown, "malformed: code")),
        (b'{"error_response":"no"}', (Unknown, "malformed: answer")),
        (b'{"alipay_trade_pay_response":{"code":"10000"},"sign":"AAAA"}', (Unknown, "malformed: answer")),
        (b"<html>", (Unknown, "malformed: json")),
    ],
)
def test_an_answer_that_is_not_believed(
    body: bytes,
    expected: tuple[type[Unknown], str],
    alipay_channel: Alipay,
    alipay_server: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(monkeypatch, alipay_server[0], body)
    with pytest.raises(Unknown) as caught:
        alipay_channel.query("RC0000000001")
    assert (type(caught.value), caught.value.cause) == expected


def test_a_signed_answer_about_another_order_is_a_mismatch(
    alipay_channel: Alipay, alipay_server: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, others = an_order(), an_order()
    alipay_channel.create(mine)
    alipay_channel.create(others)
    provider = alipay_server[0]
    row = provider.orders[alipay_channel._credentials.seller_id, others.out_trade_no]
    content = {"code": "10000", "msg": "Success"} | provider._query(row)
    reply = alipay._signed_reply("alipay_trade_query_response", content, provider.keys[-1])
    answering(monkeypatch, provider, reply.body)
    with pytest.raises(Mismatch, match="out_trade_no"):
        alipay_channel.query(mine.out_trade_no)


# --- Keys that change ---------------------------------------------------------------------------------------


def test_certificate_mode(fresh: Sandbox, shop: Shop) -> None:
    provider, server = fresh
    issued = provider.issue(certificates=True)
    channel = a_channel(issued, server)
    body = a_notice(channel, Console(server.url), shop)
    assert channel.parse_notice({}, body).kind == NoticeKind.PAYMENT
    without = a_channel(issued, server, app_certificate="", root_certificates="")
    with pytest.raises(Refused) as caught:
        without.query("RC0000000001")
    assert caught.value.code == "isv.app-cert-not-match"


def test_a_new_key_stands_beside_the_old(fresh: Sandbox, shop: Shop) -> None:
    provider, server = fresh
    issued, console = provider.issue(), Console(server.url)
    old = a_channel(issued, server)
    new = console("POST", "rotate")["public_key"]
    with pytest.raises(BadSignature):
        old.query("RC0000000001")
    both = a_channel(issued, server, alipay_keys=[*issued["alipay_keys"], new])
    assert both.query("RC0000000001").state == TradeState.NOT_FOUND
    body = a_notice(both, console, shop)
    assert both.parse_notice({}, body).kind == NoticeKind.PAYMENT


def test_keys_without_pem_as_alipays_tool_writes_them(
    alipay_issued: dict[str, Any], alipay_server: Sandbox, alipay_console: Console
) -> None:
    bare = {
        "private_key": "".join(alipay_issued["private_key"].splitlines()[1:-1]),
        "alipay_keys": ["".join(alipay_issued["alipay_keys"][0].splitlines()[1:-1])],
    }
    channel = a_channel(alipay_issued, alipay_server[1], **bare)
    assert channel.query("RC0000000001").state == TradeState.NOT_FOUND


# --- Notices ------------------------------------------------------------------------------------------------


def signed(provider: alipay.Alipay, params: dict[str, str]) -> bytes:
    """A form that this gateway signed."""
    plain = {name: value for name, value in params.items() if name not in {"sign", "sign_type"}}
    text = "&".join(f"{name}={value}" for name, value in sorted(plain.items()))
    sign = base64.b64encode(provider.keys[-1].sign(text.encode())).decode()
    return urlencode(plain | {"sign_type": "RSA2", "sign": sign}).encode()


def test_a_notice_counts_for_a_day_and_a_bit(
    alipay_channel: Alipay, alipay_console: Console, shop: Shop
) -> None:
    body = a_notice(alipay_channel, alipay_console, shop)
    assert alipay_channel.parse_notice({}, body, received_at=now() + timedelta(hours=25)).trade
    for shift in (timedelta(hours=27), timedelta(minutes=-6)):
        with pytest.raises(BadSignature, match="notify_time"):
            alipay_channel.parse_notice({}, body, received_at=now() + shift)


@pytest.mark.parametrize("field", ["app_id", "seller_id"])
def test_a_notice_of_another_merchant(
    field: str, alipay_channel: Alipay, alipay_server: Sandbox, alipay_console: Console, shop: Shop
) -> None:
    params = dict(parse_qsl(a_notice(alipay_channel, alipay_console, shop).decode()))
    with pytest.raises(Mismatch) as caught:
        alipay_channel.parse_notice({}, signed(alipay_server[0], params | {field: "2088999999999999"}))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "change",
    [
        {"trade_status": "TRADE_SOLD"},
        {"total_amount": "1e2"},
        {"total_amount": ""},
        {"out_trade_no": ""},
        {"notify_id": ""},
        {"gmt_payment": "yesterday"},
    ],
)
def test_a_signed_notice_that_cannot_be_read(
    change: dict[str, str],
    alipay_channel: Alipay,
    alipay_server: Sandbox,
    alipay_console: Console,
    shop: Shop,
) -> None:
    params = dict(parse_qsl(a_notice(alipay_channel, alipay_console, shop).decode()))
    with pytest.raises(Unknown, match="malformed"):
        alipay_channel.parse_notice({}, signed(alipay_server[0], params | change))


@pytest.mark.parametrize(
    "body",
    [b"", b"a", b"\xff=1", b"sign=A&sign=B", b"sign_type=RSA&sign=A", b"sign_type=RSA2", b"a=1&" * 300],
)
def test_a_form_that_is_no_notice(body: bytes, alipay_channel: Alipay) -> None:
    with pytest.raises(BadSignature):
        alipay_channel.parse_notice({}, body)


def test_a_field_given_twice_is_refused(alipay_channel: Alipay, alipay_console: Console, shop: Shop) -> None:
    body = a_notice(alipay_channel, alipay_console, shop)
    for more in (b"&total_amount=50.00", b"&total_amount=0.01"):
        with pytest.raises(BadSignature, match="form"):
            alipay_channel.parse_notice({}, body + more)


@pytest.mark.parametrize("amount", ["20.00", "50.00"])
def test_the_notice_of_a_refund_is_no_payment(
    amount: str, alipay_channel: Alipay, alipay_console: Console, shop: Shop
) -> None:
    notices = shop.serve(alipay_channel)
    alipay_console("POST", "settings", slow_refunds=True)
    order = an_order(shop)
    alipay_channel.create(order)
    alipay_console.pay(order.out_trade_no)
    refund = a_refund(order, amount)
    alipay_channel.refund(refund)
    alipay_console("POST", "refunds", out_refund_no=refund.out_refund_no, status="REFUND_SUCCESS")
    kinds = [notice.kind for notice in notices]
    assert kinds[0] == NoticeKind.PAYMENT
    assert set(kinds[1:]) == {NoticeKind.REFUND}
    last = notices[-1]
    assert last.trade is None
    assert last.refund is not None
    assert (last.refund.out_refund_no, last.refund.state, last.refund.amount) == (
        refund.out_refund_no,
        RefundState.PROCESSING,
        None,
    )
    found = alipay_channel.query_refund(out_trade_no=order.out_trade_no, out_refund_no=refund.out_refund_no)
    assert (found.state, found.amount) == (RefundState.DONE, Decimal(amount))


def test_a_notice_of_an_unpaid_trade_is_passed_over(
    alipay_channel: Alipay, alipay_server: Sandbox, alipay_console: Console, shop: Shop
) -> None:
    params = dict(parse_qsl(a_notice(alipay_channel, alipay_console, shop).decode()))
    del params["gmt_payment"]
    for status, state in (("WAIT_BUYER_PAY", TradeState.WAITING), ("TRADE_CLOSED", TradeState.CLOSED)):
        body = signed(alipay_server[0], params | {"trade_status": status})
        notice = alipay_channel.parse_notice({}, body)
        assert notice.trade is not None
        assert (notice.kind, notice.trade.state, notice.trade.paid) == (NoticeKind.OTHER, state, False)


# --- Refunds ------------------------------------------------------------------------------------------------


def test_a_refund_that_moved_money_is_done_and_its_repetition_polled(
    alipay_channel: Alipay, alipay_console: Console
) -> None:
    order = an_order()
    alipay_channel.create(order)
    alipay_console.pay(order.out_trade_no, notify="no")
    refund = a_refund(order, "20.00")
    first, second = alipay_channel.refund(refund), alipay_channel.refund(refund)
    assert (first.state, first.amount) == (RefundState.DONE, Decimal("20.00"))
    assert (second.state, second.amount) == (RefundState.PROCESSING, Decimal("20.00"))
    found = alipay_channel.query_refund(out_trade_no=order.out_trade_no, out_refund_no=refund.out_refund_no)
    assert found == first


def test_a_refund_that_never_arrived_is_not_found(alipay_channel: Alipay, alipay_console: Console) -> None:
    order = an_order()
    alipay_channel.create(order)
    alipay_console.pay(order.out_trade_no, notify="no")
    found = alipay_channel.query_refund(out_trade_no=order.out_trade_no, out_refund_no="RF1")
    assert found.state == RefundState.NOT_FOUND


@pytest.mark.parametrize(
    ("name", "field"), [("out_request_no", "out_refund_no"), ("out_trade_no", "out_trade_no")]
)
def test_a_signed_answer_about_another_refund_is_a_mismatch(
    name: str, field: str, alipay_channel: Alipay, alipay_server: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {
        "code": "10000",
        "out_trade_no": "RC0000000001",
        "out_request_no": "RF1",
        "refund_status": "REFUND_SUCCESS",
        "refund_amount": "20.00",
    }
    provider = alipay_server[0]

    def answer(changed: dict[str, str]) -> None:
        node = "alipay_trade_fastpay_refund_query_response"
        answering(
            monkeypatch, provider, alipay._signed_reply(node, content | changed, provider.keys[-1]).body
        )

    answer({})
    found = alipay_channel.query_refund(out_trade_no="RC0000000001", out_refund_no="RF1")
    assert found.state == RefundState.DONE
    answer({name: "OTHER"})
    with pytest.raises(Mismatch) as caught:
        alipay_channel.query_refund(out_trade_no="RC0000000001", out_refund_no="RF1")
    assert caught.value.field == field


# --- Bills --------------------------------------------------------------------------------------------------


def test_a_bill_link_that_is_too_old(
    alipay_channel: Alipay, alipay_server: Sandbox, alipay_console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = an_order()
    alipay_channel.create(order)
    yesterday = now() - timedelta(days=1)
    alipay_console.pay(order.out_trade_no, notify="no", at=yesterday.isoformat())
    assert len(alipay_channel.download_bill(yesterday.date())) == 1
    monkeypatch.setattr(alipay, "BILL_LIFE", timedelta(seconds=-1))
    with pytest.raises(Unknown, match="http_403"):
        alipay_channel.download_bill(yesterday.date())


# --- Configuration ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("app_id", ""),
        ("seller_id", ""),
        ("private_key", "MIIE"),
        ("alipay_keys", []),
        ("alipay_keys", ["nonsense"]),
        ("app_certificate", "x"),
    ],
)
def test_what_cannot_be_used_is_named(field: str, value: Any, alipay_issued: dict[str, Any]) -> None:
    named = {"app_certificate": "root_certificates"}.get(field, field)
    with pytest.raises(NotConfigured) as caught:
        Alipay(AlipayCredentials(**(alipay_issued | {field: value})), base_url="http://127.0.0.1:1")
    assert caught.value.field.startswith(named)


def test_there_is_no_address_in_the_code(alipay_issued: dict[str, Any]) -> None:
    with pytest.raises(NotConfigured, match="base_url"):
        Alipay(AlipayCredentials(**alipay_issued), base_url="")


def test_the_answer_to_a_notice_is_exactly_success(alipay_channel: Alipay) -> None:
    assert dataclasses.astuple(alipay_channel.notice_accepted) == (200, "text/plain", b"success")
    assert dataclasses.astuple(alipay_channel.notice_refused) == (400, "text/plain", b"fail")
