"""Columns whose scale is that of their meaning."""

from __future__ import annotations

from typing import Any

from django.db import models


class _Scaled(models.DecimalField):
    scale = (14, 2)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"], kwargs["decimal_places"] = self.scale
        super().__init__(*args, **kwargs)


class MoneyField(_Scaled):
    """Yuan with two places: ledger, wallet, bills."""

    scale = (14, 2)


class PriceField(_Scaled):
    """Yuan per kWh with five places, as on the wire."""

    scale = (10, 5)


class EnergyField(_Scaled):
    """kWh with four places, as on the wire."""

    scale = (14, 4)


class DeviceAmountField(_Scaled):
    """Yuan with four places, as a pile reports them; evidence, never booked."""

    scale = (14, 4)
