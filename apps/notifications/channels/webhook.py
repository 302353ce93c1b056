"""An address of the tenant's own that takes messages as JSON, signed so that it can tell them from anybody else's.

POST with a JSON object: ``id`` (the same when a message is sent again), ``title``, ``text``, ``sent_at`` (RFC 3339).
Headers: ``X-Chargeplat-Timestamp``, seconds since 1970, and ``X-Chargeplat-Signature``, ``sha256=`` and the hexadecimal
HMAC-SHA256 of "{timestamp}.{body}" under the shared secret. Any 2xx takes the message.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from apps.common.wire import NoAnswer, PrivateAddress, Wire, refuse_private
from apps.notifications.channels.base import Busy, NotConfigured, Refused, Unknown

TIMESTAMP = "X-Chargeplat-Timestamp"
SIGNATURE = "X-Chargeplat-Signature"
PORTS = {"http": 80, "https": 443}
BUSY = {408, 425, 429}


@dataclass(frozen=True)
class Webhook:
    """An address and the secret that both sides know. `private` names hosts that may be of our own network."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    private: Collection[str]
    timeout: tuple[float, float]

    def send(self, *, title: str, text: str, number: str) -> str:
        """Send one message, `number` being its id. Raises NotConfigured (url, secret), Refused, Busy, Unknown."""
        if not self.secret:
            raise NotConfigured("secret")
        host, port = check_address(self.url, self.private)
        try:
            refuse_private(host, port, allowed=self.private)
        except PrivateAddress as error:
            raise NotConfigured("url") from error
        except NoAnswer as error:
            raise Unknown(error.cause) from error
        moment = int(time.time())
        content = {
            "id": number,
            "title": title,
            "text": text,
            "sent_at": datetime.fromtimestamp(moment, UTC).isoformat(),
        }
        body = json.dumps(content, ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            TIMESTAMP: str(moment),
            SIGNATURE: signature(self.secret, str(moment), body),
        }
        try:
            with Wire("webhook", self.timeout) as wire:
                answer = wire.send(
                    "POST", self.url, operation="webhook", number=number, body=body, headers=headers
                )
        except NoAnswer as error:
            raise Unknown(error.cause) from error
        if 200 <= answer.status < 300:
            return ""
        code = f"http_{answer.status}"
        if answer.status in BUSY:
            raise Busy(code)
        raise Unknown(code) if answer.status >= 500 else Refused(code)


def check_address(url: str, private: Collection[str]) -> tuple[str, int]:
    """Return host and port of an address; https, or http only within our own network. Raises NotConfigured (url)."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        raise NotConfigured("url") from None
    if not host or not port or parts.username is not None or parts.password is not None:
        raise NotConfigured("url")
    if parts.scheme != "https" and host not in private:
        raise NotConfigured("url")
    return host, port


def signature(secret: str, moment: str, body: bytes) -> str:
    """Return the signature header's value: HMAC-SHA256 of "{moment}.{body}", hexadecimal, behind "sha256="."""
    return "sha256=" + hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
