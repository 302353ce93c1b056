"""A payment channel without a provider, for demo and tests: paying is one more API call."""

from __future__ import annotations

from typing import Any

from apps.wallet.models import Recharge


class SandboxChannel:
    """Pretends that the driver's phone paid as soon as it says so; enabled only where settings name it."""

    def create(self, recharge: Recharge) -> dict[str, Any]:
        """Return the payment parameters: the number to confirm with."""
        return {"recharge_no": recharge.recharge_no, "amount": str(recharge.amount)}

    def trade_no(self, recharge: Recharge) -> str:
        """Return the trade number that this channel gives the payment."""
        return f"SANDBOX{recharge.recharge_no}"
