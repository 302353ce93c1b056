"""Which money of a wallet pays. Pure: no tables, no clock.

The bonus share of a payable, by ratio, is rounded down to the fen; everything else is exact.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from apps.common.money import ZERO, floor_fen, split_amount, to_fen


class PaymentError(ValueError):
    """Money that cannot be; the message says which."""


class PayOrder(StrEnum):
    """Which money of a wallet pays first."""

    PRINCIPAL_FIRST = "principal_first"
    BONUS_FIRST = "bonus_first"
    RATIO = "ratio"


@dataclass(frozen=True)
class Payment:
    """Where the payable comes from, yuan; the debt is what the wallet could not cover.

    An enterprise's account covers all of it, and no wallet anything then.
    """

    from_principal: Decimal
    from_bonus: Decimal
    debt: Decimal
    from_enterprise: Decimal = ZERO


def pay(
    payable: Decimal, principal: Decimal, bonus: Decimal, order: PayOrder, bonus_ratio: Decimal = Decimal(0)
) -> Payment:
    """Take the payable (yuan) from a wallet's principal and bonus; what both cannot cover is the debt.

    By ratio, the bonus pays its share of the payable rounded down, at most what there is; the rest comes from the
    principal, and what that lacks from the bonus again. Raises PaymentError for negative money or a ratio outside
    0 to 1, AmountError for parts of a fen.
    """
    if min(to_fen(payable), to_fen(principal), to_fen(bonus)) < 0:
        raise PaymentError("payable, principal and bonus are zero or more")
    if not 0 <= bonus_ratio <= 1:
        raise PaymentError(f"bonus ratio {bonus_ratio} is not between 0 and 1")
    match order:
        case PayOrder.PRINCIPAL_FIRST:
            first_from_bonus = ZERO
        case PayOrder.BONUS_FIRST:
            first_from_bonus = min(payable, bonus)
        case PayOrder.RATIO:
            first_from_bonus = min(floor_fen(payable * bonus_ratio), bonus)
    from_principal = min(payable - first_from_bonus, principal)
    from_bonus = min(payable - from_principal, bonus)
    return Payment(from_principal, from_bonus, payable - from_principal - from_bonus)


@dataclass(frozen=True)
class Share:
    """Principal and bonus of a payment or of what goes back of it, yuan."""

    principal: Decimal
    bonus: Decimal

    @property
    def total(self) -> Decimal:
        """Both, yuan."""
        return self.principal + self.bonus


def give_back(amount: Decimal, paid: Share, given: Share) -> Share:
    """Split what goes back of a payment (yuan) into principal and bonus, in the shares that paid.

    `given` went back before. All that went back is split together, to the fen by largest remainder, so that parts add
    up to what the whole would be; neither money ever gets back more than it paid. Raises PaymentError for more than
    is left.
    """
    left = Share(paid.principal - given.principal, paid.bonus - given.bonus)
    if to_fen(amount) < 0 or min(left.principal, left.bonus) < 0 or amount > left.total:
        raise PaymentError(f"{amount} of {left.total} yuan cannot go back")
    principal, _ = split_amount(given.total + amount, [paid.principal, paid.bonus])
    # What paid may have grown since (a debt that was paid later), so the share of now is kept within what is left.
    wanted = principal - given.principal
    now = min(max(wanted, amount - left.bonus, ZERO), left.principal, amount)
    return Share(now, amount - now)
