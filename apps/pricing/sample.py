"""A bill on trial: what a charge would cost that begins at some time of day. Pure: no tables, no clock.

The energy is spread over the half-hours at constant power, as a car takes it that is not yet full. Lines are billed by
the rule of real bills: energy of a class (0.0001 kWh) × price, each line rounded half up to the fen.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from apps.common.money import ZERO, round_fen
from apps.pricing.tariff import PRICE_UNIT, SLOTS_PER_DAY, ClassPrice, RateClass, Tariff

ENERGY_UNIT = Decimal("0.0001")
SLOT_MINUTES = 30
LONGEST_MINUTES = 24 * 60
DEFAULT_KWH, DEFAULT_KW = Decimal(40), Decimal(60)
DEFAULT_SLOT = 36
"""18:00, when most cars come."""


@dataclass(frozen=True)
class Sample:
    """A charge of `kwh` at constant `kw` from the half hour `slot` (0 to 47) on."""

    slot: int = DEFAULT_SLOT
    kwh: Decimal = DEFAULT_KWH
    kw: Decimal = DEFAULT_KW

    @property
    def minutes(self) -> Decimal:
        """How long it takes."""
        return self.kwh / self.kw * 60

    @property
    def ends(self) -> str:
        """The time of day at its end, "HH:MM"."""
        minute = self.slot * SLOT_MINUTES + int(self.minutes)
        return f"{minute // 60 % 24:02d}:{minute % 60:02d}"


@dataclass(frozen=True)
class SampleLine:
    """One rate class: kWh, prices in yuan/kWh, fees in yuan."""

    rate_class: RateClass
    energy_kwh: Decimal
    price: ClassPrice
    electricity_fee: Decimal
    service_fee: Decimal

    @property
    def total(self) -> Decimal:
        """Electricity and service together."""
        return self.electricity_fee + self.service_fee


@dataclass(frozen=True)
class SampleBill:
    """Lines in the order of the classes, and their sums in yuan."""

    lines: tuple[SampleLine, ...]
    energy_kwh: Decimal

    @property
    def electricity_fee(self) -> Decimal:
        """Of all lines."""
        return sum((line.electricity_fee for line in self.lines), ZERO)

    @property
    def service_fee(self) -> Decimal:
        """Of all lines."""
        return sum((line.service_fee for line in self.lines), ZERO)

    @property
    def total(self) -> Decimal:
        """Electricity and service together."""
        return self.electricity_fee + self.service_fee

    @property
    def average(self) -> Decimal:
        """Yuan for each kWh, five places."""
        if not self.energy_kwh:
            return ZERO
        return (self.total / self.energy_kwh).quantize(PRICE_UNIT, ROUND_HALF_UP)


def energies(tariff: Tariff, sample: Sample) -> dict[RateClass, Decimal]:
    """Return the energy of each class that the charge touches; they add up to its energy to 0.0001 kWh.

    A charge of more than a day is spread over a day and no longer.
    """
    left = min(sample.minutes, Decimal(LONGEST_MINUTES))
    whole = left
    minutes: dict[RateClass, Decimal] = {}
    slot = sample.slot
    while left > 0:
        part = min(left, Decimal(SLOT_MINUTES))
        name = tariff.slots[slot % SLOTS_PER_DAY]
        minutes[name] = minutes.get(name, Decimal(0)) + part
        left -= part
        slot += 1
    found: dict[RateClass, Decimal] = {}
    given = done = Decimal(0)
    for name in (name for name in RateClass if name in minutes):
        done += minutes[name]
        upto = (sample.kwh * done / whole).quantize(ENERGY_UNIT, ROUND_HALF_UP)
        found[name] = upto - given
        given = upto
    return found


def sample_bill(tariff: Tariff, sample: Sample) -> SampleBill:
    """Return what the charge costs at these prices."""
    lines = tuple(
        SampleLine(
            rate_class=name,
            energy_kwh=energy,
            price=tariff.prices[name],
            electricity_fee=round_fen(energy * tariff.prices[name].electricity),
            service_fee=round_fen(energy * tariff.prices[name].service),
        )
        for name, energy in energies(tariff, sample).items()
        if energy
    )
    return SampleBill(lines, sum((line.energy_kwh for line in lines), Decimal("0.0000")))
