"""Whether a pile and our bills tell the same energy: pure comparisons of one charge. All energies in kWh.

Four sources say how much a charge delivered: the record's total, the bill, the gun's meter, and what the gun told while
it charged. The record is what bills are made of, so each of the others is held against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.orders.audit import DEFAULT_RULES, Rules
from apps.orders.enums import EnergyDifferenceKind as Kind

SAMPLED_EXACT = Decimal("0.1")
"""A gun's running total may be rounded, and counts before the cable's losses or behind them."""
SAMPLED_RATIO = Decimal("0.01")
REPORT_EVERY_S = 30
"""Two periods of frame 0x13: so much of the end may be missing from telemetry."""
NOTHING = Decimal("0.1")
"""A gun that tells no more than this has not charged."""


@dataclass(frozen=True, slots=True)
class GunCharge:
    """One gun's part of a charge; None where a source says nothing.

    `recorded_loss` is the record's total with losses: a bill may be made of either, by the tenant's rule.
    """

    billed: Decimal | None
    recorded: Decimal | None
    recorded_loss: Decimal | None
    meter_start: Decimal
    meter_end: Decimal
    sampled: Decimal | None
    sampled_at: datetime | None
    ended_at: datetime | None
    power_kw: Decimal

    @property
    def metered(self) -> Decimal | None:
        """What the meter counted; None for a gun without one."""
        if self.recorded is None or not (self.meter_start or self.meter_end):
            return None
        return self.meter_end - self.meter_start


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Our figure, the pile's, and what else a person wants to know."""

    kind: Kind
    ours: Decimal
    theirs: Decimal
    facts: Mapping[str, str]


def compare(charge: GunCharge, rules: Rules = DEFAULT_RULES) -> Iterator[Disagreement]:
    """Yield what does not agree about one charge, by the tenant's tolerances."""
    if charge.recorded is None:
        if (charge.sampled or 0) > NOTHING:
            yield Disagreement(Kind.NO_RECORD, charge.billed or Decimal(0), charge.sampled or Decimal(0), {})
        return
    if charge.billed is None:
        if charge.recorded:
            yield Disagreement(Kind.UNBILLED_RECORD, Decimal(0), charge.recorded, {})
    elif not _agrees(charge, rules.sum_tolerance_kwh):
        yield Disagreement(Kind.BILLED_DIFFERS, charge.billed, charge.recorded, {})
    metered = charge.metered
    if metered is not None and abs(metered - charge.recorded) > rules.meter_tolerance_kwh:
        facts = {"meter_start": str(charge.meter_start), "meter_end": str(charge.meter_end)}
        yield Disagreement(Kind.METER_DIFFERS, charge.recorded, metered, facts)
    if not _sampled_agrees(charge):
        assert charge.sampled is not None
        facts = {"last_report": charge.sampled_at.isoformat() if charge.sampled_at else ""}
        yield Disagreement(Kind.TELEMETRY_DIFFERS, charge.recorded, charge.sampled, facts)


def _agrees(charge: GunCharge, tolerance: Decimal) -> bool:
    assert charge.billed is not None
    assert charge.recorded is not None
    told = [charge.recorded, *([charge.recorded_loss] if charge.recorded_loss else [])]
    return any(abs(charge.billed - energy) <= tolerance for energy in told)


def _sampled_agrees(charge: GunCharge) -> bool:
    """A gun that was offline at the end told less; one that told more than its record has lost energy."""
    if charge.sampled is None or charge.recorded is None:
        return True
    # Piles that count losses in their running total are held against that total.
    recorded = max(charge.recorded, charge.recorded_loss or charge.recorded)
    tolerance = SAMPLED_EXACT + SAMPLED_RATIO * recorded
    if charge.sampled > recorded + tolerance:
        return False
    if charge.sampled_at is None or charge.ended_at is None:
        return True
    silent_s = max(0, int((charge.ended_at - charge.sampled_at).total_seconds())) + REPORT_EVERY_S
    missing = charge.power_kw * silent_s / 3600
    return charge.recorded - charge.sampled <= tolerance + missing
