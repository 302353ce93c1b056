"""How values look in the back office: times, money, states."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from apps.common.time import SHANGHAI

EMPTY = "–"
TONES = ("success", "info", "warning", "danger", "neutral")


def moment(value: datetime | None) -> str:
    """Return a time as "2026-11-23 14:05:09" in Asia/Shanghai."""
    return f"{value.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}" if value else EMPTY


def minute(value: datetime | None) -> str:
    """Return a time as "11-23 14:05" in Asia/Shanghai, for lists."""
    return f"{value.astimezone(SHANGHAI):%m-%d %H:%M}" if value else EMPTY


def yuan(value: Decimal | None) -> str:
    """Return money as "12.30"."""
    return f"{value:.2f}" if value is not None else EMPTY


def price(value: Decimal | None) -> str:
    """Return a price with all its decimals, two at least: "1.2345"."""
    if value is None:
        return EMPTY
    whole, _dot, places = f"{value:.5f}".partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def plain(value: Decimal | None) -> str:
    """Return a number without the zeros after its last place, as people type it: "15", "12.5"."""
    return f"{value.normalize():f}" if value is not None else ""


def duration(length: timedelta | None) -> str:
    """Return a length of time as "1 h 05 min", from two days on as "2 d 3 h"."""
    if length is None:
        return EMPTY
    minutes = max(0, int(length.total_seconds())) // 60
    if length >= timedelta(days=2):
        return _("%(days)s d %(hours)s h") % {"days": minutes // 1440, "hours": minutes // 60 % 24}
    if minutes >= 60:
        return _("%(hours)s h %(minutes)s min") % {"hours": minutes // 60, "minutes": f"{minutes % 60:02d}"}
    return _("%(minutes)s min") % {"minutes": minutes}


def label(text: Any, tone: str) -> SafeString:
    """Return a coloured label: the state is a word as well, never colour alone."""
    return format_html('<span class="bo-label bo-{}">{}</span>', tone, text)


def state(obj: Any, tones: Mapping[Any, str], name: str = "state") -> SafeString:
    """Return the label of a choice field; `tones` maps its value to one of TONES."""
    value = getattr(obj, name)
    if value in ("", None):
        return format_html("{}", EMPTY)
    return label(getattr(obj, f"get_{name}_display")(), tones.get(value, "neutral"))
