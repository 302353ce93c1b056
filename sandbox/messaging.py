"""Who carries messages: Aliyun and Tencent SMS, the robots of WeCom, DingTalk and Feishu, and a server of
the operator's own.

Each recomputes the signature from the request as it came and refuses a wrong one in the provider's own words. State:
`messages`, everything that was taken. Settings: `refuse` (the provider's code for the next messages, e.g.
"isv.BUSINESS_LIMIT_CONTROL").
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from sandbox.provider import Provider, Reply, Request, json_reply

CLOCK_TOLERANCE_S = 900
ROBOT_TOLERANCE_S = 3600
HOOK_TOLERANCE_S = 300
ACS = re.compile(r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})")
TC = re.compile(
    r"TC3-HMAC-SHA256 Credential=([^/]+)/(\d{4}-\d\d-\d\d)/sms/tc3_request, SignedHeaders=([^,]+), "
    r"Signature=([0-9a-f]{64})"
)


def is_late(stamp: str, tolerance_s: int, *, a_second: int = 1) -> bool:
    """Whether a time (in seconds, or `a_second`ths of one) is too far from now, or no time: "²" is a digit, too."""
    if not re.fullmatch(r"[0-9]{1,13}", stamp):
        return True
    return abs(datetime.now(UTC).timestamp() - int(stamp) / a_second) > tolerance_s


class Wrong(Exception):
    """A request that is not signed as it has to be, in the provider's own word."""


class Carrier(Provider):
    """Takes messages and keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []

    def operation(self, request: Request) -> str:
        return "send"

    def state(self) -> dict[str, Any]:
        with self.lock:
            return {"messages": list(self.messages)}

    def keep(self) -> dict[str, Any]:
        """What `restore` needs; subclasses have credentials."""
        return {}

    def restore(self, kept: dict[str, Any]) -> None:
        """Take the credentials of an earlier run."""

    def _reset(self) -> dict[str, Any]:
        self.messages.clear()
        return super()._reset()


class AliyunSms(Carrier):
    """SendSms of 2017-05-25, RPC style: everything in the query, signed with ACS3-HMAC-SHA256."""

    def __init__(self) -> None:
        super().__init__()
        self.accounts: dict[str, str] = {}
        self._nonces: set[str] = set()

    def issue(self) -> dict[str, str]:
        """Make an account and return its key."""
        key_id, secret = "LTAI" + secrets.token_hex(10), secrets.token_hex(15)
        self.accounts[key_id] = secret
        return {"access_key_id": key_id, "access_key_secret": secret}

    def keep(self) -> dict[str, Any]:
        return self.accounts

    def restore(self, kept: dict[str, Any]) -> None:
        self.accounts = kept

    def busy(self, fault: str) -> Reply:
        if fault == "http_500":
            return json_reply(500, {"Code": "InternalError", "Message": "internal error"})
        return json_reply(
            400, {"Code": "Throttling.User", "Message": "request was denied due to user flow control"}
        )

    def answer(self, request: Request, *, bad_signature: bool, unknown_field: bool) -> Reply:
        try:
            self._check(request)
        except Wrong as wrong:
            code = str(wrong)
            return json_reply(400, {"Code": code, "Message": code, "RequestId": secrets.token_hex(16)})
        asked = request.query
        if request.headers["x-acs-action"] == "QuerySmsSign":
            return self._sign(asked.get("SignName", ""))
        code = str(self.settings.get("refuse", "")) or self._refusal(asked)
        reply = {"RequestId": secrets.token_hex(16), "Message": code or "OK", "Code": code or "OK"}
        if not code:
            reply["BizId"] = secrets.token_hex(10)
            with self.lock:
                self.messages.append(
                    {
                        "phone": asked["PhoneNumbers"],
                        "sign": asked["SignName"],
                        "template": asked["TemplateCode"],
                        "values": json.loads(asked["TemplateParam"]),
                        "out_id": asked.get("OutId", ""),
                    }
                )
        return json_reply(200, reply | ({"Later": "more"} if unknown_field else {}))

    def _refusal(self, asked: dict[str, str]) -> str:
        if not re.fullmatch(r"1[3-9]\d{9}|[1-9]\d{7,14}", asked.get("PhoneNumbers", "")):
            return "isv.MOBILE_NUMBER_ILLEGAL"
        if not asked.get("SignName"):
            return "isv.SMS_SIGNATURE_ILLEGAL"
        if not asked.get("TemplateCode", "").startswith("SMS_"):
            return "isv.SMS_TEMPLATE_ILLEGAL"
        try:
            values = json.loads(asked.get("TemplateParam", "{}"))
        except ValueError:
            return "isv.INVALID_JSON_PARAM"
        if not isinstance(values, dict) or not all(isinstance(one, str) for one in values.values()):
            return "isv.INVALID_JSON_PARAM"
        return ""

    def _sign(self, name: str) -> Reply:
        status = {"审核中": 0, "驳回": 2}.get(name, 1)
        reply = {"Code": "OK", "Message": "OK", "RequestId": secrets.token_hex(16)}
        return json_reply(
            200, reply | {"SignName": name, "SignStatus": status, "Reason": "", "CreateDate": ""}
        )

    def _check(self, request: Request) -> None:
        found = ACS.fullmatch(request.headers.get("authorization", ""))
        if not found or request.method != "POST":
            raise Wrong("MissingAuthorization")
        key_id, names, signature = found.groups()
        headers = request.headers
        signed = names.split(";")
        if key_id not in self.accounts:
            raise Wrong("InvalidAccessKeyId.NotFound")
        if (
            headers.get("x-acs-action") not in ("SendSms", "QuerySmsSign")
            or headers.get("x-acs-version") != "2017-05-25"
        ):
            raise Wrong("InvalidAction.NotFound")
        must = {"host", *(name for name in headers if name.startswith("x-acs-"))}
        if signed != sorted(signed) or not must <= set(signed):
            raise Wrong("IncompleteSignature")
        try:
            at = datetime.strptime(headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except (KeyError, ValueError):
            raise Wrong("InvalidTimeStamp.Format") from None
        if abs((datetime.now(UTC) - at).total_seconds()) > CLOCK_TOLERANCE_S:
            raise Wrong("InvalidTimeStamp.Expired")
        body_hash = hashlib.sha256(request.body).hexdigest()
        if headers.get("x-acs-content-sha256") != body_hash:
            raise Wrong("SignatureDoesNotMatch")
        parts = urlsplit(request.target)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        query = "&".join(
            f"{name}={value}"
            for name, value in sorted((quote(a, safe="-_.~"), quote(b, safe="-_.~")) for a, b in pairs)
        )
        block = "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in signed)
        text = f"{request.method}\n{parts.path}\n{query}\n{block}\n{names}\n{body_hash}"
        to_sign = b"ACS3-HMAC-SHA256\n" + hashlib.sha256(text.encode()).hexdigest().encode()
        right = hmac.digest(self.accounts[key_id].encode(), to_sign, "sha256").hex()
        if not hmac.compare_digest(right, signature):
            raise Wrong("SignatureDoesNotMatch")
        with self.lock:
            nonce = headers.get("x-acs-signature-nonce", "")
            if not nonce or nonce in self._nonces:
                raise Wrong("SignatureNonceUsed")
            self._nonces.add(nonce)


class TencentSms(Carrier):
    """SendSms of 2021-01-11, JSON, signed with TC3-HMAC-SHA256."""

    def __init__(self) -> None:
        super().__init__()
        self.accounts: dict[str, dict[str, str]] = {}

    def issue(self) -> dict[str, str]:
        """Make an account and return its key and app."""
        key_id = "AKID" + secrets.token_hex(16)
        self.accounts[key_id] = {"secret": secrets.token_hex(16), "app": f"14{secrets.randbelow(10**8):08}"}
        made = self.accounts[key_id]
        return {"access_key_id": key_id, "access_key_secret": made["secret"], "app_id": made["app"]}

    def keep(self) -> dict[str, Any]:
        return self.accounts

    def restore(self, kept: dict[str, Any]) -> None:
        self.accounts = kept

    def busy(self, fault: str) -> Reply:
        code = "InternalError" if fault == "http_500" else "RequestLimitExceeded"
        return self._error(code, 500 if fault == "http_500" else 200)

    @staticmethod
    def _error(code: str, status: int = 200) -> Reply:
        error = {"Code": code, "Message": code}
        return json_reply(status, {"Response": {"Error": error, "RequestId": secrets.token_hex(16)}})

    def answer(self, request: Request, *, bad_signature: bool, unknown_field: bool) -> Reply:
        wrong, key_id = self._wrong(request)
        if wrong:
            return self._error(wrong)
        asked = json.loads(request.body)
        if asked.get("SmsSdkAppId") != self.accounts[key_id]["app"]:
            return self._error("UnauthorizedOperation.SmsSdkAppIdVerifyFail")
        if request.headers["x-tc-action"] == "SendStatusStatistics":
            return self._statistics(asked)
        statuses = []
        for phone in asked["PhoneNumberSet"]:
            code = str(self.settings.get("refuse", "")) or self._refusal(phone, asked)
            number = "" if code else f"2028:{secrets.token_hex(8)}"
            statuses.append(
                {"SerialNo": number, "PhoneNumber": phone, "Code": code or "Ok", "Message": code or "ok"}
            )
            if not code:
                with self.lock:
                    self.messages.append(
                        {
                            "phone": phone,
                            "sign": asked["SignName"],
                            "template": asked["TemplateId"],
                            "values": asked["TemplateParamSet"],
                            "out_id": asked.get("SessionContext", ""),
                        }
                    )
        content = {"SendStatusSet": statuses, "RequestId": secrets.token_hex(16)}
        return json_reply(200, {"Response": content | ({"Later": "more"} if unknown_field else {})})

    def _statistics(self, asked: dict[str, Any]) -> Reply:
        hours = [str(asked.get(name, "")) for name in ("BeginTime", "EndTime")]
        if not all(re.fullmatch(r"20\d{8}", hour) for hour in hours) or asked.get("Limit") != 0:
            return self._error("InvalidParameterValue.BeginTimeVerifyFail")
        figures = dict.fromkeys(("FeeCount", "RequestCount", "RequestSuccessCount"), 0)
        return json_reply(
            200, {"Response": {"SendStatusStatistics": figures, "RequestId": secrets.token_hex(16)}}
        )

    @staticmethod
    def _refusal(phone: str, asked: dict[str, Any]) -> str:
        if not re.fullmatch(r"\+\d{8,15}", phone):
            return "InvalidParameterValue.IncorrectPhoneNumber"
        if not re.fullmatch(r"[0-9]{1,20}", str(asked.get("TemplateId", ""))):
            return "FailedOperation.TemplateIncorrectOrUnapproved"
        if not all(isinstance(value, str) for value in asked.get("TemplateParamSet", [])):
            return "InvalidParameterValue.TemplateParameterFormatError"
        return ""

    def _wrong(self, request: Request) -> tuple[str, str]:
        headers = request.headers
        found = TC.fullmatch(headers.get("authorization", ""))
        if not found:
            return "AuthFailure.SignatureFailure", ""
        key_id, day, names, signature = found.groups()
        if key_id not in self.accounts:
            return "AuthFailure.SecretIdNotFound", ""
        if (
            headers.get("x-tc-action") not in ("SendSms", "SendStatusStatistics")
            or headers.get("x-tc-version") != "2021-01-11"
        ):
            return "InvalidAction", ""
        if not headers.get("x-tc-region"):
            return "MissingParameter", ""
        stamp = headers.get("x-tc-timestamp", "")
        if is_late(stamp, CLOCK_TOLERANCE_S) or f"{datetime.fromtimestamp(int(stamp), UTC):%Y-%m-%d}" != day:
            return "AuthFailure.SignatureExpire", ""
        if not {"content-type", "host"} <= set(names.split(";")):
            return "AuthFailure.SignatureFailure", ""
        block = "".join(f"{name}:{headers.get(name, '').lower()}\n" for name in names.split(";"))
        path = urlsplit(request.target).path
        text = f"POST\n{path if path == '/' else '/'}\n\n{block}\n{names}\n{hashlib.sha256(request.body).hexdigest()}"
        to_sign = (
            f"TC3-HMAC-SHA256\n{stamp}\n{day}/sms/tc3_request\n{hashlib.sha256(text.encode()).hexdigest()}"
        )
        by_day = hmac.digest(("TC3" + self.accounts[key_id]["secret"]).encode(), day.encode(), "sha256")
        by_service = hmac.digest(by_day, b"sms", "sha256")
        key = hmac.digest(by_service, b"tc3_request", "sha256")
        if not hmac.compare_digest(hmac.digest(key, to_sign.encode(), "sha256").hex(), signature):
            return "AuthFailure.SignatureFailure", ""
        return "", key_id


class Chat(Carrier):
    """Robots of one chat provider: an address with a key in it, and with two of them a secret."""

    path = ""
    needs_secret = False

    def __init__(self) -> None:
        super().__init__()
        self.robots: dict[str, str] = {}

    def issue(self, *, signed: bool = True) -> dict[str, str]:
        """Make a robot and return the end of its address and its secret."""
        key = secrets.token_hex(16)
        self.robots[key] = "SEC" + secrets.token_hex(16) if signed and self.needs_secret else ""
        return {"path": self.path.format(key), "secret": self.robots[key]}

    def keep(self) -> dict[str, Any]:
        return self.robots

    def restore(self, kept: dict[str, Any]) -> None:
        self.robots = kept

    def refusal(self, code: int, words: str) -> Reply:
        return json_reply(200, {"errcode": code, "errmsg": words})

    def busy(self, fault: str) -> Reply:
        if fault == "http_500":
            return Reply(500, b"<html>error</html>")
        return self.refusal(self.limit_code, "api freq out of limit")

    limit_code = 45009

    def take_message(self, robot: str, title: str, text: str) -> None:
        with self.lock:
            self.messages.append({"robot": robot, "title": title, "text": text})


class WeCom(Chat):
    path = "/cgi-bin/webhook/send?key={}"

    def answer(self, request: Request, *, bad_signature: bool, unknown_field: bool) -> Reply:
        key = request.query.get("key", "")
        if request.path != "/cgi-bin/webhook/send" or key not in self.robots:
            return self.refusal(93000, "invalid webhook url")
        try:
            content = json.loads(request.body)["markdown"]["content"]
        except (ValueError, KeyError, TypeError):
            return self.refusal(40008, "invalid message type")
        if len(content.encode()) > 4096:
            return self.refusal(40058, "markdown.content exceed max length 4096")
        if refuse := self.settings.get("refuse"):
            return self.refusal(int(refuse), "refused")
        self.take_message(key, content.partition("\n")[0].strip("*"), content)
        return json_reply(200, {"errcode": 0, "errmsg": "ok"} | ({"later": 1} if unknown_field else {}))


class DingTalk(Chat):
    path = "/robot/send?access_token={}"
    needs_secret = True
    limit_code = 130101

    def answer(self, request: Request, *, bad_signature: bool, unknown_field: bool) -> Reply:
        asked = request.query
        key = asked.get("access_token", "")
        if request.path != "/robot/send" or key not in self.robots:
            return self.refusal(300001, "token is not exist")
        if secret := self.robots[key]:
            stamp = asked.get("timestamp", "")
            late = is_late(stamp, ROBOT_TOLERANCE_S, a_second=1000)
            right = hmac.digest(secret.encode(), f"{stamp}\n{secret}".encode(), "sha256")
            if late:
                return self.refusal(310000, "sign not match, timestamp is out of range")
            if base64.b64encode(right).decode() != asked.get("sign", ""):
                return self.refusal(310000, "sign not match")
        try:
            content = json.loads(request.body)["markdown"]
            title, text = content["title"], content["text"]
        except (ValueError, KeyError, TypeError):
            return self.refusal(400101, "msgtype is null")
        if refuse := self.settings.get("refuse"):
            return self.refusal(int(refuse), "refused")
        self.take_message(key, title, text)
        return json_reply(200, {"errcode": 0, "errmsg": "ok"} | ({"later": 1} if unknown_field else {}))


class Feishu(Chat):
    path = "/open-apis/bot/v2/hook/{}"
    needs_secret = True
    limit_code = 11232

    def refusal(self, code: int, words: str) -> Reply:
        return json_reply(200, {"code": code, "msg": words, "data": {}})

    def answer(self, request: Request, *, bad_signature: bool, unknown_field: bool) -> Reply:
        key = request.path.removeprefix("/open-apis/bot/v2/hook/")
        if key not in self.robots:
            return self.refusal(19001, "param invalid: incoming webhook access token invalid")
        try:
            content = json.loads(request.body)
            text = content["content"]["text"]
        except (ValueError, KeyError, TypeError):
            return self.refusal(9499, "Bad Request")
        if secret := self.robots[key]:
            stamp = str(content.get("timestamp", ""))
            late = is_late(stamp, ROBOT_TOLERANCE_S)
            right = hmac.digest(f"{stamp}\n{secret}".encode(), b"", "sha256")
            if late or base64.b64encode(right).decode() != content.get("sign"):
                return self.refusal(
                    19021, "sign match fail or timestamp is not within one hour from current time"
                )
        if refuse := self.settings.get("refuse"):
            return self.refusal(int(refuse), "refused")
        self.take_message(key, text.partition("\n")[0], text)
        return json_reply(
            200, {"code": 0, "msg": "success", "data": {}} | ({"later": 1} if unknown_field else {})
        )


class Webhook(Carrier):
    """An operator's own server, as its manual tells it to verify: HMAC-SHA256 of "{timestamp}.{body}"."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks: dict[str, str] = {}

    def issue(self) -> dict[str, str]:
        """Make an address and return its end and its secret."""
        key = secrets.token_hex(8)
        self.hooks[key] = secrets.token_hex(20)
        return {"path": f"/hook/{key}", "secret": self.hooks[key]}

    def keep(self) -> dict[str, Any]:
        return self.hooks

    def restore(self, kept: dict[str, Any]) -> None:
        self.hooks = kept

    def busy(self, fault: str) -> Reply:
        return Reply(500 if fault == "http_500" else 429, b"not now")

    def answer(self, request: Request, *, bad_signature: bool, unknown_field: bool) -> Reply:
        key = request.path.removeprefix("/hook/")
        if key not in self.hooks:
            return Reply(404, b"no such hook")
        stamp = request.headers.get("x-chargeplat-timestamp", "")
        if is_late(stamp, HOOK_TOLERANCE_S):
            return Reply(401, b"too old")
        mac = hmac.new(self.hooks[key].encode(), digestmod=hashlib.sha256)
        for part in (stamp.encode(), b".", request.body):
            mac.update(part)
        given = request.headers.get("x-chargeplat-signature", "")
        if not hmac.compare_digest(given, f"sha256={mac.hexdigest()}"):
            return Reply(401, b"wrong signature")
        if self.settings.get("refuse"):
            return Reply(400, b"refused")
        content = json.loads(request.body)
        with self.lock:
            self.messages.append({"robot": key, **content})
        return Reply(204)


CARRIERS: dict[str, type[Carrier]] = {
    "aliyun-sms": AliyunSms,
    "tencent-sms": TencentSms,
    "wecom": WeCom,
    "dingtalk": DingTalk,
    "feishu": Feishu,
    "webhook": Webhook,
}
