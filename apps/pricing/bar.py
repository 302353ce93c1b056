"""A tariff as pages show it: the day as a coloured bar of 24 hours, and the table of its periods."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.common.time import SHANGHAI
from apps.pricing.tariff import RateClass, Tariff

PART_NAMES = {"electricity": _("electricity fee"), "service": _("service fee")}
"""What of a price an input is for, where the eye reads it off the column."""
CLASS_NAMES = {
    RateClass.SHARP: _("sharp"),
    RateClass.PEAK: _("peak"),
    RateClass.FLAT: _("flat"),
    RateClass.VALLEY: _("valley"),
    RateClass.DEEP_VALLEY: _("deep valley"),
}


@dataclass(frozen=True)
class Segment:
    """One period of the day. `slots` is its length in half-hours; prices in yuan/kWh."""

    start: str
    end: str
    slots: int
    rate_class: str
    name: Any
    electricity: Decimal
    service: Decimal
    current: bool

    @property
    def total(self) -> Decimal:
        """Electricity and service."""
        return self.electricity + self.service


@dataclass(frozen=True)
class Bar:
    """The day's periods, the classes in use with their prices, and how far the day has gone (percent, or None)."""

    segments: tuple[Segment, ...]
    classes: tuple[dict[str, Any], ...]
    now_percent: float | None

    @property
    def current(self) -> Segment | None:
        """The period of the moment that the bar was made for."""
        return next((segment for segment in self.segments if segment.current), None)


def bar(tariff: Tariff, at: datetime | None = None) -> Bar:
    """Return a tariff as a bar; with `at`, the period then is marked."""
    local = at.astimezone(SHANGHAI) if at else None
    here = local.hour * 2 + local.minute // 30 if local else None
    segments = []
    slot = 0
    for period in tariff.periods():
        length = _slot(period.end) - _slot(period.start)
        segments.append(
            Segment(
                start=period.start,
                end=period.end,
                slots=length,
                rate_class=period.rate_class.value,
                name=CLASS_NAMES[period.rate_class],
                electricity=period.price.electricity,
                service=period.price.service,
                current=here is not None and slot <= here < slot + length,
            )
        )
        slot += length
    used = set(tariff.slots)
    classes = tuple(
        {
            "rate_class": rate_class.value,
            "name": CLASS_NAMES[rate_class],
            "electricity": price.electricity,
            "service": price.service,
            "total": price.total,
            "used": rate_class in used,
        }
        for rate_class, price in tariff.prices.items()
    )
    percent = (local.hour * 60 + local.minute) / 14.4 if local else None
    return Bar(tuple(segments), classes, percent)


def _slot(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 2 + int(minutes) // 30
