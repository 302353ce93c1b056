"""Money: yuan as Decimal with two places, and the only rounding to the fen in the project.

Everything that has more places than the fen (a price, an energy, a ratio) is multiplied exactly and rounded once, by
`round_fen` or, where a rule says "rounded down", by `floor_fen`. Sharing out goes by `split_amount`, so that the
shares always add up.
"""

import math
import re
from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")
ZERO = Decimal("0.00")

_DECIMAL_TEXT = re.compile(r"-?[0-9]{1,15}(?:\.([0-9]+))?", re.ASCII)


class AmountError(ValueError):
    """A text or a number that cannot be the amount it is meant to be; the message names it."""


def round_fen(value: Decimal) -> Decimal:
    """Yuan rounded half up to the fen (a negative half goes away from zero)."""
    return value.quantize(CENT, ROUND_HALF_UP)


def floor_fen(value: Decimal) -> Decimal:
    """Yuan rounded down to the fen."""
    return value.quantize(CENT, ROUND_FLOOR)


def to_fen(amount: Decimal) -> int:
    """Whole fen of an amount in yuan. Raises AmountError when the amount has a part of a fen."""
    if not amount.is_finite() or amount * 100 % 1:
        raise AmountError(f"{amount} yuan is not a whole number of fen")
    return int(amount * 100)


def from_fen(fen: int) -> Decimal:
    """Yuan with two places of an amount in fen."""
    return Decimal(fen).scaleb(-2)


def split_amount(amount: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Split yuan in proportion to the weights, to the fen, by largest remainder; ties go to the first.

    The shares have the order of the weights and add up to the amount. Nothing is owed to a weight of zero. Raises
    AmountError for a negative amount or weight, and for an amount above zero that nothing can take.
    """
    fen = to_fen(amount)
    if fen < 0 or any(weight < 0 for weight in weights):
        raise AmountError("only amounts and weights of zero or more can be split")
    # In whole numbers, since a quotient of decimals is cut off and could turn a tie into an order.
    ratios = [weight.as_integer_ratio() for weight in weights]
    common = math.lcm(*(denominator for _, denominator in ratios))
    parts = [numerator * (common // denominator) for numerator, denominator in ratios]
    whole = sum(parts)
    if whole == 0:
        if fen:
            raise AmountError(f"nothing takes a share of {amount} yuan")
        return [ZERO] * len(parts)
    shares, remainders = zip(*(divmod(fen * part, whole) for part in parts), strict=True)
    neediest = sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)
    extra = set(neediest[: fen - sum(shares)])
    return [from_fen(share + (index in extra)) for index, share in enumerate(shares)]


def parse_decimal(text: object, places: int) -> Decimal:
    """A decimal string from outside ("12.30") as Decimal with exactly `places` places.

    Only ASCII digits, one point and a leading minus: no exponent, space, plus sign or JSON number. Raises AmountError
    for anything else, for more than 15 digits before the point, and for more places than asked, since cutting them
    off would be a rounding.
    """
    if not isinstance(text, str):
        raise AmountError(f"{text!r} is not a decimal string")
    match = _DECIMAL_TEXT.fullmatch(text)
    if match is None:
        raise AmountError(f"{text[:40]!r} is not a decimal number")
    if len(match[1] or "") > places:
        raise AmountError(f"{text[:40]!r} has more than {places} decimal places")
    value = Decimal(text).quantize(Decimal(1).scaleb(-places))
    return value or abs(value)
