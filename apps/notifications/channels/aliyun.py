"""Text messages by Aliyun (SendSms 2017-05-25), signed with ACS3-HMAC-SHA256."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from apps.common.wire import Wire
from apps.notifications.channels.base import Busy, Refused, call, national

BUSY = {"isv.BUSINESS_LIMIT_CONTROL", "isp.SYSTEM_ERROR", "isv.SYSTEM_ERROR", "Throttling.User", "Throttling"}

SIGN_PASSED = "1"
"""SignStatus of QuerySmsSign: 0 under review, 1 passed, 2 refused."""


@dataclass(frozen=True)
class AliyunSms:
    """An account. `templates` maps our names of messages to the codes that Aliyun approved."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    sign_name: str
    templates: Mapping[str, str]
    url: str
    timeout: tuple[float, float]

    def send(self, *, phone: str, template: str, params: Mapping[str, str], out_id: str = "") -> str:
        """Send one message and return Aliyun's number of it. Raises Refused, Busy, Unknown."""
        asked = {
            "PhoneNumbers": national(phone),
            "SignName": self.sign_name,
            "TemplateCode": self.templates[template],
            "TemplateParam": json.dumps(dict(params), ensure_ascii=False, separators=(",", ":")),
        }
        if out_id:
            asked["OutId"] = out_id
        return str(self._call("SendSms", asked).get("BizId", ""))

    def check(self) -> None:
        """See that the key and the signature are good, without sending. Raises Refused, Busy, Unknown."""
        found = self._call("QuerySmsSign", {"SignName": self.sign_name})
        if str(found.get("SignStatus")) != SIGN_PASSED:
            raise Refused("sign_not_approved", str(found.get("Reason") or ""))

    def _call(self, action: str, asked: Mapping[str, str]) -> dict[str, Any]:
        query = canonical_query(asked)
        headers = {
            "host": urlsplit(self.url).netloc,
            "x-acs-action": action,
            "x-acs-version": "2017-05-25",
            "x-acs-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        }
        path = urlsplit(self.url).path  # settings end it with "/"
        headers["authorization"] = authorization(
            access_key_id=self.access_key_id,
            secret=self.access_key_secret,
            path=path,
            query=query,
            headers=headers,
        )
        answer = call(
            Wire("aliyun_sms", self.timeout),
            "POST",
            f"{self.url}?{query}",
            operation=action,
            body=b"",
            headers=headers,
        )
        code = str(answer.get("Code", ""))
        if code == "OK":
            return answer
        error = Busy if code in BUSY else Refused
        raise error(code or "no_code", str(answer.get("Message", "")))


def canonical_query(params: Mapping[str, str]) -> str:
    """Return parameters sorted and encoded as RFC 3986 says, which is what is signed and sent."""
    return "&".join(f"{quote(name, safe='')}={quote(params[name], safe='')}" for name in sorted(params))


def authorization(
    *, access_key_id: str, secret: str, path: str, query: str, headers: Mapping[str, str], body: bytes = b""
) -> str:
    """Return the Authorization header (ACS3-HMAC-SHA256) over all given headers; their names are lower case."""
    names = sorted(headers)
    signed = ";".join(names)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    canonical = "\n".join(["POST", path, query, lines, signed, hashlib.sha256(body).hexdigest()])
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"ACS3-HMAC-SHA256 Credential={access_key_id},SignedHeaders={signed},Signature={signature}"
