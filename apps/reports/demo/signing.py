"""How the demo's staff sign in: as easily as one may, and with the QR codes of the providers' sandbox."""

from __future__ import annotations

from apps.accounts import policy
from apps.accounts.enums import Provider, SecondFactorRule
from apps.accounts.models import LoginProvider, SignInPolicy
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
