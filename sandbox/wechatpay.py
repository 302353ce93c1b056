"""WeChat Pay APIv3 as its documents describe it: JSAPI payments, refunds, trade bills, platform certificates.

A merchant in public-key mode asks for answers signed with `PUB_KEY_ID_…` by the header Wechatpay-Serial; everybody else
is answered with the newest platform certificate. Settings: `notice_key` ("public_key" or "certificate": what notices
are signed with), `instant_refunds` (a refund is done when it is asked for; else POST refunds ends it), `balance` (fen
in the merchant's account, for NOT_ENOUGH), `fee_rate` (default "0.006"), `unfinished_bills` (today has a bill already),
`probe` (a bad signature carries WeChat's test prefix). Control: POST rotate {"key": "public_key"|"certificate"} → the
new key's id.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import secrets
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.bills import Line, wechatpay_bill
from sandbox.provider import BEIJING, Announcement, ControlError, Provider, Reply, Request, now
from sandbox.rsa import KeyPair, verifies

CREDENTIAL = re.compile(r'(\w+)="([^"]*)"')
OUT_TRADE_NO = re.compile(r"[0-9A-Za-z_\-|*]{6,32}", re.ASCII)
PROBE = "WECHATPAY/SIGNTEST/"
ORDER_PATH = re.compile(r"/v3/pay/transactions/out-trade-no/([^/]+)(/close)?")
REFUND_PATH = re.compile(r"/v3/refund/domestic/refunds/([^/]+)")
MOST_REFUNDS = 50


@dataclass(frozen=True)
class Merchant:
    merchant_no: str
    app_id: str
    serial: str
    public_pem: str
    api_v3_key: str
    certificates: bool  # a merchant of the certificate mode; the others may not fetch certificates


@dataclass
class Order:
    merchant_no: str
    out_trade_no: str
    content: dict[str, Any]
    prepay_id: str
    transaction_id: str
    state: str = "NOTPAY"
    paid: int = 0
    paid_at: datetime | None = None
    event_id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def total(self) -> int:
        return self.content["amount"]["total"]


@dataclass
class Refund:
    merchant_no: str
    out_refund_no: str
    out_trade_no: str
    content: dict[str, Any]
    refund_id: str
    created_at: datetime
    status: str = "PROCESSING"
    done_at: datetime | None = None
    event_id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def amount(self) -> int:
        return self.content["amount"]["refund"]


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str, **detail: str) -> None:
        self.status = status
        self.content: dict[str, Any] = {"code": code, "message": message}
        if detail:
            self.content["detail"] = detail
        super().__init__(code)


class WechatPay(Provider):
    """The platform with its keys, and the merchants that it issued credentials to."""

    def __init__(self) -> None:
        super().__init__()
        self.public_keys = [("PUB_KEY_ID_01" + secrets.token_hex(12).upper(), KeyPair.make())]
        self.certificates = [KeyPair.make("WeChat Pay sandbox")]
        self.merchants: dict[str, Merchant] = {}
        self._bills: dict[str, tuple[str, bytes]] = {}

    # --- what the merchant's console does ---------------------------------------------------------------------

    def issue(self, *, certificates: bool = False, api_v3_key: str = "") -> dict[str, Any]:
        """Make a merchant and return what its console would show: the fields of a client's credentials."""
        key = KeyPair.make("merchant")
        merchant = Merchant(
            merchant_no=f"19000{len(self.merchants) + 1:05}",
            app_id="wx" + secrets.token_hex(8),
            serial=key.serial,
            public_pem=key.public_pem,
            api_v3_key=api_v3_key or secrets.token_hex(16),
            certificates=certificates,
        )
        self.merchants[merchant.merchant_no] = merchant
        key_id, public = self.public_keys[-1]
        certificate = self.certificates[-1]
        return {
            "app_id": merchant.app_id,
            "merchant_no": merchant.merchant_no,
            "certificate_serial": merchant.serial,
            "private_key": key.private_pem,
            "api_v3_key": merchant.api_v3_key,
            "platform_keys": (
                {certificate.serial: certificate.certificate_pem}
                if certificates
                else {key_id: public.public_pem}
            ),
            "public_key_id": "" if certificates else key_id,
        }

    def keep(self) -> dict[str, Any]:
        """Keys and merchants as JSON, for `restore`."""
        return {
            "public_keys": [[key_id, key.private_pem] for key_id, key in self.public_keys],
            "certificates": [[key.private_pem, key.certificate_pem] for key in self.certificates],
            "merchants": [vars(merchant) for merchant in self.merchants.values()],
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Take the keys and merchants of an earlier run."""
        self.public_keys = [(key_id, KeyPair(pem)) for key_id, pem in kept["public_keys"]]
        self.certificates = [KeyPair(*pems) for pems in kept["certificates"]]
        self.merchants = {row["merchant_no"]: Merchant(**row) for row in kept["merchants"]}

    def control(self, action: str, options: dict[str, Any]) -> Any:
        if action != "POST rotate":
            return super().control(action, options)
        if options["key"] == "certificate":
            self.certificates.append(KeyPair.make("WeChat Pay sandbox"))
            return {"id": self.certificates[-1].serial}
        if options["key"] == "public_key":
            self.public_keys.append(("PUB_KEY_ID_01" + secrets.token_hex(12).upper(), KeyPair.make()))
            return {"id": self.public_keys[-1][0], "public_key": self.public_keys[-1][1].public_pem}
        raise ControlError("key: public_key or certificate")

    # --- requests -------------------------------------------------------------------------------------------

    def operation(self, request: Request) -> str:
        return f"{request.method} {request.path}"

    def busy(self, fault: str) -> Reply:
        if fault == "rate_limited":
            return _json(429, {"code": "FREQUENCY_LIMITED", "message": "频率超限"})
        return _json(500, {"code": "SYSTEM_ERROR", "message": "系统异常，请用相同参数重新调用"})

    def accepted(self, status: int, body: bytes) -> bool:
        return status in {200, 204}

    def answer(self, request: Request, *, bad_signature: bool, unknown_field: bool) -> Reply:
        signer: tuple[str, KeyPair] | None = None
        try:
            merchant = self._authenticated(request)
            signer = self._signer(request)
            with self.lock:
                reply = self._route(merchant, request)
        except Refusal as refusal:
            reply = _json(refusal.status, refusal.content)
        if unknown_field and reply.body:
            reply = _json(reply.status, json.loads(reply.body) | {"sandbox_field": {"of": ["no", "use"]}})
        if signer is None or reply.headers.get("Content-Type") == "application/octet-stream":
            return reply
        return Reply(
            reply.status, reply.body, reply.headers | self._signature(*signer, reply.body, bad=bad_signature)
        )

    def _authenticated(self, request: Request) -> Merchant:
        def sign_error(message: str, issue: str) -> Refusal:
            return Refusal(401, "SIGN_ERROR", message, location="authorization", issue=issue)

        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        fields = dict(CREDENTIAL.findall(rest))
        if scheme != "WECHATPAY2-SHA256-RSA2048" or fields.keys() != {
            "mchid", "nonce_str", "signature", "timestamp", "serial_no",
        }:  # fmt: skip
            raise sign_error(
                "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》", "format"
            )
        merchant = self.merchants.get(fields["mchid"])
        if merchant is None or merchant.serial != fields["serial_no"]:
            raise sign_error("商户证书序列号有误", "serial_no")
        if abs(now().timestamp() - int(fields["timestamp"])) > 300:
            raise sign_error("Http头Authorization中的timestamp与发起请求的时间不得超过5分钟", "timestamp")
        signed = b"\n".join(
            [
                request.method.encode(),
                request.target.encode(),
                fields["timestamp"].encode(),
                fields["nonce_str"].encode(),
                request.body,
                b"",
            ]
        )
        if not verifies(merchant.public_pem, base64.b64decode(fields["signature"]), signed):
            raise sign_error("签名错误，请检查后再试", "sign not match")
        if not request.headers.get("user-agent") or "application/json" not in request.headers.get(
            "accept", ""
        ):
            raise Refusal(406, "PARAM_ERROR", "Accept与User-Agent不能为空")
        return merchant

    def _signer(self, request: Request) -> tuple[str, KeyPair]:
        asked = request.headers.get("wechatpay-serial", "")
        if not asked.startswith("PUB_KEY_ID_"):
            return self.certificates[-1].serial, self.certificates[-1]
        for key_id, key in self.public_keys:
            if key_id == asked:
                return key_id, key
        raise Refusal(400, "PARAM_ERROR", "Wechatpay-Serial错误")

    def _signature(self, serial: str, key: KeyPair, body: bytes, *, bad: bool) -> dict[str, str]:
        stamp, nonce = str(int(now().timestamp())), secrets.token_hex(16)
        message = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
        signature = base64.b64encode(key.sign(message + b"x" if bad else message)).decode()
        if bad and self.settings.get("probe"):
            signature = PROBE + signature[len(PROBE) :]
        return {
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": serial,
            "Wechatpay-Signature": signature,
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
            "Wechatpay-Timestamp": stamp,
        }

    def _route(self, merchant: Merchant, request: Request) -> Reply:
        content = json.loads(request.body) if request.body else {}
        match request.method, request.path:
            case "POST", "/v3/pay/transactions/jsapi":
                return self._create(merchant, content)
            case "POST", "/v3/refund/domestic/refunds":
                return self._refund(merchant, content)
            case "GET", "/v3/bill/tradebill":
                return self._bill(merchant, request)
            case "GET", "/v3/billdownload/file":
                return self._bill_file(merchant, request)
            case "GET", "/v3/certificates":
                return self._certificates(merchant)
        return self._route_by_number(merchant, request, content)

    def _route_by_number(self, merchant: Merchant, request: Request, content: dict[str, Any]) -> Reply:
        if request.method == "GET" and (found := REFUND_PATH.fullmatch(request.path)):
            refund = self.refunds.get((merchant.merchant_no, unquote(found[1])))
            if refund is None:
                raise Refusal(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
            return _json(200, self._refund_content(refund, "status"))
        if found := ORDER_PATH.fullmatch(request.path):
            order = self.orders.get((merchant.merchant_no, unquote(found[1])))
            if request.method == "POST" and found[2]:
                return self._close(merchant, order, content)
            if request.method == "GET" and not found[2]:
                if request.query.get("mchid") != merchant.merchant_no:
                    raise Refusal(400, "PARAM_ERROR", "mchid错误")
                if order is None:
                    raise Refusal(404, "ORDER_NOT_EXIST", "订单不存在")
                return _json(200, self._order_content(order))
        raise Refusal(404, "RESOURCE_NOT_EXISTS", "请求的资源不存在")

    def is_open(self, order: Order) -> bool:
        return self._expire(order).state == "NOTPAY"

    def amount_of(self, order: Order) -> Decimal:
        return Decimal(order.total).scaleb(-2)

    # --- orders ---------------------------------------------------------------------------------------------

    def _create(self, merchant: Merchant, content: dict[str, Any]) -> Reply:
        amount, payer = content.get("amount", {}), content.get("payer", {})
        if content.get("appid") != merchant.app_id or content.get("mchid") != merchant.merchant_no:
            raise Refusal(400, "APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配")
        number, total = content.get("out_trade_no", ""), amount.get("total")
        problems = {
            "out_trade_no": not OUT_TRADE_NO.fullmatch(number),
            "description": not 0 < len(content.get("description", "")) <= 127,
            "amount": type(total) is not int or total <= 0 or amount.get("currency", "CNY") != "CNY",
            "payer": not payer.get("openid"),
            "notify_url": not _plain_url(content.get("notify_url", "")),
            "time_expire": not _expiry(content) > now(),
        }
        if wrong := [name for name, problem in problems.items() if problem]:
            raise Refusal(400, "PARAM_ERROR", f"参数错误: {wrong[0]}", location="body", field=wrong[0])
        key = (merchant.merchant_no, number)
        known = self.orders.get(key)
        if known is not None:
            if known.state in {"SUCCESS", "REFUND"}:
                raise Refusal(400, "ORDERPAID", "该订单已支付")
            if self._expire(known).state == "CLOSED":
                raise Refusal(400, "ORDER_CLOSED", "该订单已关闭")
            if known.content != content:
                raise Refusal(403, "OUT_TRADE_NO_USED", "商户订单号重复")
            return _json(200, {"prepay_id": known.prepay_id})
        order = Order(
            merchant_no=merchant.merchant_no,
            out_trade_no=number,
            content=content,
            prepay_id="wx" + secrets.token_hex(16),
            transaction_id=_number(42),
        )
        self.orders[key] = order
        return _json(200, {"prepay_id": order.prepay_id})

    def _close(self, merchant: Merchant, order: Order | None, content: dict[str, Any]) -> Reply:
        if content != {"mchid": merchant.merchant_no}:
            raise Refusal(400, "PARAM_ERROR", "mchid错误")
        if order is None:
            raise Refusal(404, "ORDER_NOT_EXIST", "订单不存在")
        if order.state in {"SUCCESS", "REFUND"}:
            raise Refusal(400, "ORDERPAID", "该订单已支付")
        if order.state == "CLOSED":
            raise Refusal(400, "ORDER_CLOSED", "该订单已关闭")
        order.state = "CLOSED"
        return Reply(204)

    @staticmethod
    def _expire(order: Order) -> Order:
        if order.state == "NOTPAY" and _expiry(order.content) <= now():
            order.state = "CLOSED"
        return order

    def _order_content(self, order: Order) -> dict[str, Any]:
        self._expire(order)
        content = {
            "appid": order.content["appid"],
            "mchid": order.merchant_no,
            "out_trade_no": order.out_trade_no,
            "trade_state": order.state,
            "trade_state_desc": order.state,
            "attach": order.content.get("attach", ""),
            "payer": order.content["payer"],
        }
        if order.paid_at is not None:
            content |= {
                "transaction_id": order.transaction_id,
                "trade_type": "JSAPI",
                "bank_type": "OTHERS",
                "success_time": order.paid_at.isoformat(timespec="seconds"),
            }
        amount = {"total": order.paid or order.total, "currency": "CNY"}
        if order.paid_at is not None:
            amount |= {"payer_total": amount["total"], "payer_currency": "CNY"}
        return content | {"amount": amount}

    def order_of(self, client_params: dict[str, str]) -> Order:
        """What `wx.requestPayment` checks: the app, the merchant's signature, and an order behind the prepay_id."""
        app_id, package = client_params["appId"], client_params["package"]
        for order in self.orders.values():
            merchant = self.merchants[order.merchant_no]
            if (f"prepay_id={order.prepay_id}", merchant.app_id) != (package, app_id):
                continue
            text = (
                f"{app_id}\n{client_params['timeStamp']}\n{client_params['nonceStr']}\n{package}\n".encode()
            )
            signature = base64.b64decode(client_params["paySign"])
            if client_params["signType"] != "RSA" or not verifies(merchant.public_pem, signature, text):
                raise ControlError("支付验证签名失败")
            return order
        raise ControlError("prepay_id")

    def pay(self, order: Order, at: datetime, options: dict[str, Any]) -> Announcement | None:
        """Pay: `amount` (fen) other than the order's is a fraud to try. A closed order may be paid by `force`."""
        if self._expire(order).state != "NOTPAY" and not options.get("force"):
            raise ControlError(f"the order is {order.state}")
        order.state, order.paid_at = "SUCCESS", at
        order.paid = int(options.get("amount", order.total))
        return self.payment_notice(order)

    def payment_notice(self, order: Order) -> Announcement | None:
        if order.paid_at is None:
            raise ControlError("the order is not paid")
        content = self._order_content(order) | {"trade_state": "SUCCESS", "trade_state_desc": "支付成功"}
        return self._announcement(
            order,
            order.out_trade_no,
            order.content["notify_url"],
            "TRANSACTION.SUCCESS",
            content,
        )

    # --- refunds --------------------------------------------------------------------------------------------

    def _refund(self, merchant: Merchant, content: dict[str, Any]) -> Reply:
        number, amount = content.get("out_refund_no", ""), content.get("amount", {})
        key = (merchant.merchant_no, number)
        known = self.refunds.get(key)
        if known is not None:
            if known.content != content:
                raise Refusal(400, "PARAM_ERROR", "订单金额或退款金额与之前请求不一致，请核实后再试")
            return _json(200, self._refund_content(known, "status"))
        order = self.orders.get((merchant.merchant_no, content.get("out_trade_no", "")))
        if order is None or order.paid_at is None:
            raise Refusal(404, "RESOURCE_NOT_EXISTS", "订单不存在")
        value = amount.get("refund")
        earlier = [
            refund
            for refund in self.refunds.values()
            if (refund.merchant_no, refund.out_trade_no) == (merchant.merchant_no, order.out_trade_no)
            and refund.status != "CLOSED"
        ]
        if (
            not 1 <= len(number) <= 64
            or type(value) is not int
            or value <= 0
            or amount.get("currency") != "CNY"
        ):
            raise Refusal(400, "PARAM_ERROR", "参数错误")
        if amount.get("total") != order.paid:
            raise Refusal(400, "PARAM_ERROR", "订单金额与原订单不一致")
        if now() - order.paid_at > timedelta(days=365):
            raise Refusal(400, "INVALID_REQUEST", "订单已超过可退款的最长期限")
        if len(earlier) >= MOST_REFUNDS:
            raise Refusal(400, "INVALID_REQUEST", "订单部分退款次数超过限制")
        if sum(refund.amount for refund in earlier) + value > order.paid:
            raise Refusal(400, "INVALID_REQUEST", "申请退款金额大于订单剩余可退金额")
        if value > self.settings.get("balance", value):
            raise Refusal(403, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起")
        refund = Refund(
            merchant_no=merchant.merchant_no,
            out_refund_no=number,
            out_trade_no=order.out_trade_no,
            content=content,
            refund_id=_number(50),
            created_at=now().replace(microsecond=0),
        )
        self.refunds[key] = refund
        order.state = "REFUND"
        reply = _json(200, self._refund_content(refund, "status"))
        if self.settings.get("instant_refunds"):
            self.announce(self.finish_refund(refund, "SUCCESS", refund.created_at), "later")
        return reply

    def _refund_content(self, refund: Refund, status: str) -> dict[str, Any]:
        order = self.orders[refund.merchant_no, refund.out_trade_no]
        content: dict[str, Any] = {
            "refund_id": refund.refund_id,
            "out_refund_no": refund.out_refund_no,
            "transaction_id": order.transaction_id,
            "out_trade_no": order.out_trade_no,
            status: refund.status,
            "user_received_account": "支付用户零钱",
            "create_time": refund.created_at.isoformat(),
        }
        if refund.done_at is not None:
            content["success_time"] = refund.done_at.isoformat()
        amount = {
            "total": order.paid,
            "refund": refund.amount,
            "payer_total": order.paid,
            "payer_refund": refund.amount,
        }
        if status == "refund_status":
            return content | {"mchid": refund.merchant_no, "amount": amount}
        return content | {"channel": "ORIGINAL", "amount": amount | {"currency": "CNY"}}

    def finish_refund(self, refund: Refund, status: str, at: datetime) -> Announcement | None:
        if status not in {"SUCCESS", "CLOSED", "ABNORMAL"} or refund.status == "SUCCESS":
            raise ControlError(f"a refund cannot go from {refund.status} to {status}")
        refund.status = status
        refund.done_at = at if status == "SUCCESS" else None
        url = refund.content.get("notify_url")
        if not url:
            return None
        return self._announcement(
            refund,
            refund.out_refund_no,
            url,
            f"REFUND.{status}",
            self._refund_content(refund, "refund_status"),
        )

    # --- notices and certificates -----------------------------------------------------------------------------

    def _announcement(
        self, row: Order | Refund, number: str, url: str, event: str, content: dict[str, Any]
    ) -> Announcement:
        merchant, event_id = self.merchants[row.merchant_no], row.event_id
        created = now().isoformat(timespec="seconds")

        def render(bad: bool, extra: bool) -> tuple[dict[str, str], bytes]:
            more = {"sandbox_field": [1, None]} if extra else {}
            kind = "refund" if event.startswith("REFUND") else "transaction"
            envelope = {
                "id": event_id,
                "create_time": created,
                "resource_type": "encrypt-resource",
                "event_type": event,
                "summary": "支付成功" if kind == "transaction" else "退款",
                "resource": {"original_type": kind} | _sealed(merchant.api_v3_key, content | more, kind),
            } | more
            body = json.dumps(envelope, ensure_ascii=False).encode()
            certificate = (
                self.settings.get("notice_key", "certificate" if merchant.certificates else "")
                == "certificate"
            )
            serial, key = (
                (self.certificates[-1].serial, self.certificates[-1]) if certificate else self.public_keys[-1]
            )
            headers = {"Content-Type": "application/json", "User-Agent": "Mozilla/4.0"}
            return headers | self._signature(serial, key, body, bad=bad), body

        return Announcement(number=number, event_id=event_id, url=url, render=render)

    def _certificates(self, merchant: Merchant) -> Reply:
        if not merchant.certificates:
            raise Refusal(
                404, "RESOURCE_NOT_EXISTS", "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥"
            )
        entries = []
        for key in self.certificates:
            sealed = _sealed(merchant.api_v3_key, key.certificate_pem, "certificate")
            entries.append(
                {
                    "serial_no": key.serial,
                    "effective_time": key.certificate.not_valid_before_utc.isoformat(),
                    "expire_time": key.certificate.not_valid_after_utc.isoformat(),
                    "encrypt_certificate": sealed,
                }
            )
        return _json(200, {"data": entries})

    # --- bills ----------------------------------------------------------------------------------------------

    def _bill(self, merchant: Merchant, request: Request) -> Reply:
        day = date.fromisoformat(request.query.get("bill_date", ""))
        if day >= now().date() and not self.settings.get("unfinished_bills"):
            raise Refusal(400, "INVALID_REQUEST", "账单日期错误，只能下载今天以前的账单")
        lines = self._bill_lines(merchant, day)
        if not lines:
            raise Refusal(400, "NO_STATEMENT_EXIST", "请求的账单文件不存在")
        rate = Decimal(self.settings.get("fee_rate", "0.006"))
        text = wechatpay_bill(lines, app_id=merchant.app_id, merchant_no=merchant.merchant_no, rate=rate)
        token = secrets.token_urlsafe(32)
        packed = gzip.compress(text) if request.query.get("tar_type") == "GZIP" else text
        self._bills[token] = (merchant.merchant_no, packed)
        mount = urlsplit(request.target).path.removesuffix("/v3/bill/tradebill")
        return _json(
            200,
            {
                "hash_type": "SHA1",
                "hash_value": hashlib.sha1(text, usedforsecurity=False).hexdigest(),
                "download_url": f"http://{request.headers['host']}{mount}/v3/billdownload/file?token={token}",
            },
        )

    def _bill_file(self, merchant: Merchant, request: Request) -> Reply:
        owner, content = self._bills.get(request.query.get("token", ""), ("", b""))
        if owner != merchant.merchant_no:
            raise Refusal(403, "NO_AUTH", "无权限下载")
        return Reply(200, content, {"Content-Type": "application/octet-stream"})

    def _bill_lines(self, merchant: Merchant, day: date) -> list[Line]:
        def line(order: Order, at: datetime, fen: int, **refund: str) -> Line:
            payer, goods = order.content["payer"]["openid"], order.content["description"]
            amount = Decimal(fen).scaleb(-2)
            return Line(at, order.transaction_id, order.out_trade_no, payer, goods, amount, **refund)

        found = [
            line(order, order.paid_at, order.paid)
            for (owner, _), order in self.orders.items()
            if owner == merchant.merchant_no and order.paid_at
        ]
        for (owner, number), refund in self.refunds.items():
            if owner == merchant.merchant_no:
                order = self.orders[owner, refund.out_trade_no]
                names = {
                    "out_refund_no": number,
                    "refund_no": refund.refund_id,
                    "refund_status": refund.status,
                }
                found.append(line(order, refund.done_at or refund.created_at, refund.amount, **names))
        return sorted((each for each in found if each.at.date() == day), key=lambda each: each.at)


def _json(status: int, content: object) -> Reply:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status, body, {"Content-Type": "application/json; charset=utf-8"})


def _sealed(api_v3_key: str, content: dict[str, Any] | str, associated: str) -> dict[str, str]:
    plain = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    nonce = secrets.token_hex(6)
    sealed = AESGCM(api_v3_key.encode()).encrypt(nonce.encode(), plain.encode(), associated.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(sealed).decode(),
        "nonce": nonce,
        "associated_data": associated,
    }


def _plain_url(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.scheme and parts.netloc) and not parts.query


def _expiry(content: dict[str, Any]) -> datetime:
    text = content.get("time_expire")
    moment = datetime.fromisoformat(text) if text else now() + timedelta(hours=2)
    if moment.tzinfo is None:
        raise Refusal(400, "PARAM_ERROR", "time_expire格式错误")
    return moment.astimezone(BEIJING)


def _number(prefix: int) -> str:
    return f"{prefix}0000{now():%Y%m%d}{secrets.randbelow(10**14):014}"
