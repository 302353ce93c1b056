"""Alipay's gateway as its documents describe it: trades of mini-programs, refunds, trade bills, sign-in by QR; RSA2.

Settings: `slow_refunds` (a refund is under way until POST refunds ends it), `balance` (yuan in the merchant's account),
`fee_rate` (default "0.006"), `unfinished_bills` (today has a bill already), `system_error` (a number of
answers with code 20000, given after the work was done). Control: POST rotate {} → the new public key (and certificate).
Bills are fetched from /files, without a signature. The QR page of sign-in is /oauth2/publicAppAuthorize.htm.
Control: POST phone {"app_id", "person", "phone"?} → {"code", and with a phone "phone"}: what `my.getAuthCode` and
`my.getPhoneNumber` give in the app. POST template {"app_id", "fields"} → {"template_id"}, POST subscribe {"app_id",
"open_id", "template_id"}: a template of messages, and a driver's yes to them; what was sent is in `messages`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sandbox.bills import Line, alipay_bill
from sandbox.provider import BEIJING, Announcement, ControlError, Provider, Reply, Request, now
from sandbox.rsa import KeyPair, verifies
from sandbox.scan import Scans, account, error_page, is_absolute, scan_page, send_back

TIME = "%Y-%m-%d %H:%M:%S"
CLOCK = timedelta(minutes=10)
BILL_LIFE = timedelta(seconds=30)
TOKEN = "alipay.system.oauth.token"  # noqa: S105 - a method; its own parameters stand beside the common ones, without biz_content
COMMON = {"app_id", "method", "format", "charset", "sign_type", "sign", "timestamp", "version", "biz_content"}


@dataclass(frozen=True)
class Merchant:
    app_id: str
    seller_id: str
    public_pem: str
    certificate_number: str  # empty in key mode
    root_number: str


@dataclass
class Order:
    merchant_no: str
    out_trade_no: str
    content: dict[str, Any]
    notify_url: str
    trade_no: str
    status: str = "WAIT_BUYER_PAY"
    paid: Decimal = Decimal(0)
    paid_at: datetime | None = None
    refunded: Decimal = Decimal(0)
    event_id: str = field(default_factory=lambda: secrets.token_hex(17))


@dataclass
class Refund:
    merchant_no: str
    out_refund_no: str
    out_trade_no: str
    amount: Decimal
    at: datetime
    done: bool
    event_id: str = field(default_factory=lambda: secrets.token_hex(17))


class Refusal(Exception):
    """An answer with another code than 10000; `early` ones come before the app is known, and unsigned."""

    def __init__(self, code: str, sub_code: str, sub_msg: str, *, early: bool = False) -> None:
        self.early = early
        messages = {
            "40002": "Invalid Arguments",
            "40004": "Business Failed",
            "20000": "Service Currently Unavailable",
        }
        self.content = {"code": code, "msg": messages[code], "sub_code": sub_code, "sub_msg": sub_msg}
        super().__init__(sub_code)


class Alipay(Provider):
    """The gateway with its keys, and the merchants that it issued credentials to."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = [KeyPair.make("Alipay sandbox")]
        self.root = KeyPair.make("Alipay sandbox root")
        self.merchants: dict[str, Merchant] = {}
        self.content_keys: dict[str, str] = {}
        self.scans = Scans()
        self.templates: dict[tuple[str, str], list[str]] = {}
        self.subscribed: set[tuple[str, str, str]] = set()
        self.messages: list[dict[str, Any]] = []
        self._bills: dict[str, tuple[datetime, bytes]] = {}

    def issue(self, *, certificates: bool = False) -> dict[str, Any]:
        """Make a merchant and return what its console would show: the fields of a client's credentials."""
        key = KeyPair.make("merchant app")
        number = len(self.merchants) + 1
        merchant = Merchant(
            app_id=f"20210000{number:08}",
            seller_id=f"20880000{number:08}",
            public_pem=key.public_pem,
            certificate_number=certificate_number(key) if certificates else "",
            root_number=certificate_number(self.root) if certificates else "",
        )
        self.merchants[merchant.app_id] = merchant
        issued = {
            "app_id": merchant.app_id,
            "seller_id": merchant.seller_id,
            "private_key": key.private_pem,
            "alipay_keys": [self.keys[-1].certificate_pem if certificates else self.keys[-1].public_pem],
        }
        if certificates:
            issued |= {
                "app_certificate": key.certificate_pem,
                "root_certificates": self.root.certificate_pem,
            }
        return issued

    def keep(self) -> dict[str, Any]:
        """Keys and merchants as JSON, for `restore`."""
        return {
            "keys": [[key.private_pem, key.certificate_pem] for key in (*self.keys, self.root)],
            "merchants": [vars(merchant) for merchant in self.merchants.values()],
            "content_keys": self.content_keys,
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Take the keys and merchants of an earlier run."""
        *self.keys, self.root = (KeyPair(*pems) for pems in kept["keys"])
        self.merchants = {row["app_id"]: Merchant(**row) for row in kept["merchants"]}
        self.content_keys = kept.get("content_keys", {})

    def content_key(self, app_id: str) -> str:
        """An app's key for encrypted contents (接口内容加密), base64 as its console shows it; made at first sight."""
        return self.content_keys.setdefault(app_id, base64.b64encode(secrets.token_bytes(16)).decode())

    def phone(self, app_id: str, number: str, **changes: str) -> str:
        """What `my.getPhoneNumber` gives an app: JSON, signed over the quoted response, AES-CBC with an IV of zeros."""
        content = json.dumps({"code": "10000", "msg": "Success", "mobile": number} | changes).encode()
        padder = padding.PKCS7(128).padder()
        padded = padder.update(content) + padder.finalize()
        writer = Cipher(
            algorithms.AES(base64.b64decode(self.content_key(app_id))), modes.CBC(bytes(16))
        ).encryptor()
        response = base64.b64encode(writer.update(padded) + writer.finalize()).decode()
        sign = base64.b64encode(self.keys[-1].sign(f'"{response}"'.encode())).decode()
        return json.dumps(
            {
                "response": response,
                "sign": sign,
                "sign_type": "RSA2",
                "encrypt_type": "AES",
                "charset": "UTF-8",
            }
        )

    def control(self, action: str, options: dict[str, Any]) -> Any:
        if action == "POST phone":
            with self.lock:
                found = {"code": self.scans.agree(options["app_id"], options["person"])}
                if "phone" in options:
                    found["phone"] = self.phone(options["app_id"], options["phone"])
            return found
        if action == "POST template":
            template_id = secrets.token_hex(16)
            self.templates[options["app_id"], template_id] = list(options["fields"])
            return {"template_id": template_id}
        if action == "POST subscribe":
            self.subscribed.add((options["app_id"], options["open_id"], options["template_id"]))
            return {}
        if action != "POST rotate":
            return super().control(action, options)
        self.keys.append(KeyPair.make("Alipay sandbox"))
        return {"public_key": self.keys[-1].public_pem, "certificate": self.keys[-1].certificate_pem}

    # --- requests -------------------------------------------------------------------------------------------

    def operation(self, request: Request) -> str:
        return _params(request).get("method", request.path)

    def busy(self, fault: str) -> Reply:
        if fault == "http_500":
            return Reply(502, b"<html><body>502 Bad Gateway</body></html>", {"Content-Type": "text/html"})
        content = {
            "code": "40005",
            "msg": "Call Limited",
            "sub_code": "isv.app-call-limited",
            "sub_msg": "应用调用次数超限",
        }
        return _signed_reply("error_response", content, self.keys[-1])

    def accepted(self, status: int, body: bytes) -> bool:
        return status == 200 and body == b"success"

    def answer(self, request: Request, *, bad_signature: bool, unknown_field: bool) -> Reply:
        if request.method == "GET" and request.path == "/files":
            return self._bill_file(request)
        if request.path.startswith("/oauth2/"):
            return self._scan(request)
        params = _params(request)
        node = params.get("method", "").replace(".", "_") + "_response"
        more: dict[str, str] = {}
        try:
            merchant = self._authenticated(params)
            if merchant.certificate_number:
                more["alipay_cert_sn"] = certificate_number(self.keys[-1])
            with self.lock:
                content = {"code": "10000", "msg": "Success"} | self._route(merchant, params, request)
            if self.settings.get("system_error", 0) > 0:
                self.settings["system_error"] -= 1
                raise Refusal("20000", "isp.unknow-error", "系统繁忙")
        except Refusal as refusal:
            content = refusal.content
            if refusal.early:
                text = json.dumps({"error_response": content}, ensure_ascii=False)
                return Reply(200, text.encode(), {"Content-Type": "application/json;charset=utf-8"})
        if unknown_field:
            content |= {"sandbox_field": {"text": 'brace } and quote " {'}}
        return _signed_reply(node, content, self.keys[-1], bad=bad_signature, **more)

    def _authenticated(self, params: dict[str, str]) -> Merchant:
        def early(sub_code: str, sub_msg: str) -> Refusal:
            return Refusal("40002", sub_code, sub_msg, early=True)

        needed = COMMON - ({"biz_content"} if params.get("method") == TOKEN else set())
        if missing := sorted(needed - params.keys()):
            raise early(f"isv.missing-{missing[0].replace('_', '-')}", f"缺少{missing[0]}参数")
        merchant = self.merchants.get(params["app_id"])
        if merchant is None:
            raise early("isv.invalid-app-id", "无效的AppID参数")
        if params["sign_type"] != "RSA2":
            raise early("isv.invalid-signature-type", "无效签名类型")
        signed = "&".join(f"{k}={v}" for k, v in sorted(params.items()) if k != "sign" and v != "")
        if not verifies(merchant.public_pem, base64.b64decode(params["sign"]), signed.encode()):
            raise early(
                "isv.invalid-signature",
                "验签出错",
            )
        sent = datetime.strptime(params["timestamp"], TIME).replace(tzinfo=BEIJING)
        if abs(now() - sent) > CLOCK:
            raise early("isv.invalid-timestamp", "非法的时间戳参数")
        numbers = (params.get("app_cert_sn", ""), params.get("alipay_root_cert_sn", ""))
        if numbers != (merchant.certificate_number, merchant.root_number):
            raise early("isv.app-cert-not-match", "应用公钥证书SN不匹配")
        return merchant

    def _route(self, merchant: Merchant, params: dict[str, str], request: Request) -> dict[str, Any]:
        if params["method"] == TOKEN:
            return self._token(merchant, params)
        content = json.loads(params["biz_content"])
        match params["method"]:
            case "alipay.trade.create":
                return self._create(merchant, content, params.get("notify_url", ""))
            case "alipay.trade.query":
                return self._query(self._order(merchant, content))
            case "alipay.trade.close":
                return self._close(self._order(merchant, content))
            case "alipay.trade.refund":
                return self._refund(self._order(merchant, content), content)
            case "alipay.trade.fastpay.refund.query":
                return self._refund_query(self._order(merchant, content), content)
            case "alipay.data.dataservice.bill.downloadurl.query":
                return self._bill(merchant, content, request)
            case "alipay.open.app.mini.templatemessage.send":
                return self._message(merchant, content)
        raise Refusal("40002", "isv.invalid-method", "不存在的方法名")

    def _message(self, merchant: Merchant, content: dict[str, Any]) -> dict[str, Any]:
        template_id = content.get("user_template_id", "")
        fields = self.templates.get((merchant.app_id, template_id))
        if fields is None:
            raise Refusal("40004", "USER_TEMPLATE_ILLEGAL", "模板非法")
        to = content.get("to_open_id") or content.get("to_user_id") or ""
        if (merchant.app_id, to, template_id) not in self.subscribed:
            raise Refusal("40004", "USER_NOT_SUBSCRIBE", "用户未订阅")
        data = json.loads(content["data"])
        if sorted(data) != sorted(fields) or not all(data[name].get("value") for name in fields):
            raise Refusal("40004", "TEMPLATE_PARAM_ILLEGAL", "模板参数非法")
        self.messages.append(content)
        return {}

    def _order(self, merchant: Merchant, content: dict[str, Any]) -> Order:
        order = self.orders.get((merchant.seller_id, content.get("out_trade_no", "")))
        if order is None:
            raise Refusal("40004", "ACQ.TRADE_NOT_EXIST", "交易不存在")
        if order.status == "WAIT_BUYER_PAY" and _expiry(order.content) <= now():
            order.status = "TRADE_CLOSED"
        return order

    def is_open(self, order: Order) -> bool:
        return order.status == "WAIT_BUYER_PAY" and _expiry(order.content) > now()

    def amount_of(self, order: Order) -> Decimal:
        return Decimal(order.content["total_amount"])

    # --- sign-in --------------------------------------------------------------------------------------------

    def _scan(self, request: Request) -> Reply:
        if request.method == "GET":
            words = request.query
        else:
            words = dict(parse_qsl(request.body.decode()))
            # Another site's page in the same browser must not agree here.
            if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
                return Reply(403)
        if words.get("app_id") not in self.merchants:
            return error_page("app_id 无效")
        if words.get("scope") != "auth_base" or not is_absolute(words.get("redirect_uri", "")):
            return error_page("redirect_uri 或 scope 无效")
        if request.method == "GET":
            kept = {name: words.get(name, "") for name in ("app_id", "scope", "redirect_uri", "state")}
            return scan_page("支付宝登录（沙箱）", "publicAppAuthorize.htm", kept)
        with self.lock:
            code = self.scans.agree(words["app_id"], words["person"])
        back = {"app_id": words["app_id"], "source": "alipay_wallet", "scope": "auth_base", "auth_code": code}
        return send_back(words["redirect_uri"], back | {"state": words.get("state", "")})

    def _token(self, merchant: Merchant, params: dict[str, str]) -> dict[str, Any]:
        if params.get("grant_type") != "authorization_code":
            raise Refusal("40002", "isv.grant-type-invalid", "grant_type不正确")
        code = self.scans.find(merchant.app_id, params.get("code", ""))
        if code is None or code.used:
            raise Refusal("40002", "isv.code-invalid", "授权码code无效")
        code.used = True
        return {
            "access_token": secrets.token_hex(20),
            "open_id": account(merchant.app_id, code.person, 40),
            "expires_in": 1296000,
            "refresh_token": secrets.token_hex(20),
            "re_expires_in": 2592000,
        }

    # --- trades ---------------------------------------------------------------------------------------------

    def _create(self, merchant: Merchant, content: dict[str, Any], notify_url: str) -> dict[str, Any]:
        number, amount = content.get("out_trade_no", ""), content.get("total_amount", "")
        whole, point, cents = amount.partition(".")
        valid = (
            0 < len(number) <= 64
            and whole.isdigit()
            and len(cents) <= 2
            and (cents.isdigit() or not point)
            and Decimal(amount) > 0
            and content.get("subject")
            and content.get("product_code") == "JSAPI_PAY"
            and content.get("op_app_id") == merchant.app_id
            and (content.get("buyer_open_id") or content.get("buyer_id"))
        )
        if not valid:
            raise Refusal("40004", "ACQ.INVALID_PARAMETER", "参数无效")
        key = (merchant.seller_id, number)
        known = self.orders.get(key)
        if known is None:
            known = Order(merchant.seller_id, number, content, notify_url, _number("22"))
            self.orders[key] = known
        elif known.paid_at is not None:
            raise Refusal("40004", "ACQ.TRADE_HAS_SUCCESS", "交易已被支付")
        elif self._order(merchant, content).status == "TRADE_CLOSED":
            raise Refusal("40004", "ACQ.TRADE_HAS_CLOSE", "交易已经关闭")
        elif known.content != content:
            raise Refusal("40004", "ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改")
        return {"out_trade_no": number, "trade_no": known.trade_no}

    @staticmethod
    def _query(order: Order) -> dict[str, Any]:
        content = {
            "out_trade_no": order.out_trade_no,
            "trade_no": order.trade_no,
            "trade_status": order.status,
            "total_amount": f"{order.paid or Decimal(order.content['total_amount']):.2f}",
            "subject": order.content["subject"],
            "buyer_open_id": order.content.get("buyer_open_id", ""),
            "buyer_user_id": order.content.get("buyer_id", ""),
        }
        return content | ({"send_pay_date": order.paid_at.strftime(TIME)} if order.paid_at else {})

    @staticmethod
    def _close(order: Order) -> dict[str, Any]:
        if order.status != "WAIT_BUYER_PAY":
            raise Refusal("40004", "ACQ.REASON_TRADE_STATUS_INVALID", "交易状态不合法")
        order.status = "TRADE_CLOSED"
        return {"out_trade_no": order.out_trade_no, "trade_no": order.trade_no}

    def order_of(self, client_params: dict[str, str]) -> Order:
        """What `my.tradePay` finds behind a trade number."""
        for order in self.orders.values():
            if order.trade_no == client_params["tradeNO"]:
                return order
        raise ControlError("tradeNO")

    def pay(self, order: Order, at: datetime, options: dict[str, Any]) -> Announcement | None:
        """Pay: `amount` (yuan) other than the order's is a fraud to try. A closed order may be paid by `force`."""
        if order.status != "WAIT_BUYER_PAY" and not options.get("force"):
            raise ControlError(f"the order is {order.status}")
        order.status, order.paid_at = "TRADE_SUCCESS", at
        order.paid = Decimal(str(options.get("amount", order.content["total_amount"])))
        return self.payment_notice(order)

    def payment_notice(self, order: Order) -> Announcement | None:
        if order.paid_at is None:
            raise ControlError("the order is not paid")
        return self._announcement(order, order.event_id, {"trade_status": "TRADE_SUCCESS"})

    # --- refunds --------------------------------------------------------------------------------------------

    def _refund(self, order: Order, content: dict[str, Any]) -> dict[str, Any]:
        number, amount = content.get("out_request_no", ""), Decimal(content.get("refund_amount", "0"))
        key = (order.merchant_no, number)
        answer = {
            "out_trade_no": order.out_trade_no,
            "trade_no": order.trade_no,
            "buyer_open_id": order.content.get("buyer_open_id", ""),
        }
        known = self.refunds.get(key)
        if known is not None:
            if (known.out_trade_no, known.amount) != (order.out_trade_no, amount):
                raise Refusal("40004", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额与之前请求不一致")
            return answer | {"fund_change": "N", "refund_fee": f"{order.refunded:.2f}"}
        if order.paid_at is None or not 1 <= len(number) <= 64 or amount <= 0:
            raise Refusal("40004", "ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
        if order.refunded + amount > order.paid:
            raise Refusal("40004", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "撤销或退款金额与订单金额不一致")
        if amount > Decimal(str(self.settings.get("balance", amount))):
            raise Refusal("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH", "卖家余额不足")
        slow = bool(self.settings.get("slow_refunds"))
        refund = Refund(
            order.merchant_no, number, order.out_trade_no, amount, now().replace(microsecond=0), not slow
        )
        self.refunds[key] = refund
        order.refunded += amount
        if order.refunded == order.paid:
            order.status = "TRADE_CLOSED"
        self.announce(self._refund_notice(refund), "later")
        return answer | {
            "fund_change": "N" if slow else "Y",
            "refund_fee": f"{order.refunded:.2f}",
            "gmt_refund_pay": refund.at.strftime(TIME),
        }

    def _refund_query(self, order: Order, content: dict[str, Any]) -> dict[str, Any]:
        refund = self.refunds.get((order.merchant_no, content.get("out_request_no", "")))
        if refund is None or refund.out_trade_no != order.out_trade_no:
            return {}
        return {
            "out_trade_no": order.out_trade_no,
            "trade_no": order.trade_no,
            "out_request_no": refund.out_refund_no,
            "total_amount": f"{order.paid:.2f}",
            "refund_amount": f"{refund.amount:.2f}",
            "refund_status": "REFUND_SUCCESS" if refund.done else "REFUND_PROCESSING",
        } | (
            {"gmt_refund_pay": refund.at.strftime(TIME)}
            if refund.done and "gmt_refund_pay" in content.get("query_options", [])
            else {}
        )

    def finish_refund(self, refund: Refund, status: str, at: datetime) -> Announcement | None:
        if status != "REFUND_SUCCESS" or refund.done:
            raise ControlError("a refund under way can only become REFUND_SUCCESS")
        refund.done, refund.at = True, at
        return self._refund_notice(refund)

    def _refund_notice(self, refund: Refund) -> Announcement | None:
        """Alipay tells of a refund by repeating the payment's notice with three more fields."""
        order = self.orders[refund.merchant_no, refund.out_trade_no]
        more = {
            "trade_status": order.status,
            "refund_fee": f"{order.refunded:.2f}",
            "gmt_refund": refund.at.strftime(TIME) + ".000",
            "out_biz_no": refund.out_refund_no,
        }
        return self._announcement(order, refund.event_id, more)

    # --- notices --------------------------------------------------------------------------------------------

    def _announcement(self, order: Order, event_id: str, more: dict[str, str]) -> Announcement | None:
        if not order.notify_url:
            return None
        merchant = next(m for m in self.merchants.values() if m.seller_id == order.merchant_no)
        assert order.paid_at is not None
        fixed = {
            "notify_type": "trade_status_sync",
            "notify_id": event_id,
            "charset": "utf-8",
            "version": "1.0",
            "app_id": merchant.app_id,
            "auth_app_id": merchant.app_id,
            "seller_id": merchant.seller_id,
            "out_trade_no": order.out_trade_no,
            "trade_no": order.trade_no,
            "total_amount": f"{order.paid:.2f}",
            "receipt_amount": f"{order.paid:.2f}",
            "subject": order.content["subject"],
            "buyer_open_id": order.content.get("buyer_open_id", ""),
            "gmt_payment": order.paid_at.strftime(TIME),
        } | more

        def render(bad: bool, extra: bool) -> tuple[dict[str, str], bytes]:
            params = fixed | {"notify_time": now().strftime(TIME)}
            if extra:
                params["sandbox_field"] = "a=b&c"
            text = "&".join(f"{name}={value}" for name, value in sorted(params.items()))
            sign = self.keys[-1].sign((text + "x" if bad else text).encode())
            params |= {"sign_type": "RSA2", "sign": base64.b64encode(sign).decode()}
            headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
            return headers, urlencode(params).encode()

        return Announcement(number=order.out_trade_no, event_id=event_id, url=order.notify_url, render=render)

    # --- bills ----------------------------------------------------------------------------------------------

    def _bill(self, merchant: Merchant, content: dict[str, Any], request: Request) -> dict[str, Any]:
        day = date.fromisoformat(content.get("bill_date", ""))
        is_over = day < now().date() or self.settings.get("unfinished_bills")
        if content.get("bill_type") != "trade" or not is_over:
            raise Refusal("40004", "isp.bill_date_error", "账单日期错误")
        lines = self._bill_lines(merchant, day)
        if not lines:
            raise Refusal("40004", "isp.bill_not_exist", "账单不存在")
        rate = Decimal(self.settings.get("fee_rate", "0.006"))
        token = secrets.token_urlsafe(32)
        self._bills[token] = (now(), alipay_bill(lines, seller_id=merchant.seller_id, day=day, rate=rate))
        mount = request.target.partition("?")[0].removesuffix("/gateway.do")
        return {
            "bill_download_url": f"http://{request.headers['host']}{mount}/files?downloadFileName={token}"
        }

    def _bill_file(self, request: Request) -> Reply:
        made, content = self._bills.get(request.query.get("downloadFileName", ""), (None, b""))
        if made is None or now() - made > BILL_LIFE:
            return Reply(403, b"expired", {"Content-Type": "text/plain"})
        return Reply(200, content, {"Content-Type": "application/zip"})

    def _bill_lines(self, merchant: Merchant, day: date) -> list[Line]:
        def line(order: Order, at: datetime, amount: Decimal, number: str = "") -> Line:
            goods = order.content["subject"].replace(",", " ")
            return Line(at, order.trade_no, order.out_trade_no, "", goods, amount, out_refund_no=number)

        found = [
            line(order, order.paid_at, order.paid)
            for (owner, _), order in self.orders.items()
            if owner == merchant.seller_id and order.paid_at
        ]
        found += [
            line(self.orders[owner, refund.out_trade_no], refund.at, refund.amount, number)
            for (owner, number), refund in self.refunds.items()
            if owner == merchant.seller_id and refund.done
        ]
        return sorted((each for each in found if each.at.date() == day), key=lambda each: each.at)


def certificate_number(key: KeyPair) -> str:
    """MD5 over the issuer's parts, the most special first, followed by the serial number in decimal."""
    short = {"2.5.4.3": "CN", "2.5.4.11": "OU", "2.5.4.10": "O", "2.5.4.6": "C"}
    parts = [f"{short[part.oid.dotted_string]}={part.value!s}" for part in key.certificate.issuer]
    text = ",".join(reversed(parts)) + str(key.certificate.serial_number)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _params(request: Request) -> dict[str, str]:
    return request.query | dict(parse_qsl(request.body.decode(), keep_blank_values=True))


def _signed_reply(
    node: str, content: dict[str, Any], key: KeyPair, *, bad: bool = False, **more: str
) -> Reply:
    # Slashes are escaped as Alipay does it: the signature is over this very text, which no parser gives back.
    raw = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")
    sign = base64.b64encode(key.sign((raw + " " if bad else raw).encode())).decode()
    rest = "".join(f',"{name}":"{value}"' for name, value in (more | {"sign": sign}).items())
    body = f'{{"{node}":{raw}{rest}}}'.encode()
    return Reply(200, body, {"Content-Type": "application/json;charset=utf-8"})


def _expiry(content: dict[str, Any]) -> datetime:
    text = content.get("time_expire")
    if not text:
        return now() + timedelta(days=15)
    return datetime.strptime(text, TIME).replace(tzinfo=BEIJING)


def _number(prefix: str) -> str:
    return f"{now():%Y%m%d}{prefix}{secrets.randbelow(10**18):018}"
