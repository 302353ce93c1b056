"""Robots of group chats: 企业微信 (WeCom), 钉钉 (DingTalk), 飞书 (Feishu).

They answer 200 to everything: another code than 0 is a failure.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from apps.common.wire import Wire
from apps.notifications.channels.base import Busy, NotConfigured, Refused, call

HOSTS = {"wecom": "qyapi.weixin.qq.com", "dingtalk": "oapi.dingtalk.com", "feishu": "open.feishu.cn"}
PER_MINUTE = {"wecom": 20, "dingtalk": 20, "feishu": 100, "webhook": 600}
"""What each takes; further messages wait here instead of being refused there."""
LONGEST_BYTES = {"wecom": 4096, "dingtalk": 18_000, "feishu": 18_000}
BUSY = {"wecom": {-1, 45009, 45033}, "dingtalk": {-1, 130101, 410100}, "feishu": {9499, 11232}}


@dataclass(frozen=True)
class Robot:
    """A robot: `url` is the address that the chat gives (it carries the key), `secret` its signing key if it has one.

    `hosts` are allowed beside the known one, with their port: sandboxes, proxies.
    """

    kind: str
    url: str = field(repr=False)
    secret: str = field(repr=False)
    hosts: Collection[str]
    timeout: tuple[float, float]

    def send(self, *, title: str, text: str) -> str:
        """Send one message. Raises NotConfigured (url), Refused, Busy, Unknown."""
        check_address(self.kind, self.url, self.hosts)
        url, content = getattr(self, f"_{self.kind}")(title, text)
        answer = call(
            Wire(self.kind, self.timeout),
            "POST",
            url,
            operation="robot",
            body=json.dumps(content, ensure_ascii=False).encode(),
            headers={"Content-Type": "application/json; charset=utf-8"},
        )
        name, words = ("code", "msg") if self.kind == "feishu" else ("errcode", "errmsg")
        code = answer.get(name)
        if code == 0:
            return ""
        error = Busy if code in BUSY[self.kind] else Refused
        raise error(str(code), str(answer.get(words, "")))

    def _wecom(self, title: str, text: str) -> tuple[str, dict[str, Any]]:
        content = _cut(f"**{title}**\n{text}", LONGEST_BYTES["wecom"])
        return self.url, {"msgtype": "markdown", "markdown": {"content": content}}

    def _dingtalk(self, title: str, text: str) -> tuple[str, dict[str, Any]]:
        url = self.url
        if self.secret:
            moment = str(int(time.time() * 1000))
            url += f"&timestamp={moment}&sign={quote(dingtalk_sign(self.secret, moment), safe='')}"
        lines = text.replace("\n", "\n\n")  # one break is none in its markdown
        content = _cut(f"#### {title}\n\n{lines}", LONGEST_BYTES["dingtalk"])
        return url, {"msgtype": "markdown", "markdown": {"title": title, "text": content}}

    def _feishu(self, title: str, text: str) -> tuple[str, dict[str, Any]]:
        content: dict[str, Any] = {
            "msg_type": "text",
            "content": {"text": _cut(f"{title}\n{text}", LONGEST_BYTES["feishu"])},
        }
        if self.secret:
            moment = str(int(time.time()))
            content |= {"timestamp": moment, "sign": feishu_sign(self.secret, moment)}
        return self.url, content


def check_address(kind: str, url: str, hosts: Collection[str]) -> None:
    """See that a robot's address is one of its provider, so that nobody can have us call something else.

    Raises NotConfigured (url).
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc
    except ValueError:
        raise NotConfigured("url") from None
    if host in hosts and parts.scheme in {"http", "https"}:
        return
    if host != HOSTS.get(kind) or parts.scheme != "https":
        raise NotConfigured("url")


def dingtalk_sign(secret: str, moment: str) -> str:
    """Return DingTalk's signature: the secret is the key, "{ms}\\n{secret}" the message; base64."""
    digest = hmac.new(secret.encode(), f"{moment}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def feishu_sign(secret: str, moment: str) -> str:
    """Return Feishu's signature: "{s}\\n{secret}" is the key, the message is empty; base64."""
    return base64.b64encode(hmac.new(f"{moment}\n{secret}".encode(), b"", hashlib.sha256).digest()).decode()


def _cut(text: str, longest: int) -> str:
    """Cut to a number of bytes, never inside a character."""
    raw = text.encode()
    return text if len(raw) <= longest else raw[: longest - 3].decode(errors="ignore") + "…"
