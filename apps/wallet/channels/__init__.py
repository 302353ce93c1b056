"""Payment channels: how a top-up reaches us. Enabled ones are in settings.RECHARGE_CHANNELS."""

from __future__ import annotations

from typing import Any, Protocol

from django.conf import settings

from apps.wallet.channels.sandbox import SandboxChannel
from apps.wallet.errors import ChannelNotAvailable
from apps.wallet.models import Recharge


class Channel(Protocol):
    """One way to pay."""

    def create(self, recharge: Recharge) -> dict[str, Any]:
        """Return what the driver's phone needs to pay this recharge."""
        ...


_CHANNELS: dict[str, type[Channel]] = {"sandbox": SandboxChannel}


def channel_for(name: str) -> Channel:
    """Return an enabled channel. Raises ChannelNotAvailable."""
    if name not in settings.RECHARGE_CHANNELS or name not in _CHANNELS:
        raise ChannelNotAvailable(channel=name)
    return _CHANNELS[name]()
