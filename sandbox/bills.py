"""Trade bills in the layouts of the providers, from plain rows."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

WECHATPAY_HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,"
    "费率,订单金额,申请退款金额,费率备注"
)
WECHATPAY_SUMMARY = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)
WECHATPAY_SUMMED = (12, 16, 17, 22, 24, 25)
ALIPAY_HEADER = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,"
    "卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
ALIPAY_SUMMARY = "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,服务费（元）,实收净额（元）"


@dataclass(frozen=True)
class Line:
    """One payment, or one refund of it."""

    at: datetime
    trade_no: str
    out_trade_no: str
    payer: str
    goods: str
    amount: Decimal
    out_refund_no: str = ""
    refund_no: str = ""
    refund_status: str = ""


def wechatpay_bill(lines: list[Line], *, app_id: str, merchant_no: str, rate: Decimal) -> bytes:
    """The text of a bill of kind ALL: every value behind a backtick, two lines of summary."""
    rows = []
    for line in lines:
        refund = bool(line.out_refund_no)
        paid, back = (Decimal("0.00"), line.amount) if refund else (line.amount, Decimal("0.00"))
        fee = (paid - back) * rate
        rows.append([
            line.at.strftime("%Y-%m-%d %H:%M:%S"), app_id, merchant_no, "0", "", line.trade_no, line.out_trade_no,
            line.payer, "JSAPI", "REFUND" if refund else "SUCCESS", "OTHERS", "CNY", str(paid), "0.00",
            line.refund_no if refund else "0", line.out_refund_no if refund else "0", str(back), "0.00",
            "ORIGINAL" if refund else "", line.refund_status, line.goods, "", f"{fee:.5f}", f"{rate:.2%}",
            str(paid), str(back), "",
        ])  # fmt: skip
    sums = [sum((Decimal(row[column]) for row in rows), Decimal("0.00")) for column in WECHATPAY_SUMMED]
    summary = [str(len(rows)), *map(str, sums)]
    texts = [WECHATPAY_HEADER]
    texts += [",".join(f"`{value}" for value in row) for row in rows]
    texts += [WECHATPAY_SUMMARY, ",".join(f"`{value}" for value in summary), ""]
    return "\r\n".join(texts).encode()


def alipay_bill(lines: list[Line], *, seller_id: str, day: date, rate: Decimal) -> bytes:
    """A ZIP of two GBK files: the details (业务明细), and the sums per shop, which nobody asked for."""
    details = [
        "#支付宝业务明细查询",
        f"#账号：[{seller_id}0156]",
        f"#起始日期：[{day:%Y年%m月%d日} 00:00:00]   终止日期：[{day:%Y年%m月%d日} 24:00:00]",
        "#-----------------------------------------业务明细列表----------------------------------------",
        ALIPAY_HEADER,
    ]
    for line in lines:
        refund = bool(line.out_refund_no)
        amount = -line.amount if refund else line.amount
        fee = (-amount * rate).quantize(Decimal("0.01"), ROUND_HALF_UP)
        moment = line.at.strftime("%Y-%m-%d %H:%M:%S")
        details.append(",".join([
            f"{line.trade_no}\t", f"{line.out_trade_no}\t", "退款" if refund else "交易", line.goods, moment, moment,
            "", "", "", "", "dri***@example.com", str(amount), str(amount), "0.00", "0.00", "0.00", "0.00", "0.00", "",
            "0.00", "0.00", f"{line.out_refund_no}\t" if refund else "", str(fee), "0.00", "",
        ]))  # fmt: skip
    refunds = sum(bool(line.out_refund_no) for line in lines)
    details += [
        "#-----------------------------------------业务明细列表结束------------------------------------",
        f"#交易合计：{len(lines) - refunds}笔，退款合计：{refunds}笔",
        f"#导出时间：[{day:%Y年%m月%d日} 09:00:00]",
        "",
    ]
    sums = ["#支付宝业务汇总查询", ALIPAY_SUMMARY, "#业务汇总列表结束", ""]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, texts in (("业务明细(汇总)", sums), ("业务明细", details)):
            archive.writestr(f"{seller_id}0156_{day:%Y%m%d}_{name}.csv", "\r\n".join(texts).encode("gbk"))
    return content.getvalue()
