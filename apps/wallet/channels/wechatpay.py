"""WeChat Pay (微信支付) APIv3: payments of mini-programs (JSAPI), refunds, trade bills.

An own client: the maintained library sends without a timeout unless told, checks no timestamp, lets the base URL be
changed through a private attribute only, and asks the network or raises TypeError when a notice names an unknown key.
What is left to write is one request signature, one answer signature and one AES-GCM call.

Answers and notices are believed when one of `platform_keys` signed them: public keys (微信支付公钥) and platform
certificates (平台证书) side by side, since WeChat signs with either while a merchant changes from one to the other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import quote, urlencode, urlsplit

import requests
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from requests.structures import CaseInsensitiveDict

from apps.common.money import AmountError, from_fen, to_fen
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
    UnknownKey,
)
from apps.wallet.channels.bills import BILL_LIMIT, gunzipped, wechatpay_rows
from apps.wallet.channels.wire import (
    Answer,
    TrustedKey,
    Wire,
    decode_signature,
    load_private_key,
    load_trusted_key,
    notify_url,
    signature_of,
)

log = structlog.get_logger(__name__)

SCHEME = "WECHATPAY2-SHA256-RSA2048"
CLOCK_TOLERANCE = timedelta(minutes=5)
MINIMUM_REFUSAL, MAXIMUM_REFUSAL = 400, 499

_OUT_TRADE_NO = re.compile(r"[0-9A-Za-z_\-|*]{6,32}", re.ASCII)
_OUT_REFUND_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}", re.ASCII)

_BUSY = frozenset(
    {"SYSTEM_ERROR", "BANK_ERROR", "BANKERROR", "FREQUENCY_LIMITED", "FREQUENCY_LIMIT_EXCEED", "RATELIMIT_EXCEEDED",
     "BIZERR_NEED_RETRY", "USERPAYING", "STATEMENT_CREATING"}
)  # fmt: skip
_PAID = frozenset({"ORDERPAID", "ORDER_PAID"})
_MISSING = frozenset({"RESOURCE_NOT_EXISTS", "ORDER_NOT_EXIST", "ORDERNOTEXIST"})
_CLOSED = frozenset({"ORDER_CLOSED", "ORDERCLOSED"})

_TRADE_STATES = {
    "SUCCESS": TradeState.PAID,
    "REFUND": TradeState.REFUNDED,
    "NOTPAY": TradeState.WAITING,
    "USERPAYING": TradeState.WAITING,
    "PAYERROR": TradeState.WAITING,  # this attempt failed; the driver may try again until the order is closed
    "CLOSED": TradeState.CLOSED,
    "REVOKED": TradeState.CLOSED,
}
_REFUND_STATES = {
    "SUCCESS": RefundState.DONE,
    "PROCESSING": RefundState.PROCESSING,
    "CLOSED": RefundState.CLOSED,
    "ABNORMAL": RefundState.ABNORMAL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WechatPayCredentials:
    """A merchant's own. `platform_keys`: PEM by serial number of a certificate, or by PUB_KEY_ID_… of a public key.

    `public_key_id` names the public key that WeChat shall answer with; without it, it answers with a certificate.
    """

    app_id: str
    merchant_no: str
    certificate_serial: str
    private_key: str = field(repr=False)
    api_v3_key: str = field(repr=False)
    platform_keys: Mapping[str, str] = field(default_factory=dict)
    public_key_id: str = ""


class WechatPay(Channel):
    """One merchant at WeChat Pay. Building it reads the keys and calls nobody; raises NotConfigured."""

    name: ClassVar[str] = "wechatpay"
    refund_window: ClassVar[timedelta] = timedelta(days=365)
    notice_accepted: ClassVar[NoticeReply] = NoticeReply(
        status=204, content_type="application/json", body=b""
    )
    notice_refused: ClassVar[NoticeReply] = NoticeReply(
        status=401, content_type="application/json", body=b'{"code":"FAIL","message":"SIGN_ERROR"}'
    )

    def __init__(
        self,
        credentials: WechatPayCredentials,
        *,
        base_url: str,
        timeout: tuple[float, float] = (3, 10),
    ) -> None:
        if not base_url:
            raise NotConfigured("base_url")
        for name in ("app_id", "merchant_no", "certificate_serial"):
            if not getattr(credentials, name):
                raise NotConfigured(name)
        if len(credentials.api_v3_key.encode()) != 32:
            raise NotConfigured("api_v3_key")
        if credentials.public_key_id and credentials.public_key_id not in credentials.platform_keys:
            raise NotConfigured("public_key_id")
        self._credentials = credentials
        self._base_url = base_url.rstrip("/")
        self._private_key = load_private_key(credentials.private_key)
        self._cipher = AESGCM(credentials.api_v3_key.encode())
        self._keys = {serial: _trusted(serial, text) for serial, text in credentials.platform_keys.items()}
        self._wire = Wire(self.name, timeout)

    # --- payments -------------------------------------------------------------------------------------------

    def create(self, order: PaymentOrder) -> Prepared:
        if not _OUT_TRADE_NO.fullmatch(order.out_trade_no):
            raise ValueError("out_trade_no: 6 to 32 of 0-9 A-Z a-z _ - | *")
        body = {
            "appid": self._credentials.app_id,
            "mchid": self._credentials.merchant_no,
            "description": order.description[:127],
            "out_trade_no": order.out_trade_no,
            "time_expire": order.expires_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
            "notify_url": notify_url(order.notify_url),
            "amount": {"total": _positive_fen(order.amount), "currency": "CNY"},
            "payer": {"openid": order.payer},
        }
        data = self._call("create", "POST", "/v3/pay/transactions/jsapi", body, number=order.out_trade_no)
        return Prepared(
            out_trade_no=order.out_trade_no, client_params=self._phone_params(_text(data, "prepay_id"))
        )

    def query(self, out_trade_no: str) -> Trade:
        path = f"/v3/pay/transactions/out-trade-no/{quote(out_trade_no, safe='')}"
        query = urlencode({"mchid": self._credentials.merchant_no})
        try:
            data = self._call("query", "GET", f"{path}?{query}", number=out_trade_no)
        except Refused as error:
            if error.code in _MISSING:
                return Trade(out_trade_no=out_trade_no, state=TradeState.NOT_FOUND)
            raise
        trade = self._trade(data)
        if trade.out_trade_no != out_trade_no:
            raise Mismatch("out_trade_no")
        return trade

    def close(self, out_trade_no: str) -> None:
        path = f"/v3/pay/transactions/out-trade-no/{quote(out_trade_no, safe='')}/close"
        try:
            self._call("close", "POST", path, {"mchid": self._credentials.merchant_no}, number=out_trade_no)
        except Refused as error:
            # An order that WeChat does not know has no prepay_id: no phone can pay it.
            if error.code not in _MISSING | _CLOSED:
                raise

    def _phone_params(self, prepay_id: str) -> dict[str, str]:
        """What `wx.requestPayment` takes; the signature is over app, time, nonce and package."""
        params = {
            "appId": self._credentials.app_id,
            "timeStamp": str(int(time.time())),
            "nonceStr": secrets.token_hex(16),
            "package": f"prepay_id={prepay_id}",
        }
        message = "".join(f"{value}\n" for value in params.values())
        return params | {"signType": "RSA", "paySign": signature_of(self._private_key, message.encode())}

    def _trade(self, data: Mapping[str, Any]) -> Trade:
        self._must_be_ours(data, ("mchid", "appid"))
        state = _TRADE_STATES.get(_text(data, "trade_state"))
        if state is None:
            raise Unknown("malformed: trade_state")
        amount = _amount_of(data, "total", required=state in {TradeState.PAID, TradeState.REFUNDED})
        payer = data.get("payer") or {}
        return Trade(
            out_trade_no=_text(data, "out_trade_no"),
            state=state,
            amount=amount,
            channel_trade_no=data.get("transaction_id") or "",
            paid_at=_moment(data, "success_time"),
            payer=payer.get("openid", "") if isinstance(payer, dict) else "",
        )

    # --- refunds --------------------------------------------------------------------------------------------

    def refund(self, order: RefundOrder) -> Refund:
        if not _OUT_REFUND_NO.fullmatch(order.out_refund_no):
            raise ValueError("out_refund_no: 1 to 64 of 0-9 A-Z a-z _ - | * @")
        amount, total = _positive_fen(order.amount), _positive_fen(order.total)
        if amount > total:
            raise ValueError("a refund is at most the payment")
        body: dict[str, Any] = {
            "out_trade_no": order.out_trade_no,
            "out_refund_no": order.out_refund_no,
            "amount": {"refund": amount, "total": total, "currency": "CNY"},
        }
        if order.reason:
            # at most 80 bytes; a character cut in half would be no UTF-8
            body["reason"] = order.reason.encode()[:80].decode(errors="ignore")
        if order.notify_url:
            body["notify_url"] = notify_url(order.notify_url)
        data = self._call("refund", "POST", "/v3/refund/domestic/refunds", body, number=order.out_refund_no)
        refund = self._refund(data, "status")
        _same_refund(refund, order.out_trade_no, order.out_refund_no)
        if refund.amount != order.amount:
            raise Mismatch("amount")
        return refund

    def query_refund(self, *, out_trade_no: str, out_refund_no: str) -> Refund:
        path = f"/v3/refund/domestic/refunds/{quote(out_refund_no, safe='')}"
        try:
            data = self._call("query_refund", "GET", path, number=out_refund_no)
        except Refused as error:
            if error.code in _MISSING:
                return Refund(
                    out_refund_no=out_refund_no, out_trade_no=out_trade_no, state=RefundState.NOT_FOUND
                )
            raise
        refund = self._refund(data, "status")
        _same_refund(refund, out_trade_no, out_refund_no)
        return refund

    def _refund(self, data: Mapping[str, Any], status: str) -> Refund:
        state = _REFUND_STATES.get(_text(data, status))
        if state is None:
            raise Unknown(f"malformed: {status}")
        return Refund(
            out_refund_no=_text(data, "out_refund_no"),
            out_trade_no=_text(data, "out_trade_no"),
            state=state,
            amount=_amount_of(data, "refund", required=True),
            channel_refund_no=data.get("refund_id") or "",
            done_at=_moment(data, "success_time"),
        )

    # --- bills ----------------------------------------------------------------------------------------------

    def download_bill(self, day: date) -> Sequence[BillRow]:
        query = urlencode({"bill_date": day.isoformat(), "bill_type": "ALL", "tar_type": "GZIP"})
        try:
            data = self._call("bill", "GET", f"/v3/bill/tradebill?{query}", number=day.isoformat())
        except Refused as error:
            if error.code == "NO_STATEMENT_EXIST":
                return []
            raise
        if _text(data, "hash_type") != "SHA1":
            raise Unknown("malformed: hash_type")
        # The link's host is WeChat's main one; the file is taken from where this channel was told to call.
        link = urlsplit(_text(data, "download_url"))
        path = link.path.removeprefix(urlsplit(self._base_url).path)
        if not path.startswith("/"):
            raise Unknown("malformed: download_url")
        answer = self._wire.send(
            "GET",
            f"{self._base_url}{path}?{link.query}",
            operation="bill_file",
            number=day.isoformat(),
            headers=self._headers(),
            sign=self._sign,
            limit=BILL_LIMIT,
        )
        if answer.status != 200:
            raise Unknown(f"http_{answer.status}")
        content = gunzipped(answer.body)
        # The file itself is not signed; the signed answer named its hash.
        if hashlib.sha1(content, usedforsecurity=False).hexdigest() != _text(data, "hash_value").lower():
            raise Unknown("bill_hash")
        return wechatpay_rows(content, merchant_no=self._credentials.merchant_no)

    # --- notices --------------------------------------------------------------------------------------------

    def parse_notice(
        self, headers: Mapping[str, str], body: bytes, *, received_at: datetime | None = None
    ) -> Notice:
        self._verify(CaseInsensitiveDict(headers), body, received_at or now())
        envelope = _object(body)
        resource = envelope.get("resource")
        if not isinstance(resource, dict) or resource.get("algorithm") != "AEAD_AES_256_GCM":
            raise Unknown("malformed: resource")
        event_id, event = _text(envelope, "id"), _text(envelope, "event_type")
        data = _object(self._decrypt(resource))
        kind = resource.get("original_type")
        # Both: notices about sharing profits reuse names of events.
        if kind == "transaction" and event.startswith("TRANSACTION."):
            trade = self._trade(data)
            return Notice(
                event_id=event_id, kind=NoticeKind.PAYMENT if trade.paid else NoticeKind.OTHER, trade=trade
            )
        if kind == "refund" and event.startswith("REFUND."):
            self._must_be_ours(data, ("mchid",))
            return Notice(
                event_id=event_id, kind=NoticeKind.REFUND, refund=self._refund(data, "refund_status")
            )
        return Notice(event_id=event_id, kind=NoticeKind.OTHER)

    def platform_certificates(self) -> dict[str, str]:
        """Fetch the platform certificates (平台证书) as PEM by serial number, for `platform_keys`.

        Only for merchants in certificate mode; others are refused. They arrive encrypted with the APIv3 key, which
        is what proves them the first time; the answer must then be signed by one of them or of those known before.
        """
        answer = self._send("certificates", "GET", "/v3/certificates")
        self._raise_for(answer, verified=False)
        found: dict[str, str] = {}
        entries = _object(answer.body).get("data")
        if not isinstance(entries, list):
            raise Unknown("malformed: data")
        for entry in entries:
            if not isinstance(entry, dict) or not isinstance(entry.get("encrypt_certificate"), dict):
                raise Unknown("malformed: data")
            found[_text(entry, "serial_no")] = self._decrypt(entry["encrypt_certificate"]).decode()
        keys = self._keys | {serial: _trusted(serial, text) for serial, text in found.items()}
        self._verify(answer.headers, answer.body, now(), keys)
        return found

    def _decrypt(self, sealed: Mapping[str, Any]) -> bytes:
        try:
            return self._cipher.decrypt(
                _text(sealed, "nonce").encode(),
                base64.b64decode(_text(sealed, "ciphertext"), validate=True),
                str(sealed.get("associated_data") or "").encode(),
            )
        except InvalidTag as error:
            # WeChat's signature is checked before: what is wrong is our key.
            raise NotConfigured("api_v3_key") from error
        except ValueError as error:
            raise Unknown("malformed: resource") from error

    def _must_be_ours(self, data: Mapping[str, Any], names: Sequence[str]) -> None:
        ours = {"mchid": self._credentials.merchant_no, "appid": self._credentials.app_id}
        for name in names:
            if data.get(name) != ours[name]:
                raise Mismatch(name)

    # --- calls ----------------------------------------------------------------------------------------------

    def _call(
        self, operation: str, method: str, target: str, body: Mapping[str, Any] | None = None, *, number: str
    ) -> dict[str, Any]:
        """Call and return the believed answer's object; {} for an answer without a body."""
        answer = self._send(operation, method, target, body, number=number)
        signed = "Wechatpay-Signature" in answer.headers
        if signed:
            self._verify(answer.headers, answer.body, now())
        self._raise_for(answer, verified=signed)
        if not signed:
            raise BadSignature("answer without a signature")
        return _object(answer.body) if answer.body else {}

    def _send(
        self,
        operation: str,
        method: str,
        target: str,
        body: Mapping[str, Any] | None = None,
        *,
        number: str = "",
    ) -> Answer:
        return self._wire.send(
            method,
            self._base_url + target,
            operation=operation,
            number=number,
            body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() if body else b"",
            headers=self._headers() | ({"Content-Type": "application/json"} if body else {}),
            sign=self._sign,
        )

    def _headers(self) -> dict[str, str]:
        asked = self._credentials.public_key_id
        return {"Accept": "application/json"} | ({"Wechatpay-Serial": asked} if asked else {})

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign method, path with query, and body exactly as they will be sent."""
        moment, nonce = str(int(time.time())), secrets.token_hex(16)
        sent = request.body if isinstance(request.body, bytes) else b""
        message = f"{request.method}\n{request.path_url}\n{moment}\n{nonce}\n".encode() + sent + b"\n"
        fields = {
            "mchid": self._credentials.merchant_no,
            "nonce_str": nonce,
            "signature": signature_of(self._private_key, message),
            "timestamp": moment,
            "serial_no": self._credentials.certificate_serial,
        }
        request.headers["Authorization"] = f"{SCHEME} " + ",".join(f'{k}="{v}"' for k, v in fields.items())
        return request

    def _verify(
        self,
        headers: Mapping[str, str],
        body: bytes,
        at: datetime,
        keys: Mapping[str, TrustedKey] | None = None,
    ) -> None:
        """Raise BadSignature unless WeChat signed this body within five minutes of `at`."""
        if headers.get("Wechatpay-Signature-Type", SCHEME) != SCHEME:
            raise BadSignature("signature type")
        stamp = headers.get("Wechatpay-Timestamp", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            raise BadSignature("timestamp")
        if abs(at.timestamp() - int(stamp)) > CLOCK_TOLERANCE.total_seconds():
            raise BadSignature("timestamp")
        key = (keys or self._keys).get(headers.get("Wechatpay-Serial", ""))
        if key is None:
            raise UnknownKey("serial")
        message = f"{stamp}\n{headers.get('Wechatpay-Nonce', '')}\n".encode() + body + b"\n"
        if not key.verifies(decode_signature(headers.get("Wechatpay-Signature", "")), message, at):
            raise BadSignature("signature")

    def _raise_for(self, answer: Answer, *, verified: bool) -> None:
        """Raise what an answer's status and code say; return for a success.

        A refusal counts without a signature (WeChat cannot sign for a merchant that it did not recognise), but only
        in WeChat's own shape: the error page of a proxy leaves the outcome unknown.
        """
        if answer.status < MINIMUM_REFUSAL:
            if answer.status not in {200, 202, 204}:
                raise Unknown(f"http_{answer.status}")
            return
        try:
            data = _object(answer.body)
            code = _text(data, "code")
        except Unknown:
            code, data = "", {}
        log.warning("payment_refused", channel=self.name, status=answer.status, code=code, signed=verified)
        if code in _BUSY or answer.status == 429:
            raise Unknown(code or "http_429")
        if answer.status > MAXIMUM_REFUSAL or not code:
            raise Unknown(f"http_{answer.status}")
        message = str(data.get("message") or "")
        if code in _PAID:
            raise AlreadyPaid(code, message)
        if code == "NOT_ENOUGH":
            raise BalanceShort(code, message)
        raise Refused(code, message)


# --- values -------------------------------------------------------------------------------------------------


def _trusted(serial: str, text: str) -> TrustedKey:
    key = load_trusted_key(text, f"platform_keys[{serial}]")
    if key.certificate is not None and f"{key.certificate.serial_number:X}" != serial.upper().lstrip("0"):
        raise NotConfigured(f"platform_keys[{serial}]")
    return key


def _same_refund(refund: Refund, out_trade_no: str, out_refund_no: str) -> None:
    if refund.out_refund_no != out_refund_no:
        raise Mismatch("out_refund_no")
    if refund.out_trade_no != out_trade_no:
        raise Mismatch("out_trade_no")


def _positive_fen(amount: Decimal) -> int:
    fen = to_fen(amount)
    if fen <= 0:
        raise AmountError("an amount is at least 0.01 yuan")
    return fen


def _object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except ValueError as error:
        raise Unknown("malformed: json") from error
    if not isinstance(data, dict):
        raise Unknown("malformed: json")
    return data


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise Unknown(f"malformed: {name}")
    return value


def _amount_of(data: Mapping[str, Any], name: str, *, required: bool) -> Decimal | None:
    """Yuan of one of the fen in `amount`. Raises Mismatch for another currency than yuan."""
    amounts = data.get("amount")
    if not isinstance(amounts, dict):
        amounts = {}
    value = amounts.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Unknown(f"malformed: amount.{name}")
    if amounts.get("currency", "CNY") != "CNY":
        raise Mismatch("currency")
    return from_fen(value)


def _moment(data: Mapping[str, Any], name: str) -> datetime | None:
    value = data.get(name)
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise Unknown(f"malformed: {name}") from error
    if moment.tzinfo is None:
        raise Unknown(f"malformed: {name}")
    return moment.astimezone(SHANGHAI)
