"""WeChat and Alipay with a mini-program each, and the phones of people who use them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from apps.customers.models import MiniProgram
from sandbox.alipay import Alipay
from sandbox.provider import Server
from sandbox.wechat import Wechat


@dataclass
class Apps:
    wechat: Wechat
    alipay: Alipay
    url: str

    def code(self, provider: str, person: str) -> str:
        """What the app gives when somebody opens it."""
        app_id = MiniProgram.objects.get(provider=provider).app_id
        return str(
            getattr(self, provider).control("POST phone", {"app_id": app_id, "person": person})["code"]
        )

    def proof(self, provider: str, phone: str) -> str:
        """What the app gives when somebody presses the button for the phone number."""
        app_id = MiniProgram.objects.get(provider=provider).app_id
        words = {"app_id": app_id, "person": "x", "phone": phone}
        found = getattr(self, provider).control("POST phone", words)
        return str(found["phone_code" if provider == "wechat" else "phone"])


@pytest.fixture(scope="module")
def provider_servers() -> Iterator[Apps]:
    wechat, alipay = Wechat(), Alipay()
    with Server({"/wechat": wechat, "/alipay": alipay}) as server:
        yield Apps(wechat, alipay, server.url)


def know(apps: Apps, settings: Any) -> Apps:
    """Make both mini-programs those of the current tenant."""
    settings.WECHAT_API_URL = f"{apps.url}/wechat"
    settings.ALIPAY_GATEWAY_URL = f"{apps.url}/alipay/gateway.do"
    for one in (apps.wechat, apps.alipay):
        one.faults.clear()
        one.settings.clear()
    MiniProgram.objects.create(provider="wechat", **apps.wechat.issue_mini_program())
    issued = apps.alipay.issue()
    MiniProgram.objects.create(
        provider="alipay",
        app_id=issued["app_id"],
        secret=issued["private_key"],
        public_key=issued["alipay_keys"][0],
        content_key=apps.alipay.content_key(issued["app_id"]),
    )
    return apps


@pytest.fixture
def apps(tenant: Any, provider_servers: Apps, settings: Any) -> Apps:
    return know(provider_servers, settings)
