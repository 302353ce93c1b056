"""Alipay (支付宝): payments of mini-programs (JSAPI), refunds, trade bills, over the gateway's form protocol (RSA2).

An own client: the official library cannot call a base URL with a port and has no certificate mode, the other one puts
every parameter into the URL and takes the container's clock for Beijing's.

Key mode needs the app's private key and Alipay's public key; certificate mode needs the app's certificate, Alipay's
root certificates, and Alipay's certificate in the place of its public key. `alipay_keys` is a list, so that a new key
can stand beside the old one while Alipay changes it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import structlog
from cryptography import x509

from apps.common.money import AmountError, parse_decimal, to_fen
from apps.common.time import SHANGHAI, now
from apps.wallet.channels.base import (
    AlreadyPaid,
    BadSignature,
    BalanceShort,
    BillRow,
    Channel,
    Mismatch,
    NotConfigured,
    Notice,
    NoticeKind,
    NoticeReply,
    PaymentOrder,
    Prepared,
    Refund,
    RefundOrder,
    RefundState,
    Refused,
    Trade,
    TradeState,
    Unknown,
)
from apps.wallet.channels.bills import BILL_LIMIT, alipay_rows
from apps.wallet.channels.wire import (
    Wire,
    decode_signature,
    load_certificate,
    load_private_key,
    load_trusted_key,
    notify_url,
    signature_of,
)

log = structlog.get_logger(__name__)

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
# Alipay delivers a notice eight times within 25 hours; what comes much later was kept by somebody.
NOTICE_AGE = timedelta(hours=26)
CLOCK_TOLERANCE = timedelta(minutes=5)

_OUT_NO = re.compile(r"[0-9A-Za-z_]{1,64}", re.ASCII)
_USER_ID = re.compile(r"2088[0-9]{12}", re.ASCII)

_OK = "10000"
_BUSY_CODES = frozenset({"10003", "20000", "40005"})
_BUSY = frozenset({"ACQ.SYSTEM_ERROR", "AOP.ACQ.SYSTEM_ERROR", "ISP.UNKNOW-ERROR", "ISP.UNKNOWN-ERROR"})
_MISSING = frozenset({"ACQ.TRADE_NOT_EXIST"})
_PAID = {
    "alipay.trade.create": frozenset({"ACQ.TRADE_HAS_SUCCESS", "ACQ.TRADE_HAS_FINISHED"}),
    "alipay.trade.close": frozenset({"ACQ.REASON_TRADE_STATUS_INVALID", "ACQ.TRADE_STATUS_ERROR"}),
}
_SHORT = frozenset({"ACQ.SELLER_BALANCE_NOT_ENOUGH"})

_TRADE_STATES = {
    "WAIT_BUYER_PAY": TradeState.WAITING,
    "TRADE_SUCCESS": TradeState.PAID,
    "TRADE_FINISHED": TradeState.PAID,
    "TRADE_CLOSED": TradeState.CLOSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlipayCredentials:
    """A merchant's own. Keys are PEM or the bare base64 of Alipay's key tool; certificates are PEM.

    `seller_id` is the merchant's account (2088…). The certificates are for certificate mode only.
    """

    app_id: str
    seller_id: str
    private_key: str = field(repr=False)
    alipay_keys: Sequence[str] = ()
    app_certificate: str = ""
    root_certificates: str = ""


class Alipay(Channel):
    """One merchant at Alipay; `base_url` is the gateway's address. Calls nobody yet; raises NotConfigured."""

    name: ClassVar[str] = "alipay"
    refund_window: ClassVar[timedelta] = timedelta(days=365)
    notice_accepted: ClassVar[NoticeReply] = NoticeReply(
        status=200, content_type="text/plain", body=b"success"
    )
    notice_refused: ClassVar[NoticeReply] = NoticeReply(status=400, content_type="text/plain", body=b"fail")

    def __init__(
        self, credentials: AlipayCredentials, *, base_url: str, timeout: tuple[float, float] = (3, 10)
    ) -> None:
        if not base_url:
            raise NotConfigured("base_url")
        for name in ("app_id", "seller_id", "alipay_keys"):
            if not getattr(credentials, name):
                raise NotConfigured(name)
        if bool(credentials.app_certificate) != bool(credentials.root_certificates):
            raise NotConfigured("root_certificates" if credentials.app_certificate else "app_certificate")
        self._credentials = credentials
        self._base_url = base_url
        self._private_key = load_private_key(credentials.private_key)
        self._keys = [
            load_trusted_key(text, f"alipay_keys[{index}]")
            for index, text in enumerate(credentials.alipay_keys)
        ]
        self._certificate_params: dict[str, str] = {}
        if credentials.app_certificate:
            self._certificate_params = {
                "app_cert_sn": certificate_number(
                    load_certificate(credentials.app_certificate, "app_certificate")
                ),
                "alipay_root_cert_sn": root_number(credentials.root_certificates),
            }
        self._wire = Wire(self.name, timeout)

    # --- payments -------------------------------------------------------------------------------------------

    def create(self, order: PaymentOrder) -> Prepared:
        _checked_number(order.out_trade_no)
        buyer = "buyer_id" if _USER_ID.fullmatch(order.payer) else "buyer_open_id"
        content = {
            "out_trade_no": order.out_trade_no,
            "total_amount": _amount_text(order.amount),
            "subject": order.description[:128],
            "product_code": "JSAPI_PAY",
            "op_app_id": self._credentials.app_id,
            buyer: order.payer,
            "time_expire": order.expires_at.astimezone(SHANGHAI).strftime(TIME_FORMAT),
        }
        data = self._call(
            "alipay.trade.create", content, order.out_trade_no, notify_url=notify_url(order.notify_url)
        )
        if data.get("out_trade_no") != order.out_trade_no:
            raise Mismatch("out_trade_no")
        return Prepared(out_trade_no=order.out_trade_no, client_params={"tradeNO": _text(data, "trade_no")})

    def query(self, out_trade_no: str) -> Trade:
        try:
            data = self._call("alipay.trade.query", {"out_trade_no": out_trade_no}, out_trade_no)
        except Refused as error:
            if error.code in _MISSING:
                return Trade(out_trade_no=out_trade_no, state=TradeState.NOT_FOUND)
            raise
        if data.get("out_trade_no") != out_trade_no:
            raise Mismatch("out_trade_no")
        return _trade(data, paid_at="send_pay_date")

    def close(self, out_trade_no: str) -> None:
        try:
            self._call("alipay.trade.close", {"out_trade_no": out_trade_no}, out_trade_no)
        except AlreadyPaid:
            # Alipay says so of a closed order as well.
            if self.query(out_trade_no).state != TradeState.CLOSED:
                raise
        except Refused as error:
            if error.code not in _MISSING:
                raise

    # --- refunds --------------------------------------------------------------------------------------------

    def refund(self, order: RefundOrder) -> Refund:
        _checked_number(order.out_refund_no)
        amount, _ = _amount_text(order.amount), _amount_text(order.total)
        if order.amount > order.total:
            raise ValueError("a refund is at most the payment")
        content = {
            "out_trade_no": order.out_trade_no,
            "refund_amount": amount,
            "out_request_no": order.out_refund_no,
        }
        if order.reason:
            content["refund_reason"] = order.reason[:128]
        data = self._call("alipay.trade.refund", content, order.out_refund_no)
        if data.get("out_trade_no") != order.out_trade_no:
            raise Mismatch("out_trade_no")
        # N: this call moved nothing, since an earlier one did or is about to; `refund_fee` is the order's whole refund.
        moved = data.get("fund_change") == "Y"
        return Refund(
            out_refund_no=order.out_refund_no,
            out_trade_no=order.out_trade_no,
            state=RefundState.DONE if moved else RefundState.PROCESSING,
            amount=order.amount,
            done_at=_moment(data, "gmt_refund_pay") if moved else None,
        )

    def query_refund(self, *, out_trade_no: str, out_refund_no: str) -> Refund:
        content = {
            "out_trade_no": out_trade_no,
            "out_request_no": out_refund_no,
            "query_options": ["gmt_refund_pay"],
        }
        absent = Refund(out_refund_no=out_refund_no, out_trade_no=out_trade_no, state=RefundState.NOT_FOUND)
        try:
            data = self._call("alipay.trade.fastpay.refund.query", content, out_refund_no)
        except Refused as error:
            if error.code in _MISSING:
                return absent
            raise
        status = data.get("refund_status")
        if not status:
            return absent  # never received, or failed
        if data.get("out_trade_no") != out_trade_no:
            raise Mismatch("out_trade_no")
        if data.get("out_request_no") != out_refund_no:
            raise Mismatch("out_refund_no")
        done = status == "REFUND_SUCCESS"
        return Refund(
            out_refund_no=out_refund_no,
            out_trade_no=out_trade_no,
            state=RefundState.DONE if done else RefundState.PROCESSING,
            amount=_amount(data, "refund_amount"),
            done_at=_moment(data, "gmt_refund_pay") if done else None,
        )

    # --- bills ----------------------------------------------------------------------------------------------

    def download_bill(self, day: date) -> Sequence[BillRow]:
        content = {"bill_type": "trade", "bill_date": day.isoformat()}
        try:
            data = self._call("alipay.data.dataservice.bill.downloadurl.query", content, day.isoformat())
        except Refused as error:
            if error.code.lower() == "isp.bill_not_exist":
                return []
            raise
        url = _text(data, "bill_download_url")
        if urlsplit(url).scheme not in {"http", "https"}:
            raise Unknown("malformed: bill_download_url")
        # The link came in a signed answer and lives 30 seconds; the file is not signed.
        answer = self._wire.send("GET", url, operation="bill_file", number=day.isoformat(), limit=BILL_LIMIT)
        if answer.status != 200:
            raise Unknown(f"http_{answer.status}")
        return alipay_rows(answer.body)

    # --- notices --------------------------------------------------------------------------------------------

    def parse_notice(
        self, headers: Mapping[str, str], body: bytes, *, received_at: datetime | None = None
    ) -> Notice:
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=200)
        except ValueError as error:
            raise BadSignature("form") from error
        params = dict(pairs)
        if len(params) != len(pairs) or params.get("sign_type") != "RSA2":
            raise BadSignature("form")
        at = received_at or now()
        signed = {name: value for name, value in params.items() if name not in {"sign", "sign_type"}}
        self._verify(params.get("sign", ""), sign_text(signed).encode(), at)
        sent = _moment(params, "notify_time")
        if sent is None or not at - NOTICE_AGE <= sent <= at + CLOCK_TOLERANCE:
            raise BadSignature("notify_time")
        ours = {"app_id": self._credentials.app_id, "seller_id": self._credentials.seller_id}
        for name, value in ours.items():
            if params.get(name) != value:
                raise Mismatch(name)
        event_id = _text(params, "notify_id")
        if any(params.get(name) for name in ("refund_fee", "gmt_refund", "out_biz_no")):
            # The payment's notice once more, because some of it went back; `refund_fee` is the sum of all refunds.
            refund = Refund(
                out_refund_no=params.get("out_biz_no", ""),
                out_trade_no=_text(params, "out_trade_no"),
                state=RefundState.PROCESSING,
            )
            return Notice(event_id=event_id, kind=NoticeKind.REFUND, refund=refund)
        trade = _trade(params, paid_at="gmt_payment")
        return Notice(
            event_id=event_id, kind=NoticeKind.PAYMENT if trade.paid else NoticeKind.OTHER, trade=trade
        )

    # --- calls ----------------------------------------------------------------------------------------------

    def _call(
        self, method: str, content: Mapping[str, Any], number: str, *, notify_url: str = ""
    ) -> dict[str, Any]:
        """Call a method of the gateway and return the believed node of its answer, whose code is 10000."""
        params = {
            "app_id": self._credentials.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": now().strftime(TIME_FORMAT),
            "version": "1.0",
            "notify_url": notify_url,
            "biz_content": json.dumps(content, ensure_ascii=False, separators=(",", ":")),
        } | self._certificate_params
        params = {name: value for name, value in params.items() if value}
        params["sign"] = signature_of(self._private_key, sign_text(params).encode())
        answer = self._wire.send(
            "POST",
            self._base_url,
            operation=method,
            number=number,
            body=urlencode(params).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        )
        if answer.status != 200:
            raise Unknown(f"http_{answer.status}")
        return self._believed(method, answer.body)

    def _believed(self, method: str, body: bytes) -> dict[str, Any]:
        name = method.replace(".", "_") + "_response"
        nodes = raw_nodes(body)
        if name not in nodes:
            name = "error_response"
        if name not in nodes:
            raise Unknown("malformed: answer")
        raw, node = nodes[name]
        _, sign = nodes.get("sign", ("", ""))
        if not isinstance(node, dict):
            raise Unknown("malformed: answer")
        code, sub_code = str(node.get("code", "")), str(node.get("sub_code", ""))
        if sign:
            self._verify(str(sign), raw.encode(), now())
        elif name != "error_response" or code == _OK:
            # Only what the gateway says before it knows the app may come unsigned.
            raise BadSignature("answer without a signature")
        if code == _OK:
            return node
        log.warning(
            "payment_refused",
            channel=self.name,
            operation=method,
            code=code,
            sub_code=sub_code,
            signed=bool(sign),
        )
        if not code or code in _BUSY_CODES or sub_code.upper() in _BUSY:
            raise Unknown(sub_code or code or "malformed: code")
        message = str(node.get("sub_msg") or node.get("msg") or "")
        if sub_code in _PAID.get(method, ()):
            raise AlreadyPaid(sub_code, message)
        if sub_code in _SHORT:
            raise BalanceShort(sub_code, message)
        raise Refused(sub_code or code, message)

    def _verify(self, sign: str, message: bytes, at: datetime) -> None:
        signature = decode_signature(sign)
        if not any(key.verifies(signature, message, at) for key in self._keys):
            raise BadSignature("signature")


# --- the protocol's texts -----------------------------------------------------------------------------------


def sign_text(params: Mapping[str, str]) -> str:
    """What RSA2 signs: name=value sorted by name and joined by &, nothing encoded."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params))


def raw_nodes(body: bytes) -> dict[str, tuple[str, Any]]:
    """The members of a JSON object, each as the text that was sent (which is what Alipay signs) and its value.

    Raises Unknown for what is no object, and for a name that occurs twice.
    """
    decoder = json.JSONDecoder()
    blank = re.compile(r"[ \t\r\n]*")
    nodes: dict[str, tuple[str, Any]] = {}

    def skip(at: int, mark: str) -> int:
        at = blank.match(text, at).end()  # type: ignore[union-attr]
        if text[at : at + 1] != mark:
            raise ValueError
        return blank.match(text, at + 1).end()  # type: ignore[union-attr]

    try:
        text = body.decode()
        at = skip(0, "{")
        while True:
            name, at = decoder.raw_decode(text, at)
            start = skip(at, ":")
            value, end = decoder.raw_decode(text, start)
            if not isinstance(name, str) or name in nodes:
                raise ValueError
            nodes[name] = (text[start:end], value)
            at = blank.match(text, end).end()  # type: ignore[union-attr]
            if text[at : at + 1] == "}" and not text[at + 1 :].strip():
                return nodes
            at = skip(at, ",")
    except (ValueError, RecursionError) as error:
        raise Unknown("malformed: json") from error


def certificate_number(certificate: x509.Certificate) -> str:
    """Alipay's number of a certificate: MD5 over the issuer's name, last part first, and the serial number."""
    text = f"{certificate.issuer.rfc4514_string()}{certificate.serial_number}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def root_number(bundle: str) -> str:
    """Alipay's number of its root certificates: those signed with RSA, joined by _. Raises NotConfigured."""
    try:
        certificates = x509.load_pem_x509_certificates(bundle.encode())
    except ValueError as error:
        raise NotConfigured("root_certificates") from error
    rsa_only = [
        c for c in certificates if c.signature_algorithm_oid.dotted_string.startswith("1.2.840.113549.1.1.")
    ]
    if not rsa_only:
        raise NotConfigured("root_certificates")
    return "_".join(map(certificate_number, rsa_only))


# --- values -------------------------------------------------------------------------------------------------


def _trade(data: Mapping[str, Any], *, paid_at: str) -> Trade:
    state = _TRADE_STATES.get(_text(data, "trade_status"))
    if state is None:
        raise Unknown("malformed: trade_status")
    moment = _moment(data, paid_at)
    if state == TradeState.CLOSED and moment is not None:
        state = TradeState.REFUNDED  # closed after a payment: all of it has gone back
    return Trade(
        out_trade_no=_text(data, "out_trade_no"),
        state=state,
        amount=_amount(data, "total_amount"),
        channel_trade_no=str(data.get("trade_no") or ""),
        paid_at=moment,
        payer=str(data.get("buyer_open_id") or data.get("buyer_user_id") or data.get("buyer_id") or ""),
    )


def _checked_number(number: str) -> None:
    if not _OUT_NO.fullmatch(number):
        raise ValueError("a number for Alipay is 1 to 64 of 0-9 A-Z a-z _")


def _amount_text(amount: Decimal) -> str:
    fen = to_fen(amount)
    if fen <= 0:
        raise AmountError("an amount is at least 0.01 yuan")
    return f"{fen // 100}.{fen % 100:02}"


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise Unknown(f"malformed: {name}")
    return value


def _amount(data: Mapping[str, Any], name: str) -> Decimal:
    try:
        return parse_decimal(data.get(name), 2)
    except AmountError as error:
        raise Unknown(f"malformed: {name}") from error


def _moment(data: Mapping[str, Any], name: str) -> datetime | None:
    value = data.get(name)
    if not value:
        return None
    try:
        return datetime.strptime(value[:19], TIME_FORMAT).replace(tzinfo=SHANGHAI)
    except (TypeError, ValueError) as error:
        raise Unknown(f"malformed: {name}") from error
