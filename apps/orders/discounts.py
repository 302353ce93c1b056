"""What is taken off a bill before the wallet pays: the enterprise's discount, then one coupon. Pure.

    retail fees → enterprise discount → one coupon → payable, each fee kept apart

| amount | rounding |
|---|---|
| enterprise discount of a fee | half up to the fen, each fee on its own |
| percentage of a coupon | half up to the fen, then capped |
| a coupon's saving on both fees, split | largest remainder to the fen, ties to electricity |

A saving is at most what it is taken off, so neither a fee nor the payable falls below zero. Each step leaves a record
(`Step`), which orders keep and pages put into words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from apps.common.money import ZERO, round_fen, split_amount


class AppliesTo(StrEnum):
    """The fees that a discount is worked out from and taken off."""

    SERVICE = "service"
    ALL = "all"


class CouponKind(StrEnum):
    """满减: so much off above a spend. 折扣: percent off above a spend, up to a cap."""

    THRESHOLD = "threshold"
    PERCENT = "percent"


@dataclass(frozen=True)
class EnterpriseDiscount:
    """Percent off (0 to 100) the service fee or both fees."""

    percent_off: Decimal
    applies_to: AppliesTo = AppliesTo.SERVICE


@dataclass(frozen=True)
class Coupon:
    """A coupon's rule, yuan: `save` for a threshold coupon, `percent_off` and `cap` (None: no cap) for a percentage.

    `ends` is its last day, None when it never ends.
    """

    id: str
    kind: CouponKind
    spend: Decimal = ZERO
    save: Decimal = ZERO
    percent_off: Decimal = Decimal(0)
    cap: Decimal | None = None
    applies_to: AppliesTo = AppliesTo.SERVICE
    ends: date | None = None

    def saving(self, fees: "Fees") -> Decimal:
        """What the coupon takes off these fees (after the enterprise discount), yuan; 0.00 below its threshold."""
        base = fees.service if self.applies_to is AppliesTo.SERVICE else fees.total
        if base < self.spend:
            return ZERO
        if self.kind is CouponKind.THRESHOLD:
            return min(self.save, base)
        saving = round_fen(base * self.percent_off / 100)
        return min(saving, base) if self.cap is None else min(saving, self.cap, base)


@dataclass(frozen=True)
class Fees:
    """Electricity and service, yuan, never mixed."""

    electricity: Decimal
    service: Decimal

    @property
    def total(self) -> Decimal:
        """Both fees."""
        return self.electricity + self.service

    def less(self, saving: Decimal, applies_to: AppliesTo) -> "Fees":
        """The fees after a saving on the service fee alone, or on both in proportion to their amounts."""
        if applies_to is AppliesTo.SERVICE:
            return Fees(self.electricity, self.service - saving)
        from_electricity, from_service = split_amount(saving, [self.electricity, self.service])
        return Fees(self.electricity - from_electricity, self.service - from_service)


@dataclass(frozen=True)
class Step:
    """One step of the pipeline: what was done by which rule, and both fees before and after it, yuan."""

    code: str
    before: Fees
    after: Fees
    rule: Mapping[str, str]

    @property
    def saving(self) -> Decimal:
        """What the step took off."""
        return self.before.total - self.after.total

    def to_json(self) -> dict[str, Any]:
        """The form that orders keep: the rule's words, and fees as [electricity, service]."""
        return {
            "step": self.code,
            **self.rule,
            "saving": str(self.saving),
            "before": [str(self.before.electricity), str(self.before.service)],
            "after": [str(self.after.electricity), str(self.after.service)],
        }

    def __str__(self) -> str:
        fees = (
            f"electricity {self.before.electricity} -> {self.after.electricity}, "
            f"service {self.before.service} -> {self.after.service}"
        )
        rule = self.rule
        if self.code == "enterprise":
            return f"enterprise: {rule['percent_off']}% off {rule['applies_to']}: {fees}"
        return f"coupon {rule['id']}: {rule['kind']} on {rule['applies_to']}, saves {self.saving}: {fees}"


@dataclass(frozen=True)
class Discounts:
    """What was taken off, and the fees that are left to pay."""

    enterprise_discount: Decimal
    coupon: Coupon | None
    coupon_discount: Decimal
    payable: Fees
    steps: tuple[Step, ...]

    @property
    def explanation(self) -> tuple[str, ...]:
        """The steps as English sentences."""
        return tuple(map(str, self.steps))


def discount(fees: Fees, enterprise: EnterpriseDiscount | None, coupons: Sequence[Coupon]) -> Discounts:
    """Take the enterprise's discount and then the best coupon off the fees.

    `coupons` are those that the customer may use for this order, oldest first. Without a coupon that saves anything
    none is used up.
    """
    steps: list[Step] = []
    left = fees
    if enterprise is not None:
        left = _after_enterprise(fees, enterprise)
        rule = {"percent_off": f"{enterprise.percent_off}", "applies_to": enterprise.applies_to.value}
        steps.append(Step("enterprise", fees, left, rule))
    enterprise_discount = fees.total - left.total
    coupon = best_coupon(left, coupons)
    if coupon is None:
        return Discounts(enterprise_discount, None, ZERO, left, tuple(steps))
    saving = coupon.saving(left)
    payable = left.less(saving, coupon.applies_to)
    rule = {"id": coupon.id, "kind": coupon.kind.value, "applies_to": coupon.applies_to.value}
    steps.append(Step("coupon", left, payable, rule))
    return Discounts(enterprise_discount, coupon, saving, payable, tuple(steps))


def borne(saving: Decimal, station_share: Decimal) -> tuple[Decimal, Decimal]:
    """Who bears a saving: the platform's and the station's part, yuan; `station_share` in percent, 0 to 100.

    By largest remainder to the fen, ties to the platform.
    """
    platform, station = split_amount(saving, [100 - station_share, station_share])
    return platform, station


def split_bonus(bonus: Decimal, payable: Fees) -> Fees:
    """How much of each fee the bonus paid: in proportion to what is payable, by largest remainder."""
    return Fees(*split_amount(bonus, [payable.electricity, payable.service]))


def best_coupon(fees: Fees, coupons: Sequence[Coupon]) -> Coupon | None:
    """The coupon with the largest saving, then the earliest end, then the first of the list; None if none saves."""
    useful = [coupon for coupon in coupons if coupon.saving(fees)]
    return min(useful, key=lambda coupon: (-coupon.saving(fees), coupon.ends or date.max), default=None)


def _after_enterprise(fees: Fees, enterprise: EnterpriseDiscount) -> Fees:
    off_service = round_fen(fees.service * enterprise.percent_off / 100)
    if enterprise.applies_to is AppliesTo.SERVICE:
        return Fees(fees.electricity, fees.service - off_service)
    off_electricity = round_fen(fees.electricity * enterprise.percent_off / 100)
    return Fees(fees.electricity - off_electricity, fees.service - off_service)
