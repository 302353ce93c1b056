"""Text messages by Tencent Cloud (SendSms 2021-01-11), signed with TC3-HMAC-SHA256."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from apps.common.time import SHANGHAI
from apps.common.wire import Wire
from apps.notifications.channels.base import Busy, Refused, Unknown, call

CONTENT_TYPE = "application/json; charset=utf-8"
BUSY = ("LimitExceeded", "RequestLimitExceeded", "InternalError")


@dataclass(frozen=True)
class TencentSms:
    """An account. Tencent's templates number their values: they go out in the order in which they are given."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    app_id: str
    sign_name: str
    templates: Mapping[str, str]
    region: str
    url: str
    timeout: tuple[float, float]

    def send(self, *, phone: str, template: str, params: Mapping[str, str], out_id: str = "") -> str:
        """Send one message and return Tencent's number of it. Raises Refused, Busy, Unknown."""
        content = {
            "PhoneNumberSet": [phone],
            "SmsSdkAppId": self.app_id,
            "SignName": self.sign_name,
            "TemplateId": self.templates[template],
            "TemplateParamSet": list(params.values()),
        }
        if out_id:
            content["SessionContext"] = out_id
        response = self._call("SendSms", content)
        statuses = response.get("SendStatusSet")
        if not isinstance(statuses, list) or len(statuses) != 1 or not isinstance(statuses[0], dict):
            raise Unknown("no_status")
        status = statuses[0]
        if status.get("Code") != "Ok":
            raise _refusal(str(status.get("Code", "")), str(status.get("Message", "")))
        return str(status.get("SerialNo", ""))

    def check(self) -> None:
        """See that the key and the app are good, without sending. Raises Refused, Busy, Unknown.

        Asks for the numbers sent within the last hour (SendStatusStatistics), which costs nothing.
        """
        until = datetime.now(SHANGHAI)
        content = {
            "BeginTime": f"{until - timedelta(hours=1):%Y%m%d%H}",
            "EndTime": f"{until:%Y%m%d%H}",
            "SmsSdkAppId": self.app_id,
            "Limit": 0,
            "Offset": 0,
        }
        self._call("SendStatusStatistics", content)

    def _call(self, action: str, content: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(content, ensure_ascii=False).encode()
        moment = int(time.time())
        host = urlsplit(self.url).netloc
        headers = {
            "Content-Type": CONTENT_TYPE,
            "Host": host,
            "X-TC-Action": action,
            "X-TC-Version": "2021-01-11",
            "X-TC-Timestamp": str(moment),
            "X-TC-Region": self.region,
            "Authorization": authorization(
                secret_id=self.access_key_id,
                secret=self.access_key_secret,
                service="sms",
                host=host,
                content_type=CONTENT_TYPE,
                moment=moment,
                body=body,
            ),
        }
        answer = call(
            Wire("tencent_sms", self.timeout),
            "POST",
            self.url,
            operation=action,
            body=body,
            headers=headers,
        )
        response = answer.get("Response")
        if not isinstance(response, dict):
            raise Unknown("no_response")
        if error := response.get("Error"):
            raise _refusal(str(error.get("Code", "")), str(error.get("Message", "")))
        return response


def _refusal(code: str, message: str) -> Busy | Refused:
    return Busy(code, message) if code.startswith(BUSY) else Refused(code or "no_code", message)


def authorization(
    *, secret_id: str, secret: str, service: str, host: str, content_type: str, moment: int, body: bytes
) -> str:
    """Return the Authorization header (TC3-HMAC-SHA256) of a POST to / over content type and host."""
    signed = "content-type;host"
    canonical = "\n".join(
        [
            "POST",
            "/",
            "",
            f"content-type:{content_type}\nhost:{host}\n",
            signed,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    day = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
    scope = f"{day}/{service}/tc3_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"TC3-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    key = f"TC3{secret}".encode()
    for word in (day, service, "tc3_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return f"TC3-HMAC-SHA256 Credential={secret_id}/{scope}, SignedHeaders={signed}, Signature={signature}"
