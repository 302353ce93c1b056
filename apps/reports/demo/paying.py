"""How the demo is paid: merchant accounts at the providers' sandbox, drivers known there, and a phone that pays.

The sandbox of `make run` is another process; all that is known of it is its address and the file with its merchants.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests
from django.conf import settings

from apps.common.time import now
from apps.customers.models import Customer, CustomerIdentity
from apps.wallet import recharges
from apps.wallet.enums import ChannelName
from apps.wallet.merchants import available_channels, merchant_for, store_credentials
from apps.wallet.models import BonusTier, MerchantAccount, Recharge

NAMES = {"wechatpay": "微信支付（沙箱）", "alipay": "支付宝（沙箱）"}
NUMBER = {"wechatpay": "merchant_no", "alipay": "seller_id"}
TIERS: list[tuple[str, str, str, int | None, bool]] = [
    ("充200送6", "200", "6", None, False),
    ("充500送20", "500", "20", None, False),
    ("充1000送50", "1000", "50", None, False),
    ("首次充值礼", "200", "5", 1, True),
]
"""Name, from how much, bonus, times per customer, on top of others."""
PATIENCE_S = 60


def sandbox_keys(tenant: str) -> Mapping[str, Any]:
    """Return what the sandbox that runs beside us tells of itself, once it knows a tenant; empty where none runs."""
    url = os.environ.get("SANDBOX_URL", "")
    if not url:
        return {}
    path = Path(settings.STATE_DIR) / "sandbox" / "keys.json"
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            kept = json.loads(path.read_text())
        except (OSError, ValueError):
            kept = {}
        if (
            kept.get("base_urls", {}).get("wechatpay", "").startswith(f"{url}/")
            and tenant in kept["merchants"]
        ):
            return kept
        time.sleep(0.2)
    raise TimeoutError(f"the sandbox at {url} has written no merchants into {path}")


def sandbox_merchants(tenant: str) -> Mapping[str, Any]:
    """Return {provider: credentials} of a tenant at the sandbox; empty where none runs."""
    kept = sandbox_keys(tenant)
    if not kept:
        return {}
    issued, urls = kept["merchants"][tenant], kept["base_urls"]
    return {name: {**issued[name], "base_url": urls[name]} for name in urls}


def seed_merchants(tenant: str) -> None:
    """Give the tenant of the current schema its accounts at the sandbox, at the address where it is now."""
    for provider, issued in sandbox_merchants(tenant).items():
        words = dict(issued)
        number, app_id, base_url = words.pop(NUMBER[provider]), words.pop("app_id"), words.pop("base_url")
        merchant = MerchantAccount.objects.filter(
            channel=provider, merchant_no=number, app_id=app_id
        ).first() or MerchantAccount(
            channel=provider, merchant_no=number, app_id=app_id, name=NAMES[provider]
        )
        if merchant.pk is None or merchant.base_url != base_url:
            merchant.base_url = base_url
            store_credentials(merchant=merchant, given=words)


def seed_tiers() -> None:
    """What the demo gives for top-ups."""
    for name, threshold, bonus, per_customer, is_additional in TIERS:
        BonusTier.objects.get_or_create(
            name=name,
            defaults={
                "threshold": Decimal(threshold),
                "bonus": Decimal(bonus),
                "per_customer": per_customer,
                "is_additional": is_additional,
            },
        )


def know_at_providers(customer: Customer) -> None:
    """Make a demo driver known in the apps of the tenant's merchant accounts, as signing in there would."""
    for channel in available_channels():
        provider = recharges.PROVIDERS.get(channel)
        if provider is None:
            continue
        merchant = merchant_for(channel)
        if merchant.base_url.startswith("http://127.0.0.1:"):  # never in a real app
            CustomerIdentity.objects.get_or_create(
                customer=customer,
                provider=provider,
                app_id=merchant.app_id,
                defaults={"openid": f"demo-{uuid4().hex}", "last_login_at": now()},
            )


def top_up(customer: Customer, amount: Decimal, channel: str) -> Recharge:
    """Top up as a driver does: begin, and pay on the phone. The money comes with the provider's notice."""
    recharge = recharges.create_recharge(
        customer=customer, amount=amount, channel=channel, request_key=uuid4().hex
    )
    params = recharges.prepare_payment(recharge=recharge)
    if channel == ChannelName.SANDBOX:
        return recharges.pay_sandbox(customer=customer, recharge_no=recharge.recharge_no)
    pay_on_phone(merchant_for(channel), params)
    return recharge


def pay_on_phone(merchant: MerchantAccount, params: Mapping[str, str]) -> None:
    """Let the sandbox's control API pay, as `wx.requestPayment` and `my.tradePay` would."""
    root = merchant.base_url.removesuffix("/gateway.do")
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(
            f"{root}/_sandbox/pay", json={"client_params": dict(params), "notify": "later"}, timeout=10
        )
        answer.raise_for_status()
