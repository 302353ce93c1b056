"""Trade bills (交易账单) of the providers, from their files to rows.

Columns are found by name. A layout that is not known is an error, never a guess: reconciliation would otherwise report
differences that are none, or none where there are some.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from apps.common.money import AmountError, parse_decimal
from apps.common.time import SHANGHAI
from apps.wallet.channels.base import BillKind, BillRow, RefundState, Unknown, UnknownBillLayout

BILL_LIMIT = 256 << 20

_WECHATPAY_COLUMNS = {
    "交易时间", "商户号", "微信订单号", "商户订单号", "交易状态", "货币种类", "微信退款单号", "商户退款单号", "手续费",
    "订单金额", "申请退款金额", "退款状态",
}  # fmt: skip
_WECHATPAY_REFUNDS = {
    "SUCCESS": RefundState.DONE,
    "PROCESSING": RefundState.PROCESSING,
    "ABNORMAL": RefundState.ABNORMAL,
    "CHANGE": RefundState.ABNORMAL,
    "FAIL": RefundState.CLOSED,
    "CLOSED": RefundState.CLOSED,
}
"""退款状态 of a refund's line; a refund is listed on the day of its application, whatever became of it."""
_WECHATPAY_SUMMARY = {"总交易单数", "申请退款总金额"}
_ALIPAY_COLUMNS = {
    "支付宝交易号", "商户订单号", "业务类型", "完成时间", "订单金额（元）", "退款批次号/请求号", "服务费（元）",
}  # fmt: skip
_ALIPAY_END = "业务明细列表结束"


# --- WeChat Pay ---


def gunzipped(content: bytes) -> bytes:
    """The plain bytes of what may be gzip. Raises Unknown for a broken one, and beyond 256 MiB."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    reader = zlib.decompressobj(wbits=31)
    try:
        plain = reader.decompress(content, BILL_LIMIT)
    except zlib.error as error:
        raise Unknown("bill_gzip") from error
    if not reader.eof:
        raise Unknown("bill_gzip")
    return plain


def wechatpay_rows(content: bytes, *, merchant_no: str) -> list[BillRow]:
    """Read WeChat's trade bill (交易账单, bill_type ALL): every value stands behind a backtick, a summary ends it.

    The summary's number of rows and sum of refunds must be those of the rows. Raises UnknownBillLayout.
    """
    try:
        lines = [line for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise UnknownBillLayout("bill is not UTF-8") from error
    if len(lines) < 3:
        raise UnknownBillLayout("bill has fewer than three lines")
    header, names = lines[0].split(","), lines[-2].split(",")
    if missing := _WECHATPAY_COLUMNS - set(header):
        raise UnknownBillLayout(f"columns missing: {', '.join(sorted(missing))}")
    if missing := _WECHATPAY_SUMMARY - set(names):
        raise UnknownBillLayout(f"summary missing: {', '.join(sorted(missing))}")
    rows = [
        _wechatpay_row(_cells(line, header, number), number, merchant_no)
        for number, line in enumerate(lines[1:-2], start=2)
    ]
    summary = _cells(lines[-1], names, len(lines))
    sums = {
        "总交易单数": Decimal(len(rows)),
        "申请退款总金额": sum((row.amount for row in rows if row.kind == BillKind.REFUND), Decimal(0)),
    }
    for name, value in sums.items():
        if _decimal(summary[name], len(lines)) != value:
            raise UnknownBillLayout(f"{name}: summary says {summary[name]}, rows say {value}")
    return rows


def _cells(line: str, names: Sequence[str], number: int) -> dict[str, str]:
    # Values may hold commas (names of goods), and nothing is quoted: the backtick is the separator's second half.
    values = line.removeprefix("`").split(",`")
    if not line.startswith("`") or len(values) != len(names):
        raise UnknownBillLayout(f"line {number} has not {len(names)} values")
    return dict(zip(names, values, strict=True))


def _wechatpay_row(cells: Mapping[str, str], number: int, merchant_no: str) -> BillRow:
    if cells["商户号"] != merchant_no or cells["货币种类"] != "CNY":
        raise UnknownBillLayout(f"line {number} is of another merchant or currency")
    kinds = {"SUCCESS": BillKind.PAYMENT, "REFUND": BillKind.REFUND}
    kind = kinds.get(cells["交易状态"])
    if kind is None:
        raise UnknownBillLayout(f"line {number} has state {cells['交易状态']}")
    refund = kind == BillKind.REFUND
    refund_state = _WECHATPAY_REFUNDS.get(cells["退款状态"]) if refund else RefundState.DONE
    if refund_state is None:
        raise UnknownBillLayout(f"line {number} has a refund of state {cells['退款状态']}")
    try:
        at = datetime.strptime(cells["交易时间"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
        amount = parse_decimal(cells["申请退款金额" if refund else "订单金额"], 2)
    except ValueError as error:
        raise UnknownBillLayout(f"line {number}: {error}") from error
    return BillRow(
        kind=kind,
        out_trade_no=cells["商户订单号"],
        channel_trade_no=cells["微信订单号"],
        amount=amount,
        fee=_decimal(cells["手续费"], number),
        at=at,
        out_refund_no=cells["商户退款单号"] if refund else "",
        channel_refund_no=cells["微信退款单号"] if refund else "",
        refund_state=refund_state,
    )


def _decimal(text: str, number: int) -> Decimal:
    try:
        return parse_decimal(text, 5)
    except AmountError as error:
        raise UnknownBillLayout(f"line {number}: {error}") from error


# --- Alipay ---


def alipay_rows(content: bytes) -> list[BillRow]:
    """Read the details (业务明细) of Alipay's trade bill: a ZIP of GBK files with comments behind #.

    Files of other layouts in the ZIP (the sums per shop) are passed over. Raises Unknown for a broken ZIP,
    UnknownBillLayout when there are no details, or not the columns, kinds and values that are known.
    """
    details: list[BillRow] | None = None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > BILL_LIMIT:
                raise Unknown("too_long")
            for member in archive.infolist():
                rows = _alipay_details(archive.read(member))
                if rows is None:
                    continue
                if details is not None:
                    raise UnknownBillLayout("two files with details")
                details = rows
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise Unknown("bill_zip") from error
    if details is None:
        raise UnknownBillLayout("no file with details")
    return details


def _alipay_details(content: bytes) -> list[BillRow] | None:
    try:
        lines = content.decode("gb18030").splitlines()
    except UnicodeDecodeError as error:
        raise UnknownBillLayout("bill is not GBK") from error
    data = [line for line in lines if line.strip() and not line.startswith("#")]
    if not data or not data[0].startswith("支付宝交易号,"):
        return None
    if not any(line.startswith("#") and _ALIPAY_END in line for line in lines):
        raise UnknownBillLayout("details without an end")
    reader = csv.reader(data)
    header = [name.strip() for name in next(reader)]
    if missing := _ALIPAY_COLUMNS - set(header):
        raise UnknownBillLayout(f"columns missing: {', '.join(sorted(missing))}")
    rows = []
    for number, values in enumerate(reader, start=1):
        if len(values) != len(header):
            raise UnknownBillLayout(f"row {number} has not {len(header)} values")
        rows.append(_alipay_row(dict(zip(header, map(str.strip, values), strict=True)), number))
    return rows


def _alipay_row(cells: Mapping[str, str], number: int) -> BillRow:
    kinds = {"交易": BillKind.PAYMENT, "退款": BillKind.REFUND}
    kind = kinds.get(cells["业务类型"])
    if kind is None:
        raise UnknownBillLayout(f"row {number} has kind {cells['业务类型']}")
    refund = kind == BillKind.REFUND
    try:
        at = datetime.strptime(cells["完成时间"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
        amount = parse_decimal(cells["订单金额（元）"], 2)
        fee = -parse_decimal(cells["服务费（元）"], 2)
    except ValueError as error:
        raise UnknownBillLayout(f"row {number}: {error}") from error
    if (amount > 0) == refund:
        raise UnknownBillLayout(f"row {number} has an amount of the wrong sign")
    return BillRow(
        kind=kind,
        out_trade_no=cells["商户订单号"],
        channel_trade_no=cells["支付宝交易号"],
        amount=abs(amount),
        fee=fee or abs(fee),
        at=at,
        out_refund_no=cells["退款批次号/请求号"] if refund else "",
    )
