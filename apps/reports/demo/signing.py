"""How the demo's staff and drivers sign in: as easily as one may, and with the apps of the providers' sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.accounts import policy
from apps.accounts.enums import Provider, SecondFactorRule
from apps.accounts.models import LoginProvider, SignInPolicy
from apps.customers.models import IdentityProvider, MiniProgram
from apps.reports.demo.paying import sandbox_keys


def seed_sign_in(tenant: str = "") -> None:
    """Ask for a second factor only who has set one up, where nobody decided otherwise; know the tenant's apps."""
    untouched = SignInPolicy.objects.filter(note="", second_factor=SecondFactorRule.MONEY)
    if untouched.update(second_factor=SecondFactorRule.OWN, note="演示环境：只对已设置的人要求第二因素"):
        policy.forget()
    issued = sandbox_keys(tenant).get("merchants", {}).get(tenant, {}) if tenant else {}
    if "wechat" in issued:
        words = {"app_id": issued["wechat"]["app_id"], "secret": issued["wechat"]["secret"]}
        LoginProvider.objects.get_or_create(provider=Provider.WECHAT, defaults=words)
    if "alipay" in issued:
        words = {
            "app_id": issued["alipay"]["app_id"],
            "secret": issued["alipay"]["private_key"],
            "public_key": issued["alipay"]["alipay_keys"][0],
        }
        LoginProvider.objects.get_or_create(provider=Provider.ALIPAY, defaults=words)
    _seed_mini_programs(issued)


def _seed_mini_programs(issued: Mapping[str, Any]) -> None:
    """Let drivers sign in by the sandbox's mini-programs, as they pay through its merchants."""
    if "wechat-mini" in issued:
        words = {name: issued["wechat-mini"][name] for name in ("app_id", "secret")}
        MiniProgram.objects.get_or_create(provider=IdentityProvider.WECHAT, defaults=words)
    if "alipay-mini" in issued:
        words = {
            **{name: issued["alipay-mini"][name] for name in ("app_id", "content_key")},
            "secret": issued["alipay"]["private_key"],
            "public_key": issued["alipay"]["alipay_keys"][0],
        }
        MiniProgram.objects.get_or_create(provider=IdentityProvider.ALIPAY, defaults=words)
