"""Coupons in words for people."""

from __future__ import annotations

from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.coupons.enums import CouponBase, CouponKind
from apps.coupons.rules import EVERY_DAY, Rule

OBSTACLES = {
    "taken": gettext_lazy("It is used, reserved, expired or void."),
    "date": gettext_lazy("It is not valid on this day."),
    "station": gettext_lazy("It is not valid at this station."),
    "weekday": gettext_lazy("It is not valid on this day of the week."),
    "hour": gettext_lazy("It is not valid at this time of day."),
}
WEEKDAYS = {
    "1": gettext_lazy("Monday"),
    "2": gettext_lazy("Tuesday"),
    "3": gettext_lazy("Wednesday"),
    "4": gettext_lazy("Thursday"),
    "5": gettext_lazy("Friday"),
    "6": gettext_lazy("Saturday"),
    "7": gettext_lazy("Sunday"),
}


def obstacle_words(reason: str) -> str:
    """Return why a coupon cannot be used."""
    return str(OBSTACLES.get(reason, reason))


def percent_words(text: str) -> str:
    """Return a percentage without needless zeros: "12.5000" is 12.5."""
    value = Decimal(text)
    return f"{value.normalize() if value % 1 else value.quantize(Decimal(1))}"


def saving_words(rule: Rule) -> str:
    """Return what a coupon saves, in one line."""
    fees = str(CouponBase(rule.applies_to).label)
    words = {"fees": fees, "spend": rule.spend, "save": rule.save, "cap": rule.cap}
    words["percent"] = percent_words(rule.percent_off)
    needs_spend = bool(Decimal(rule.spend))
    if rule.kind == CouponKind.THRESHOLD:
        if needs_spend:
            return _("%(save)s yuan off where the %(fees)s reaches %(spend)s yuan") % words
        return _("%(save)s yuan off the %(fees)s") % words
    text = (
        _("%(percent)s%% off where the %(fees)s reaches %(spend)s yuan") % words
        if needs_spend
        else _("%(percent)s%% off the %(fees)s") % words
    )
    return f"{text}{_(', at most %(cap)s yuan') % words}" if rule.cap else text


def limit_words(rule: Rule) -> str:
    """Return at what times a coupon may be used; "" for one without limits."""
    parts = []
    if set(rule.weekdays) != set(EVERY_DAY):
        parts.append("/".join(str(WEEKDAYS[day]) for day in sorted(set(rule.weekdays))))
    if rule.from_time and rule.until_time:
        parts.append(f"{rule.from_time}–{rule.until_time}")
    return " ".join(parts)
