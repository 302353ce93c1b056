"""What is WeChat Pay's alone: signatures in both modes, keys that change, sealed notices, refusals."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from apps.common.time import now
from apps.wallet.channels.base import (
    BadSignature,
    Mismatch,
    NotConfigured,
    NoticeKind,
    RefundState,
    Refused,
    TradeState,
    Unknown,
    UnknownKey,
)
from apps.wallet.channels.wechatpay import WechatPay, WechatPayCredentials
from sandbox import wechatpay
from sandbox.provider import Reply, Request, Server
from sandbox.provider import now as sandbox_now
from sandbox.rsa import KeyPair, verifies
from tests.apps.wallet.channels.test_contract import a_refund, an_order
from tests.apps.wallet.conftest import TIMEOUT, Console, Shop

Sandbox = tuple[wechatpay.WechatPay, Server]


@pytest.fixture
def fresh() -> Iterator[Sandbox]:
    """A platform of its own, for tests that change its keys."""
    provider = wechatpay.WechatPay()
    with Server(provider) as server:
        yield provider, server


def a_channel(issued: dict[str, Any], server: Server, **changes: Any) -> WechatPay:
    return WechatPay(WechatPayCredentials(**(issued | changes)), base_url=server.url, timeout=TIMEOUT)


def a_notice(channel: WechatPay, console: Console, shop: Shop) -> tuple[dict[str, str], bytes]:
    """The raw notice of a payment of 50 yuan."""
    order = an_order(shop)
    channel.create(order)
    console.pay(order.out_trade_no)
    return shop.received[-1]


# --- Signatures ---------------------------------------------------------------------------------------------


def test_the_phone_is_given_a_signature_of_what_it_shows(
    wechatpay_channel: WechatPay, wechatpay_server: Sandbox
) -> None:
    params = dict(wechatpay_channel.create(an_order()).client_params)
    assert set(params) == {"appId", "timeStamp", "nonceStr", "package", "signType", "paySign"}
    assert (params["signType"], params["package"][:12]) == ("RSA", "prepay_id=wx")
    text = f"{params['appId']}\n{params['timeStamp']}\n{params['nonceStr']}\n{params['package']}\n"
    merchant = wechatpay_server[0].merchants[wechatpay_channel._credentials.merchant_no]
    assert verifies(merchant.public_pem, base64.b64decode(params["paySign"]), text.encode())


def test_the_round_trip_of_one_payment(fresh: Sandbox, shop: Shop) -> None:
    """Fresh keys on both sides, APIv3 key k×32: prepay, notice, refund, its query and notice, closing (no body)."""
    provider, server = fresh
    channel = a_channel(provider.issue(api_v3_key="k" * 32), server)
    console = Console(server.url)
    notices = shop.serve(channel)
    order = an_order(shop)
    channel.create(order)
    console.pay(order.out_trade_no)
    refund = dataclasses.replace(a_refund(order, "20.00"), notify_url=shop.url)
    assert channel.refund(refund).state == RefundState.PROCESSING
    console("POST", "refunds", out_refund_no=refund.out_refund_no, status="SUCCESS")
    done = channel.query_refund(out_trade_no=order.out_trade_no, out_refund_no=refund.out_refund_no)
    assert (done.state, done.amount) == (RefundState.DONE, Decimal("20.00"))
    assert [notice.kind for notice in notices] == [NoticeKind.PAYMENT, NoticeKind.REFUND]
    assert notices[1].refund == done
    unpaid = an_order(shop)
    channel.create(unpaid)
    channel.close(unpaid.out_trade_no)
    assert channel.query(unpaid.out_trade_no).state == TradeState.CLOSED


@pytest.mark.parametrize("change", ["private_key", "certificate_serial", "merchant_no"])
def test_a_wrong_signature_of_ours_is_a_refusal(
    change: str, wechatpay_issued: dict[str, Any], wechatpay_server: Sandbox
) -> None:
    wrong = {
        "private_key": KeyPair.make().private_pem,
        "certificate_serial": "5" + "0" * 39,
        "merchant_no": "1900099999",
    }
    channel = a_channel(wechatpay_issued, wechatpay_server[1], **{change: wrong[change]})
    with pytest.raises(Refused) as caught:
        channel.query("RC0000000001")
    assert caught.value.code == "SIGN_ERROR"


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_clock_that_is_wrong(
    minutes: int, wechatpay_channel: WechatPay, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(wechatpay, "now", lambda: sandbox_now() + timedelta(minutes=minutes))
        with pytest.raises(Refused) as caught:
            wechatpay_channel.query("RC0000000001")
    assert caught.value.code == "SIGN_ERROR"
    with time_machine.travel(now() + timedelta(minutes=minutes), tick=False):
        answer = wechatpay_channel._send("query", "GET", "/v3/pay/transactions/out-trade-no/RC1?mchid=1")
    with pytest.raises(BadSignature, match="timestamp"):
        wechatpay_channel._verify(answer.headers, answer.body, now())


def test_an_answer_without_a_signature_is_not_believed(
    wechatpay_channel: WechatPay, wechatpay_server: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"prepay_id": "wx1"}'
    monkeypatch.setattr(
        wechatpay_server[0],
        "answer",
        lambda request, **_: Reply(200, body, {"Content-Type": "application/json"}),
    )
    with pytest.raises(BadSignature):
        wechatpay_channel.create(an_order())


@pytest.mark.parametrize(
    ("answered", "cause"),
    [
        ((200, b"[]"), "malformed: json"),
        ((200, b"{not json"), "malformed: json"),
        ((200, b'{"prepay": "wx1"}'), "malformed: prepay_id"),
        ((200, b'{"prepay_id": 1}'), "malformed: prepay_id"),
        ((302, b""), "http_302"),
        ((404, b"<html>no such page</html>"), "http_404"),
        ((403, b'{"message": "blocked"}'), "http_403"),
        ((503, b'{"code": "PARAM_ERROR", "message": ""}'), "http_503"),
        ((400, b'{"code": "BANK_ERROR", "message": ""}'), "BANK_ERROR"),
        ((200, b" " * (1 << 20) + b" "), "too_long"),
    ],
)
def test_an_answer_that_is_none_leaves_the_outcome_unknown(
    answered: tuple[int, bytes],
    cause: str,
    wechatpay_channel: WechatPay,
    wechatpay_server: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider, (status, body) = wechatpay_server[0], answered

    def answer(request: Request, **_: Any) -> Reply:
        return Reply(status, body, provider._signature(*provider._signer(request), body, bad=False))

    monkeypatch.setattr(provider, "answer", answer)
    with pytest.raises(Unknown) as caught:
        wechatpay_channel.create(an_order())
    assert (type(caught.value), caught.value.cause) == (Unknown, cause)


def test_an_answer_about_another_order_is_a_mismatch(
    wechatpay_channel: WechatPay, wechatpay_server: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WeChat signs time, nonce and body, so a genuine answer could be given to another question."""
    mine, others = an_order(), an_order()
    for order in (mine, others):
        wechatpay_channel.create(order)
    provider = wechatpay_server[0]
    content = provider._order_content(
        next(o for o in provider.orders.values() if o.out_trade_no == others.out_trade_no)
    )
    for name, changed in (
        ("out_trade_no", content),
        ("mchid", content | {"mchid": "1900099999"}),
        ("appid", content | {"appid": "wx0"}),
        ("currency", content | {"amount": {"total": 5000, "currency": "HKD"}}),
    ):
        body = json.dumps(changed).encode()
        monkeypatch.setattr(
            provider,
            "answer",
            lambda request, body=body, **_: Reply(
                200, body, provider._signature(*provider._signer(request), body, bad=False)
            ),
        )
        with pytest.raises(Mismatch) as caught:
            wechatpay_channel.query(mine.out_trade_no)
        assert caught.value.field == name


@pytest.mark.parametrize("name", ["out_refund_no", "out_trade_no", "amount"])
def test_an_answer_about_another_refund_is_a_mismatch(
    name: str,
    wechatpay_channel: WechatPay,
    wechatpay_server: Sandbox,
    wechatpay_console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = an_order()
    wechatpay_channel.create(order)
    wechatpay_console.pay(order.out_trade_no, notify="no")
    provider, genuine = wechatpay_server[0], wechatpay_server[0]._refund_content
    others = {"amount": {"refund": 1999, "total": 5000, "currency": "CNY"}}.get(name, "RC_OTHER")
    monkeypatch.setattr(
        provider, "_refund_content", lambda refund, status: genuine(refund, status) | {name: others}
    )
    with pytest.raises(Mismatch) as caught:
        wechatpay_channel.refund(a_refund(order, "20.00"))
    assert caught.value.field == name


# --- Keys that change ---------------------------------------------------------------------------------------


def test_certificate_mode(fresh: Sandbox, shop: Shop) -> None:
    provider, server = fresh
    channel = a_channel(provider.issue(certificates=True), server)
    notices = shop.serve(channel)
    a_notice(channel, Console(server.url), shop)
    assert [notice.kind for notice in notices] == [NoticeKind.PAYMENT]
    assert channel._credentials.public_key_id == ""


def test_a_new_certificate_is_fetched_and_stands_beside_the_old(fresh: Sandbox) -> None:
    provider, server = fresh
    issued = provider.issue(certificates=True)
    old = a_channel(issued, server)
    serial = Console(server.url)("POST", "rotate", key="certificate")["id"]
    with pytest.raises(UnknownKey):
        old.query("RC0000000001")
    found = old.platform_certificates()
    assert set(found) == {*issued["platform_keys"], serial}
    both = a_channel(issued, server, platform_keys=issued["platform_keys"] | found)
    assert both.query("RC0000000001").state == TradeState.NOT_FOUND


def test_the_first_certificates_are_proved_by_the_api_key(fresh: Sandbox) -> None:
    provider, server = fresh
    issued = provider.issue(certificates=True)
    blank = a_channel(issued, server, platform_keys={})
    assert blank.platform_certificates() == issued["platform_keys"]
    with pytest.raises(NotConfigured, match="api_v3_key"):
        a_channel(issued, server, api_v3_key="x" * 32).platform_certificates()
    Console(server.url).fault("bad_signature", "/v3/certificates")
    with pytest.raises(BadSignature):
        blank.platform_certificates()


def test_a_merchant_with_a_public_key_has_no_certificates(wechatpay_channel: WechatPay) -> None:
    with pytest.raises(Refused) as caught:
        wechatpay_channel.platform_certificates()
    assert caught.value.code == "RESOURCE_NOT_EXISTS"


def test_while_a_merchant_changes_modes_notices_come_in_either(fresh: Sandbox, shop: Shop) -> None:
    provider, server = fresh
    issued, console = provider.issue(), Console(server.url)
    certificate = provider.certificates[-1]
    keys = issued["platform_keys"] | {certificate.serial: certificate.certificate_pem}
    only, both = a_channel(issued, server), a_channel(issued, server, platform_keys=keys)
    console("POST", "settings", notice_key="certificate")
    headers, body = a_notice(both, console, shop)
    assert both.parse_notice(headers, body).kind == NoticeKind.PAYMENT
    with pytest.raises(UnknownKey):
        only.parse_notice(headers, body)
    console("POST", "settings", notice_key="public_key")
    headers, body = a_notice(both, console, shop)
    assert both.parse_notice(headers, body).kind == NoticeKind.PAYMENT


def test_a_new_public_key_stands_beside_the_old(fresh: Sandbox, shop: Shop) -> None:
    provider, server = fresh
    issued, console = provider.issue(), Console(server.url)
    old = a_channel(issued, server)
    new = console("POST", "rotate", key="public_key")
    keys = issued["platform_keys"] | {new["id"]: new["public_key"]}
    both = a_channel(issued, server, platform_keys=keys, public_key_id=new["id"])
    assert old.query("RC0000000001").state == TradeState.NOT_FOUND  # answered with the key that it asks for
    headers, body = a_notice(both, console, shop)
    assert both.parse_notice(headers, body).kind == NoticeKind.PAYMENT
    with pytest.raises(UnknownKey):
        old.parse_notice(headers, body)


def test_an_expired_certificate_signs_nothing(fresh: Sandbox) -> None:
    provider, server = fresh
    provider.certificates = [KeyPair.make("old", days=0)]
    issued = provider.issue(certificates=True)
    channel = a_channel(issued, server)
    with pytest.raises(BadSignature, match="signature"):
        channel.query("RC0000000001")


# --- Notices ------------------------------------------------------------------------------------------------


def test_a_notice_counts_for_five_minutes(
    wechatpay_channel: WechatPay, wechatpay_console: Console, shop: Shop
) -> None:
    headers, body = a_notice(wechatpay_channel, wechatpay_console, shop)
    sent = int(next(v for k, v in headers.items() if k.lower() == "wechatpay-timestamp"))
    for seconds, good in ((-301, False), (-300, True), (300, True), (301, False), (86400, False)):
        at = now().fromtimestamp(sent + seconds, tz=now().tzinfo)
        if good:
            assert wechatpay_channel.parse_notice(headers, body, received_at=at).kind == NoticeKind.PAYMENT
        else:
            with pytest.raises(BadSignature, match="timestamp"):
                wechatpay_channel.parse_notice(headers, body, received_at=at)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Wechatpay-Serial", "PUB_KEY_ID_0000000000"),
        ("Wechatpay-Serial", ""),
        ("Wechatpay-Signature", ""),
        ("Wechatpay-Signature", "not base64"),
        ("Wechatpay-Signature", "WECHATPAY/SIGNTEST/" + "A" * 325),
        ("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3"),
        ("Wechatpay-Timestamp", ""),
        ("Wechatpay-Timestamp", "1e9"),
        ("Wechatpay-Timestamp", "９９９"),
        ("Wechatpay-Nonce", "other"),
    ],
)
def test_a_notice_with_another_header_is_refused(
    name: str, value: str, wechatpay_channel: WechatPay, wechatpay_console: Console, shop: Shop
) -> None:
    headers, body = a_notice(wechatpay_channel, wechatpay_console, shop)
    changed = {k: v for k, v in headers.items() if k.lower() != name.lower()}
    with pytest.raises(BadSignature):
        wechatpay_channel.parse_notice(changed | {name: value}, body)
    if name != "Wechatpay-Signature-Type":
        with pytest.raises(BadSignature):
            wechatpay_channel.parse_notice(changed, body)


def test_wechats_own_probe_is_refused_like_any_other(
    wechatpay_channel: WechatPay, wechatpay_console: Console, shop: Shop
) -> None:
    notices = shop.serve(wechatpay_channel)
    wechatpay_console("POST", "settings", probe=True)
    wechatpay_console.fault("bad_signature", "notice")
    headers, _ = a_notice(wechatpay_channel, wechatpay_console, shop)
    assert next(v for k, v in headers.items() if k.lower() == "wechatpay-signature").startswith(
        "WECHATPAY/SIGNTEST/"
    )
    [delivery] = wechatpay_console.state()["deliveries"]
    assert (notices, delivery["status"]) == ([], 401)
    assert json.loads(delivery["answer"])["code"] == "FAIL"


def test_a_notice_of_another_merchant(fresh: Sandbox, shop: Shop) -> None:
    """The platform signs for everybody; the APIv3 key tells merchants apart, and then the numbers inside do."""
    provider, server = fresh
    console = Console(server.url)
    mine, others = provider.issue(api_v3_key="k" * 32), provider.issue(api_v3_key="q" * 32)
    headers, body = a_notice(a_channel(others, server), console, shop)
    with pytest.raises(NotConfigured, match="api_v3_key"):
        a_channel(mine, server).parse_notice(headers, body)
    with pytest.raises(Mismatch, match="mchid"):
        a_channel(mine, server, api_v3_key="q" * 32).parse_notice(headers, body)
    with pytest.raises(Mismatch, match="appid"):
        a_channel(others, server, app_id=mine["app_id"]).parse_notice(headers, body)


def test_a_notice_about_something_else_is_accepted_and_passed_over(
    wechatpay_channel: WechatPay, wechatpay_server: Sandbox
) -> None:
    provider = wechatpay_server[0]
    merchant = provider.merchants[wechatpay_channel._credentials.merchant_no]
    for event, kind in (
        ("PAYSCORE.USER_CONFIRM", "payscore"),
        ("TRANSACTION.SUCCESS", "profitsharing"),
        ("TRANSACTION.SUCCESS", "refund"),
    ):
        resource = wechatpay._sealed(merchant.api_v3_key, {"mchid": merchant.merchant_no}, kind)
        body = json.dumps(
            {"id": "E1", "event_type": event, "resource": resource | {"original_type": kind}}
        ).encode()
        headers = provider._signature(*provider.public_keys[-1], body, bad=False)
        notice = wechatpay_channel.parse_notice(headers, body)
        assert (notice.event_id, notice.kind, notice.trade, notice.refund) == (
            "E1",
            NoticeKind.OTHER,
            None,
            None,
        )


@pytest.mark.parametrize(
    "envelope",
    [
        b"",
        b"[]",
        b'{"id": "E1", "event_type": "TRANSACTION.SUCCESS"}',
        b'{"id": "E1", "event_type": "TRANSACTION.SUCCESS", "resource": {"algorithm": "AEAD_AES_256_GCM"}}',
        b'{"id": "1", "event_type": "X", "resource": {"algorithm": "AEAD_AES_256_GCM", "nonce": "n", "ciphertext": 1}}',
        b'{"id": "1", "event_type": "", "resource": {"algorithm": "AEAD_AES_256_GCM"}}',
        b'{"id": "E1", "event_type": "X", "resource": {"algorithm": "AEAD_SM4_GCM"}}',
    ],
)
def test_a_signed_notice_that_cannot_be_read(
    envelope: bytes, wechatpay_channel: WechatPay, wechatpay_server: Sandbox
) -> None:
    provider = wechatpay_server[0]
    headers = provider._signature(*provider.public_keys[-1], envelope, bad=False)
    with pytest.raises(Unknown, match="malformed"):
        wechatpay_channel.parse_notice(headers, envelope)


def test_the_notice_of_another_merchants_refund(
    wechatpay_channel: WechatPay, wechatpay_server: Sandbox, wechatpay_console: Console
) -> None:
    provider = wechatpay_server[0]
    api_v3_key = wechatpay_channel._credentials.api_v3_key
    resource = wechatpay._sealed(api_v3_key, {"mchid": "1900099999", "refund_status": "SUCCESS"}, "refund")
    body = json.dumps(
        {"id": "E1", "event_type": "REFUND.SUCCESS", "resource": resource | {"original_type": "refund"}}
    ).encode()
    headers = provider._signature(*provider.public_keys[-1], body, bad=False)
    with pytest.raises(Mismatch, match="mchid"):
        wechatpay_channel.parse_notice(headers, body)


# --- Refunds and bills --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"), [("ABNORMAL", RefundState.ABNORMAL), ("CLOSED", RefundState.CLOSED)]
)
def test_a_refund_that_does_not_arrive(
    status: str, state: RefundState, wechatpay_channel: WechatPay, wechatpay_console: Console, shop: Shop
) -> None:
    notices = shop.serve(wechatpay_channel)
    order = an_order(shop)
    wechatpay_channel.create(order)
    wechatpay_console.pay(order.out_trade_no, notify="no")
    refund = dataclasses.replace(a_refund(order, "20.00"), notify_url=shop.url)
    wechatpay_channel.refund(refund)
    wechatpay_console("POST", "refunds", out_refund_no=refund.out_refund_no, status=status)
    found = wechatpay_channel.query_refund(
        out_trade_no=order.out_trade_no, out_refund_no=refund.out_refund_no
    )
    assert (found.state, found.done_at) == (state, None)
    [notice] = notices
    assert (notice.kind, notice.refund) == (NoticeKind.REFUND, found)


def test_fifty_refunds_of_one_order_and_no_more(
    wechatpay_channel: WechatPay, wechatpay_console: Console
) -> None:
    order = an_order()
    wechatpay_channel.create(order)
    wechatpay_console.pay(order.out_trade_no, notify="no")
    for number in range(50):
        wechatpay_channel.refund(a_refund(order, "0.01", str(number)))
    with pytest.raises(Refused):
        wechatpay_channel.refund(a_refund(order, "0.01", "50"))


def test_a_payment_of_more_than_a_year_ago_is_not_refunded(
    wechatpay_channel: WechatPay, wechatpay_console: Console
) -> None:
    order = an_order()
    wechatpay_channel.create(order)
    paid_at = now() - wechatpay_channel.refund_window - timedelta(minutes=1)
    wechatpay_console.pay(order.out_trade_no, notify="no", at=paid_at.isoformat())
    with pytest.raises(Refused):
        wechatpay_channel.refund(a_refund(order, "0.01"))


def test_a_bill_with_another_hash_is_not_read(
    wechatpay_channel: WechatPay, wechatpay_server: Sandbox, wechatpay_console: Console
) -> None:
    order = an_order()
    wechatpay_channel.create(order)
    yesterday = now() - timedelta(days=1)
    wechatpay_console.pay(order.out_trade_no, notify="no", at=yesterday.isoformat())
    assert len(wechatpay_channel.download_bill(yesterday.date())) == 1
    provider = wechatpay_server[0]

    class Broken(dict[str, tuple[str, bytes]]):
        def __setitem__(self, token: str, bill: tuple[str, bytes]) -> None:
            super().__setitem__(token, (bill[0], bill[1][:-9]))

    provider._bills = Broken()
    with pytest.raises(Unknown, match="bill_gzip"):
        wechatpay_channel.download_bill(yesterday.date())

    class Other(dict[str, tuple[str, bytes]]):
        def __setitem__(self, token: str, bill: tuple[str, bytes]) -> None:
            super().__setitem__(token, (bill[0], b"\xe4\xba\xa4"))

    provider._bills = Other()
    with pytest.raises(Unknown, match="bill_hash"):
        wechatpay_channel.download_bill(yesterday.date())
    provider._bills = {}


# --- Configuration ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("app_id", ""),
        ("merchant_no", ""),
        ("certificate_serial", ""),
        ("private_key", ""),
        ("private_key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"),
        ("api_v3_key", "short"),
        ("public_key_id", "PUB_KEY_ID_OTHER"),
        ("platform_keys", {"PUB_KEY_ID_1": "nonsense"}),
        ("platform_keys", {"5F": KeyPair.make("someone").certificate_pem}),
    ],
)
def test_what_cannot_be_used_is_named(field: str, value: Any, wechatpay_issued: dict[str, Any]) -> None:
    changes = {field: value} | ({"public_key_id": ""} if field == "platform_keys" else {})
    with pytest.raises(NotConfigured) as caught:
        WechatPay(WechatPayCredentials(**(wechatpay_issued | changes)), base_url="http://127.0.0.1:1")
    assert caught.value.field.startswith(field)


def test_there_is_no_address_in_the_code(wechatpay_issued: dict[str, Any]) -> None:
    with pytest.raises(NotConfigured, match="base_url"):
        WechatPay(WechatPayCredentials(**wechatpay_issued), base_url="")
