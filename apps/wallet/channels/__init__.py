"""Payment channels: how a top-up reaches us. Those that a deployment allows are in settings.RECHARGE_CHANNELS."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings

from apps.common.schema import current_schema
from apps.wallet.channels.alipay import Alipay, AlipayCredentials
from apps.wallet.channels.base import Channel, NotConfigured
from apps.wallet.channels.sandbox import SandboxChannel
from apps.wallet.channels.wechatpay import WechatPay, WechatPayCredentials
from apps.wallet.enums import ChannelName
from apps.wallet.models import MerchantAccount

BASE_URLS = {
    ChannelName.WECHATPAY: "https://api.mch.weixin.qq.com",
    ChannelName.ALIPAY: "https://openapi.alipay.com/gateway.do",
}
"""Where the providers are; a merchant account may name another address."""


_channels: dict[tuple[str, int, datetime], Channel] = {}
MOST_CHANNELS = 256


def channel_of(merchant: MerchantAccount) -> Channel:
    """Return the client of a merchant account; the same one until the account is changed. Raises NotConfigured."""
    key = (current_schema(), merchant.pk, merchant.updated_at)
    found = _channels.get(key)
    if found is None:
        found = build(
            merchant.channel,
            merchant_no=merchant.merchant_no,
            app_id=merchant.app_id,
            base_url=merchant.base_url,
            secrets=merchant.secrets,
        )
        if len(_channels) >= MOST_CHANNELS:
            _channels.clear()
        _channels[key] = found
    return found


def build(
    channel: str, *, merchant_no: str, app_id: str, base_url: str, secrets: Mapping[str, Any]
) -> Channel:
    """Make the client of a channel. Raises NotConfigured with the name of what is missing or cannot be read."""
    timeout: tuple[float, float] = settings.PAYMENT_TIMEOUT_S
    try:
        match channel:
            case ChannelName.SANDBOX:
                return SandboxChannel()
            case ChannelName.WECHATPAY:
                return WechatPay(
                    WechatPayCredentials(**{"app_id": app_id, "merchant_no": merchant_no, **secrets}),
                    base_url=base_url or BASE_URLS[ChannelName.WECHATPAY],
                    timeout=timeout,
                )
            case ChannelName.ALIPAY:
                return Alipay(
                    AlipayCredentials(**{"app_id": app_id, "seller_id": merchant_no, **secrets}),
                    base_url=base_url or BASE_URLS[ChannelName.ALIPAY],
                    timeout=timeout,
                )
    except TypeError as error:
        raise NotConfigured("credentials") from error
    raise NotConfigured("channel")
