"""What a charge costs: energies × tariff → lines → fees. Pure: no tables, no clock.

| amount | places | rounding |
|---|---|---|
| energy of a class | 0.0001 kWh | none: a fifth place is an error |
| price of a class | 0.00001 yuan/kWh | none |
| electricity or service of a class | fen | half up, once for each line |
| a fee, the total | fen | none: sums of rounded lines |

Electricity and service are rounded apart and never mixed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from apps.common.money import ZERO, round_fen
from apps.pricing.tariff import RateClass, Tariff

ENERGY_UNIT = Decimal("0.0001")
ENERGY_LIMIT = Decimal(10000000)
"""kWh: more than any meter of a charge can show, and small enough for exact products."""


class SettlementError(ValueError):
    """Energies that no bill can be made of; the message says which."""


class UnpricedEnergy(SettlementError):
    """Energy was charged in a rate class that the tariff has no price for."""


@dataclass(frozen=True)
class Line:
    """One rate class of a bill: kWh with four places, yuan/kWh with five, yuan with two."""

    rate_class: RateClass
    energy_kwh: Decimal
    electricity_price: Decimal
    service_price: Decimal
    electricity_fee: Decimal
    service_fee: Decimal


@dataclass(frozen=True)
class Bill:
    """Lines in the order of the rate classes, fees in yuan, and the arithmetic in words."""

    lines: tuple[Line, ...]
    electricity_fee: Decimal
    service_fee: Decimal
    explanation: tuple[str, ...]

    @property
    def total(self) -> Decimal:
        """Electricity and service together."""
        return self.electricity_fee + self.service_fee

    @property
    def energy_kwh(self) -> Decimal:
        """Energy of all lines."""
        return sum((line.energy_kwh for line in self.lines), Decimal("0.0000"))


def settle(energies: Mapping[RateClass, Decimal], tariff: Tariff) -> Bill:
    """Bill the energy (kWh) of each class by the price of its class.

    A class without energy gives no line, and no energy at all gives an empty bill of 0.00. Raises UnpricedEnergy for
    energy in a class without a price, SettlementError for an energy that is negative or has more than four places.
    """
    lines: list[Line] = []
    explanation: list[str] = []
    for rate_class in RateClass:
        energy = _checked_energy(rate_class, energies.get(rate_class, Decimal(0)))
        if not energy:
            continue
        price = tariff.prices.get(rate_class)
        if price is None:
            raise UnpricedEnergy(f"{energy} kWh were charged in class {rate_class}, which has no price")
        line = Line(
            rate_class=rate_class,
            energy_kwh=energy,
            electricity_price=price.electricity,
            service_price=price.service,
            electricity_fee=round_fen(energy * price.electricity),
            service_fee=round_fen(energy * price.service),
        )
        lines.append(line)
        explanation += [
            _explain(f"{rate_class} electricity", energy, price.electricity, line.electricity_fee),
            _explain(f"{rate_class} service", energy, price.service, line.service_fee),
        ]
    electricity = sum((line.electricity_fee for line in lines), ZERO)
    service = sum((line.service_fee for line in lines), ZERO)
    explanation.append(f"fees: electricity {electricity} + service {service} = {electricity + service}")
    return Bill(tuple(lines), electricity, service, tuple(explanation))


def billable_energies(
    metered: Mapping[RateClass, Decimal], loss: Mapping[RateClass, Decimal], *, use_loss: bool = False
) -> dict[RateClass, Decimal]:
    """The energies of a record that are billed: metered ones, or those with losses where the rule says so.

    Many piles leave every loss energy at zero although they metered something; such a record is billed as metered.
    Whether the periods are a whole account of the record is the audit's question, not asked here.
    """
    return dict(loss if use_loss and any(loss.values()) else metered)


def _checked_energy(rate_class: RateClass, energy: Decimal) -> Decimal:
    if not energy.is_finite() or not 0 <= energy < ENERGY_LIMIT:
        raise SettlementError(
            f"energy {energy} kWh of class {rate_class} is not between 0 and {ENERGY_LIMIT}"
        )
    exact = energy.quantize(ENERGY_UNIT)
    if exact != energy:
        raise SettlementError(f"energy {energy} kWh of class {rate_class} has more than 4 decimal places")
    return exact


def _explain(what: str, energy: Decimal, price: Decimal, fee: Decimal) -> str:
    return f"{what}: {energy} kWh x {price} = {energy * price} -> {fee}"
