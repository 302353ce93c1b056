"""What may be on an invoice. Pure: no tables, no clock.

Invoiced is what was paid from topped-up money (principal); bonus and discounts are no income. Amounts include tax.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apps.common.money import ZERO, round_fen, split_amount

# GB 32100-2015: department, category, six digits of the place, nine of the organisation, one check character.
_SIGNS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_TAX_NUMBER = re.compile(rf"[1-9A-GNY][{_SIGNS}][0-9]{{6}}[{_SIGNS}]{{10}}", re.ASCII)
INVOICE_NUMBER = re.compile(r"[0-9]{20}", re.ASCII)


def is_tax_number(text: str) -> bool:
    """Return whether a text is a unified social credit code, by its form and its check character (GB 32100-2015, 4.2:
    the characters' values times powers of 3, modulo 31)."""
    if not _TAX_NUMBER.fullmatch(text):
        return False
    total = sum(_SIGNS.index(sign) * pow(3, place, 31) for place, sign in enumerate(text[:17]))
    return _SIGNS[-total % 31] == text[17]


def invoiced(electricity: Decimal, service: Decimal, principal: Decimal) -> tuple[Decimal, Decimal]:
    """Return what of both fees (yuan, after discounts and refunds) was paid from principal.

    The bonus that paid the rest is split over the fees in proportion to them, to the fen, ties to electricity: as a
    bill splits it (product.md, rule 2), so an order without refunds has on its invoice what its bill says.
    """
    bonus = electricity + service - principal
    if bonus <= 0:
        return electricity, service
    of_electricity, of_service = split_amount(bonus, [electricity, service])
    return electricity - of_electricity, service - of_service


@dataclass(frozen=True)
class Line:
    """One line of an invoice. `amount` includes `tax`; `rate` 0.13 is 13 %."""

    fee: str
    name: str
    tax_code: str
    rate: Decimal
    amount: Decimal

    @property
    def tax(self) -> Decimal:
        """Yuan, rounded half up from the amount with tax."""
        return round_fen(self.amount - self.amount / (1 + self.rate))

    @property
    def net(self) -> Decimal:
        """Without tax, yuan."""
        return self.amount - self.tax


def lines(amounts: Mapping[str, Decimal], terms: Mapping[str, Mapping[str, Any]]) -> list[Line]:
    """Return the lines with something on them, in the order of `amounts` (yuan by fee).

    `terms` has for each fee its `name`, `tax_code` and `rate` as text.
    """
    return [
        Line(fee, terms[fee]["name"], terms[fee]["tax_code"], Decimal(terms[fee]["rate"]), amount)
        for fee, amount in amounts.items()
        if amount > ZERO
    ]
