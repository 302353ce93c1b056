"""Merchant accounts at payment providers: who may be paid through, and their keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.common.queue import enqueue
from apps.wallet.channels import build, channel_of
from apps.wallet.channels.base import BadSignature, ChannelError, NotConfigured
from apps.wallet.channels.wechatpay import WechatPay
from apps.wallet.enums import ChannelName
from apps.wallet.errors import ChannelNotAvailable, CredentialsWrong
from apps.wallet.models import BonusTier, MerchantAccount

log = structlog.get_logger(__name__)

REFRESH_PAUSE_S = 300
TEST_NUMBER = "CONNECTIONTEST0000"
"""An order number that we never give: the provider answers that there is none, in a signed answer."""
CAUSES = {"answer_signature": _("the answer is not signed with the keys that are stored here")}
"""What a test of a connection found, in words; every other cause is the provider's own."""


def merchant_for(channel: str) -> MerchantAccount:
    """Return the account that new top-ups of a channel go to. Raises ChannelNotAvailable.

    The sandbox's is made at first sight, where settings allow that channel.
    """
    if channel not in settings.RECHARGE_CHANNELS:
        raise ChannelNotAvailable(channel=channel)
    found = MerchantAccount.objects.filter(channel=channel, is_default=True, is_active=True).first()
    if found is not None:
        return found
    if channel == ChannelName.SANDBOX:
        account, _created = MerchantAccount.objects.get_or_create(
            channel=ChannelName.SANDBOX,
            merchant_no="sandbox",
            app_id="",
            defaults={"name": str(ChannelName.SANDBOX.label), "is_default": True},
        )
        if account.is_active:
            return account
    raise ChannelNotAvailable(channel=channel)


def available_channels() -> list[str]:
    """Return the channels that a driver can pay with now: those allowed here that have an account in use."""
    found = set(
        MerchantAccount.objects.filter(is_default=True, is_active=True).values_list("channel", flat=True)
    )
    if ChannelName.SANDBOX in settings.RECHARGE_CHANNELS:
        found.add(ChannelName.SANDBOX)
    return [name for name in ChannelName.values if name in found and name in settings.RECHARGE_CHANNELS]


def store_credentials(*, merchant: MerchantAccount, given: Mapping[str, Any]) -> MerchantAccount:
    """Keep new credentials, over those stored; what is not given stays. `merchant` may be new and not saved yet.

    Of a stored one only its name and address are saved with them: whether it is in use or the default, and keys that
    came meanwhile, are as they are stored. Raises CredentialsWrong when the channel cannot be used with them.
    """
    with transaction.atomic():
        if merchant.pk is not None:
            stored = MerchantAccount.objects.select_for_update(no_key=True).get(pk=merchant.pk)
            merchant.credentials = stored.credentials
        elif not MerchantAccount.objects.filter(channel=merchant.channel, is_default=True).exists():
            merchant.is_default = True
        fields = ["name", "base_url", "credentials", "updated_at"] if merchant.pk is not None else None
        merchant.credentials = json.dumps(check_credentials(merchant=merchant, given=given))
        merchant.save(update_fields=fields)
    log.info("merchant_credentials_stored", channel=merchant.channel, merchant_id=merchant.pk)
    return merchant


def make_default(*, merchant: MerchantAccount) -> None:
    """Send new top-ups of the channel to this account. Raises ChannelNotAvailable for one that is not in use."""
    with transaction.atomic():
        rows = list(
            MerchantAccount.objects.select_for_update().filter(channel=merchant.channel).order_by("id")
        )
        chosen = next(row for row in rows if row.pk == merchant.pk)
        if not chosen.is_active:
            raise ChannelNotAvailable(channel=merchant.channel)
        MerchantAccount.objects.filter(channel=merchant.channel).exclude(pk=merchant.pk).update(
            is_default=False
        )
        MerchantAccount.objects.filter(pk=merchant.pk).update(is_default=True)


def switch(*, merchant: MerchantAccount, is_active: bool) -> None:
    """Take an account into or out of use. Open top-ups, notices and refunds of one out of use still go on."""
    MerchantAccount.objects.filter(pk=merchant.pk).update(is_active=is_active)


def check_credentials(*, merchant: MerchantAccount, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored credentials with the given ones over them. Raises CredentialsWrong as `store_credentials`."""
    secrets = {**merchant.secrets, **{name: value for name, value in given.items() if value}}
    try:
        build(
            merchant.channel,
            merchant_no=merchant.merchant_no,
            app_id=merchant.app_id,
            base_url=merchant.base_url,
            secrets=secrets,
        )
    except NotConfigured as error:
        raise CredentialsWrong(field=error.field) from error
    return secrets


def switch_tier(*, tier: BonusTier, is_active: bool) -> None:
    """Offer a bonus tier, or stop it. Top-ups that have it keep it."""
    BonusTier.objects.filter(pk=tier.pk).update(is_active=is_active)


@dataclass(frozen=True)
class Connection:
    """What a test of a merchant account found: `ok`, or a word of what is wrong and the provider's own code."""

    ok: bool
    cause: str = ""


def check_connection(*, merchant: MerchantAccount) -> Connection:
    """Ask the provider for an order that does not exist: proves address, keys and clock in both directions.

    One HTTP call; never inside a transaction.
    """
    try:
        channel_of(merchant).query(TEST_NUMBER)
    except BadSignature:
        return Connection(False, "answer_signature")
    except ChannelError as error:
        return Connection(False, str(error)[:200])
    return Connection(True)


# --- Platform certificates of WeChat Pay -------------------------------------------------------------------


def refresh_keys(*, merchant: MerchantAccount) -> list[str]:
    """Fetch WeChat Pay's platform certificates (平台证书) and keep those that are new; returns their serial numbers.

    They change every few years, the new one beside the old one for a while. Only merchants without a public key have
    them. One HTTP call; never inside a transaction. Raises ChannelError.
    """
    channel = channel_of(merchant)
    if not isinstance(channel, WechatPay) or merchant.secrets.get("public_key_id"):
        return []
    found = channel.platform_certificates()
    with transaction.atomic():
        row = MerchantAccount.objects.select_for_update().get(pk=merchant.pk)
        known = row.secrets.get("platform_keys", {})
        new = {serial: text for serial, text in found.items() if serial not in known}
        if new:
            store_credentials(merchant=row, given={"platform_keys": {**known, **new}})
            log.info("platform_certificates_added", merchant_id=row.pk, serials=sorted(new))
    return sorted(new)


def refresh_all_keys(*, merchant_id: int | None = None) -> None:
    """Look for new platform certificates of one merchant account, or of all. What fails is logged."""
    rows = MerchantAccount.objects.filter(channel=ChannelName.WECHATPAY)
    for merchant in rows if merchant_id is None else rows.filter(pk=merchant_id):
        try:
            refresh_keys(merchant=merchant)
        except ChannelError as error:
            log.warning("platform_certificates_failed", merchant_id=merchant.pk, cause=str(error))


def key_unknown(*, merchant: MerchantAccount) -> None:
    """A message was signed with a key that is not in the list: look for new ones, at most once in five minutes."""
    from apps.wallet import tasks

    if merchant.channel != ChannelName.WECHATPAY or merchant.secrets.get("public_key_id"):
        return
    if cache.add(f"wallet-keys:{merchant.pk}", 1, timeout=REFRESH_PAUSE_S):
        enqueue(tasks.refresh_keys, merchant.pk)
