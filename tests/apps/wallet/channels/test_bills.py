"""Layouts of bills that are known, and everything else is an error."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import datetime
from decimal import Decimal

import pytest

from apps.common.time import SHANGHAI
from apps.wallet.channels.base import BillKind, BillRow, RefundState, Unknown, UnknownBillLayout
from apps.wallet.channels.bills import alipay_rows, gunzipped, wechatpay_rows

WECHATPAY = """\
交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注
`2026-11-20 08:30:15,`wx01,`1900000001,`0,`,`4200000000000000000000000001,`RC0000000001,`openid,`JSAPI,`SUCCESS,`OTHERS,`CNY,`50.00,`0.00,`0,`0,`0.00,`0.00,`,`,`充值, 50元,`,`0.30000,`0.60%,`50.00,`0.00,`
`2026-11-20 21:05:00,`wx01,`1900000001,`0,`,`4200000000000000000000000001,`RC0000000001,`openid,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`5030000000000001,`RF0000000001,`20.05,`0.00,`ORIGINAL,`PROCESSING,`充值, 50元,`,`-0.12030,`0.60%,`0.00,`20.05,`
总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额
`2,`50.00,`20.05,`0.00,`0.17970,`50.00,`20.05
"""  # noqa: E501
ROWS = [
    BillRow(
        kind=BillKind.PAYMENT,
        out_trade_no="RC0000000001",
        channel_trade_no="4200000000000000000000000001",
        amount=Decimal("50.00"),
        fee=Decimal("0.30000"),
        at=datetime(2026, 11, 20, 8, 30, 15, tzinfo=SHANGHAI),
    ),
    BillRow(
        kind=BillKind.REFUND,
        out_trade_no="RC0000000001",
        channel_trade_no="4200000000000000000000000001",
        amount=Decimal("20.05"),
        fee=Decimal("-0.12030"),
        at=datetime(2026, 11, 20, 21, 5, tzinfo=SHANGHAI),
        out_refund_no="RF0000000001",
        channel_refund_no="5030000000000001",
        refund_state=RefundState.PROCESSING,
    ),
]


@pytest.mark.parametrize("text", [WECHATPAY, "\ufeff" + WECHATPAY.replace("\n", "\r\n")])
def test_wechats_rows(text: str) -> None:
    assert wechatpay_rows(text.encode(), merchant_no="1900000001") == ROWS


def test_wechats_columns_may_move() -> None:
    lines = WECHATPAY.splitlines()
    moved = [",".join(lines[0].split(",")[::-1])]
    moved += ["`" + ",`".join(line[1:].split(",`")[::-1]) for line in lines[1:3]]
    assert wechatpay_rows("\n".join(moved + lines[3:]).encode(), merchant_no="1900000001") == ROWS


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("商户订单号,", "", "columns missing: 商户订单号"),
        ("退款状态,", "状态,", "columns missing: 退款状态"),
        ("`ORIGINAL,`PROCESSING", "`ORIGINAL,`NEW", "line 3 has a refund of state NEW"),
        ("总交易单数,", "总数,", "summary missing: 总交易单数"),
        ("`JSAPI,`SUCCESS", "`JSAPI,`REVOKED", "line 2 has state REVOKED"),
        ("`CNY,`50.00", "`USD,`50.00", "line 2 is of another merchant or currency"),
        ("`1900000001,`0,`,`42", "`1900000002,`0,`,`42", "line 2 is of another merchant or currency"),
        ("`2026-11-20 08:30:15,", "2026-11-20 08:30:15,", "line 2 has not 27 values"),
        ("`openid,", "", "line 2 has not 27 values"),
        ("`2026-11-20 08:30:15", "`2026/11/20", "line 2: "),
        ("`0.60%,`50.00", "`0.60%,`5e1", "line 2: "),
        ("`0.60%,`50.00", "`0.60%,`50.001", "line 2: "),
        ("`0.30000", "`free", "line 2: "),
        ("\n`2,`50.00", "\n`3,`50.00", "总交易单数: summary says 3, rows say 2"),
        ("50.00,`20.05\n", "50.00,`20.06\n", "申请退款总金额: summary says 20.06, rows say 20.05"),
    ],
)
def test_another_layout_of_wechat_is_an_error(old: str, new: str, said: str) -> None:
    assert old in WECHATPAY
    with pytest.raises(UnknownBillLayout) as caught:
        wechatpay_rows(WECHATPAY.replace(old, new, 1).encode(), merchant_no="1900000001")
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("SUCCESS", RefundState.DONE),
        ("CHANGE", RefundState.ABNORMAL),
        ("FAIL", RefundState.CLOSED),
    ],
)
def test_what_became_of_wechats_refunds(word: str, state: RefundState) -> None:
    text = WECHATPAY.replace("`PROCESSING", f"`{word}")
    assert wechatpay_rows(text.encode(), merchant_no="1900000001")[1].refund_state == state


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a,b\n", WECHATPAY.encode("gbk")])
def test_what_is_no_bill_of_wechat(content: bytes) -> None:
    with pytest.raises(UnknownBillLayout):
        wechatpay_rows(content, merchant_no="1900000001")


def test_gzip_is_undone_and_a_broken_one_is_unknown() -> None:
    packed = gzip.compress(WECHATPAY.encode())
    assert gunzipped(packed) == WECHATPAY.encode()
    assert gunzipped(WECHATPAY.encode()) == WECHATPAY.encode()
    for broken in (packed[:-4], packed[:-9] + b"\0" * 9, b"\x1f\x8b"):
        with pytest.raises(Unknown, match="bill_gzip"):
            gunzipped(broken)


ALIPAY = """\
#支付宝业务明细查询
#账号：[20880000000000010156]
#-----------------------------------------业务明细列表----------------------------------------
支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注
2026112022001\t,RC0000000001\t,交易,余额充值,2026-11-20 08:30:00,2026-11-20 08:30:15,,,,,dri***@example.com,50.00,50.00,0.00,0.00,0.00,0.00,0.00,,0.00,0.00,,-0.30,0.00,
2026112022001\t,RC0000000001\t,退款,余额充值,2026-11-20 08:30:00,2026-11-20 21:05:00,,,,,dri***@example.com,-20.05,-20.05,0.00,0.00,0.00,0.00,0.00,,0.00,0.00,RF0000000001\t,0.12,0.00,
#-----------------------------------------业务明细列表结束------------------------------------
#交易合计：1笔，商家实收共50.00元
"""  # noqa: E501


def zipped(*texts: str, encoding: str = "gbk") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, text in enumerate(texts):
            archive.writestr(f"{number}.csv", text.encode(encoding))
    return content.getvalue()


def test_alipays_rows() -> None:
    assert alipay_rows(zipped("#支付宝业务汇总查询\n门店编号,门店名称\n", ALIPAY)) == [
        BillRow(
            kind=BillKind.PAYMENT,
            out_trade_no="RC0000000001",
            channel_trade_no="2026112022001",
            amount=Decimal("50.00"),
            fee=Decimal("0.30"),
            at=datetime(2026, 11, 20, 8, 30, 15, tzinfo=SHANGHAI),
        ),
        BillRow(
            kind=BillKind.REFUND,
            out_trade_no="RC0000000001",
            channel_trade_no="2026112022001",
            amount=Decimal("20.05"),
            fee=Decimal("-0.12"),
            at=datetime(2026, 11, 20, 21, 5, tzinfo=SHANGHAI),
            out_refund_no="RF0000000001",
        ),
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("业务类型,", "", "columns missing: 业务类型"),
        ("业务明细列表结束", "", "details without an end"),
        ("支付宝交易号,", "交易号,", "no file with details"),
        (",交易,", ",转账,", "row 1 has kind 转账"),
        (",交易,", ",退款,", "row 1 has an amount of the wrong sign"),
        (",-20.05,-20.05,", ",20.05,20.05,", "row 2 has an amount of the wrong sign"),
        (",50.00,50.00,", ",5e1,5e1,", "row 1: "),
        (",-0.30,", ",,", "row 1: "),
        ("2026-11-20 08:30:15", "20 Nov", "row 1: "),
        ("dri***@example.com,", "", "row 1 has not 25 values"),
    ],
)
def test_another_layout_of_alipay_is_an_error(old: str, new: str, said: str) -> None:
    assert old in ALIPAY
    with pytest.raises(UnknownBillLayout) as caught:
        alipay_rows(zipped(ALIPAY.replace(old, new, 1)))
    assert str(caught.value).startswith(said)


def test_a_zip_of_alipay_that_is_none_or_tells_twice() -> None:
    whole = zipped(ALIPAY)
    for broken in (b"", b"PK", whole[:-40], b"<html>"):
        with pytest.raises(Unknown, match="bill_zip"):
            alipay_rows(broken)
    with pytest.raises(UnknownBillLayout, match="two files"):
        alipay_rows(zipped(ALIPAY, ALIPAY))
    with pytest.raises(UnknownBillLayout, match="no file"):
        alipay_rows(zipped())
