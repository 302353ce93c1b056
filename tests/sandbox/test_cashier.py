"""The page that stands for the driver's phone, and orders that outlive a restart."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from apps.common.time import now
from apps.wallet.channels.alipay import Alipay, AlipayCredentials
from apps.wallet.channels.base import PaymentOrder, TradeState
from apps.wallet.channels.wechatpay import WechatPay, WechatPayCredentials
from sandbox import alipay, wechatpay
from sandbox.cashier import Cashier
from sandbox.management.commands.run_sandbox import Memory
from sandbox.provider import Server


def order(number: str, minutes: int = 10) -> PaymentOrder:
    return PaymentOrder(
        out_trade_no=number,
        amount=Decimal("50.00"),
        description="top-up",
        payer="o-1",
        notify_url="http://127.0.0.1:1/notices/",
        expires_at=now() + timedelta(minutes=minutes),
    )


@pytest.fixture
def street() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """A server with both providers and the cashier; (address, clients, providers)."""
    providers: dict[str, Any] = {"wechatpay": wechatpay.WechatPay(), "alipay": alipay.Alipay()}
    with Server({f"/{name}": one for name, one in providers.items()}, otherwise=Cashier(providers)) as server:
        clients = {
            "wechatpay": WechatPay(
                WechatPayCredentials(**providers["wechatpay"].issue()), base_url=f"{server.url}/wechatpay"
            ),
            "alipay": Alipay(
                AlipayCredentials(**providers["alipay"].issue()), base_url=f"{server.url}/alipay/gateway.do"
            ),
        }
        yield server.url, clients, providers


def page(url: str, data: dict[str, str] | None = None, **headers: str) -> str:
    request = urllib.request.Request(url, data=urlencode(data).encode() if data else None, headers=headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return answer.read().decode()


def test_open_orders_are_shown_and_paid_by_a_button(street: Any) -> None:
    url, clients, providers = street
    for number, client in enumerate(clients.values()):
        client.create(order(f"RC000000{number:02}"))
    text = page(url)
    assert [f"RC000000{number:02}" in text for number in range(2)] == [True, True]
    for name, number in (("wechatpay", "RC00000000"), ("alipay", "RC00000001")):
        ((merchant, _),) = providers[name].orders
        words = {"provider": name, "merchant": merchant, "number": number}
        page(f"{url}/pay", words, **{"Sec-Fetch-Site": "cross-site"})  # another site's page
        assert clients[name].query(number).state == TradeState.WAITING
        text = page(f"{url}/pay", words)
        assert number not in text
        assert clients[name].query(number).state == TradeState.PAID
        page(f"{url}/pay", words)  # pressed twice
    assert "没有等待支付的订单" in text


def test_what_is_not_ours_is_escaped(street: Any) -> None:
    url, clients, providers = street
    clients["wechatpay"].create(order("RC00000000"))
    (key,) = providers["wechatpay"].orders
    providers["wechatpay"].orders[key[0], "<script>"] = providers["wechatpay"].orders.pop(key)
    assert "<script>" not in page(url)


def test_orders_outlive_a_restart(street: Any, tmp_path: Path) -> None:
    _, clients, providers = street
    for client in clients.values():
        client.create(order("RC00000007"))
    place = tmp_path / "orders"
    Memory(place, providers).save()
    assert place.stat().st_mode & 0o777 == 0o600
    for provider in providers.values():
        provider.orders.clear()
    assert clients["alipay"].query("RC00000007").state == TradeState.NOT_FOUND
    Memory(place, providers)
    for client in clients.values():
        assert client.query("RC00000007").state == TradeState.WAITING
