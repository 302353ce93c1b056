"""The verdict on a transaction record before money moves: ok, flagged (settled and listed) or held (a person decides).

Pure: no tables, no clock. A record is checked against itself (periods and total, meter, times), against physics
(power × time) and against the frozen infrastructure tariff, which is the one that the pile was given. Every finding
has a stable code, a text and the numbers that it rests on.

What real piles do without doing wrong stays ok: period sums off by a few units of 0.0001 kWh, loss energies all zero,
a session that used no energy, prices one unit low, amounts cut to the fen, meters that start anew with each session.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from apps.orders.clock import moved_shares
from apps.orders.settlement import UnpricedEnergy, billable_energies, settle
from apps.pricing.tariff import PRICE_UNIT, RateClass, Tariff

FEN = Decimal("0.01")

_NO_ENERGY = Decimal("0.0000")


def gettext_noop(message: str) -> str:
    """Mark a text for translation; who shows a finding to people translates it."""
    return message


class Verdict(StrEnum):
    """Ordered from harmless to grave."""

    OK = "ok"
    FLAGGED = "flagged"
    HELD = "held"


@dataclass(frozen=True)
class Rules:
    """A tenant's thresholds, and which energy it bills. The defaults are the field's (ykc-protocol.md, 4.4).

    Periods may be off their total by `sum_exact_kwh` (each of up to five may be cut off by one unit of the wire); up to
    `sum_tolerance_kwh` that is flagged, above it held. The meter may show two decimals only.
    """

    use_loss: bool = False
    sum_exact_kwh: Decimal = Decimal("0.0005")
    sum_tolerance_kwh: Decimal = Decimal("0.001")
    meter_tolerance_kwh: Decimal = Decimal("0.01")
    power_margin_percent: Decimal = Decimal(10)
    samples_tolerance_kwh: Decimal = Decimal("0.1")
    samples_tolerance_percent: Decimal = Decimal(1)
    amount_per_period_yuan: Decimal = Decimal("0.02")
    amount_percent: Decimal = Decimal("0.5")
    clock_exact_s: int = 5
    clock_tolerance_s: int = 180
    late_after_minutes: int = 60

    @property
    def power_factor(self) -> Decimal:
        """What rated power is multiplied by."""
        return 1 + self.power_margin_percent / 100


DEFAULT_RULES = Rules()


@dataclass(frozen=True)
class ClassFacts:
    """What a record says of one rate class: yuan/kWh (electricity + service), kWh, yuan with four places."""

    price: Decimal
    energy_kwh: Decimal
    loss_energy_kwh: Decimal
    amount: Decimal


@dataclass(frozen=True)
class RecordFacts:
    """A transaction record (YKC V1.6 0x3B, V1.7 0x3D) and what the platform knows beside it.

    Energies and meter readings in kWh, amount in yuan, times aware. `power_kw` is the gun's rated power,
    `charging_since` the moment when the platform saw the charge begin, `clock_offset_s` how far the pile's clock was
    ahead (+) or behind (−); None where unknown. `sampled_kwh` is the energy that the pile's last report while charging
    showed (0x13), which came at `sampled_at`.
    """

    classes: Mapping[RateClass, ClassFacts]
    total_kwh: Decimal
    total_loss_kwh: Decimal
    total_amount: Decimal
    meter_start: Decimal
    meter_end: Decimal
    start_time: datetime
    end_time: datetime
    received_at: datetime
    power_kw: Decimal | None = None
    charging_since: datetime | None = None
    clock_offset_s: Decimal | None = None
    sampled_kwh: Decimal | None = None
    sampled_at: datetime | None = None

    @property
    def metered(self) -> dict[RateClass, Decimal]:
        """Metered energy by class, kWh."""
        return {rate_class: facts.energy_kwh for rate_class, facts in self.classes.items()}

    @property
    def loss(self) -> dict[RateClass, Decimal]:
        """Energy with losses by class, kWh; all zero on piles that do not fill it in."""
        return {rate_class: facts.loss_energy_kwh for rate_class, facts in self.classes.items()}


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be. `data` holds the numbers as text, ready for JSON."""

    code: str
    verdict: Verdict
    data: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The finding in English; a translation is `gettext(MESSAGES[code]) % data`."""
        return MESSAGES[self.code] % self.data

    def to_json(self) -> dict[str, Any]:
        """The form in which an order keeps the finding."""
        return {"code": self.code, "verdict": self.verdict.value, "text": self.text, "data": self.data}


@dataclass(frozen=True)
class Audit:
    """The gravest of the findings' verdicts, and the findings."""

    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """OK without findings."""
        return max(
            (finding.verdict for finding in self.findings), key=list(Verdict).index, default=Verdict.OK
        )


MESSAGES = {
    "total_without_periods": gettext_noop(
        "The record has a total of %(total)s kWh but no energy in any period."
    ),
    "periods_differ_from_total": gettext_noop(
        "The periods add up to %(periods)s kWh, the total is %(total)s kWh."
    ),
    "loss_differs_from_total": gettext_noop(
        "The periods' energies with losses add up to %(periods)s kWh, the total is %(total)s kWh."
    ),
    "loss_differs_from_metered": gettext_noop("Metered %(metered)s kWh, but %(loss)s kWh with losses."),
    "more_than_power_allows": gettext_noop(
        "%(total)s kWh in %(seconds)s seconds: %(power)s kW can deliver at most %(limit)s kWh."
    ),
    "meter_backwards": gettext_noop("The meter ran backwards, from %(meter_start)s to %(meter_end)s kWh."),
    "meter_differs_from_total": gettext_noop(
        "The meter counted %(metered)s kWh, the total is %(total)s kWh."
    ),
    "less_than_samples": gettext_noop(
        "The record has %(total)s kWh, but the pile had already reported %(sampled)s kWh (tolerance %(tolerance)s)."
    ),
    "more_than_samples": gettext_noop(
        "The record has %(total)s kWh; the pile last reported %(sampled)s kWh, and at most %(limit)s kWh were possible "
        "by its end."
    ),
    "end_before_start": gettext_noop("The record ends at %(end)s, before its start at %(start)s."),
    "clock_ahead": gettext_noop(
        "The record ends at %(end)s but arrived at %(received)s: the pile's clock is ahead."
    ),
    "start_differs": gettext_noop(
        "The record starts at %(start)s, the platform saw the charge begin at %(seen)s."
    ),
    "arrived_late": gettext_noop("The record ends at %(end)s and arrived at %(received)s."),
    "clock_moves_energy": gettext_noop(
        "The pile's clock was off by %(offset)s s: by the right time %(energy)s kWh belong to another price class, "
        "worth %(amount)s yuan."
    ),
    "unpriced_energy": gettext_noop("There is energy in a class without a price: %(error)s."),
    "price_differs": gettext_noop(
        "The pile billed %(rate_class)s at %(pile)s yuan/kWh, the tariff says %(ours)s."
    ),
    "amount_differs": gettext_noop(
        "The pile's amount is %(pile)s yuan, ours is %(ours)s (tolerance %(tolerance)s)."
    ),
}


def audit(record: RecordFacts, tariff: Tariff, rules: Rules = DEFAULT_RULES) -> Audit:
    """Check a record by a tenant's rules; `tariff` is the order's infrastructure tariff."""
    return Audit(
        (
            *_check_energies(record, rules),
            *_check_power(record, rules),
            *_check_meter(record, rules),
            *_check_samples(record, rules),
            *_check_times(record, rules),
            *_check_clock(record, tariff, rules),
            *_check_money(record, tariff, rules),
        )
    )


def _check_energies(record: RecordFacts, rules: Rules) -> list[Finding]:
    metered = sum(record.metered.values(), _NO_ENERGY)
    loss = sum(record.loss.values(), _NO_ENERGY)
    if record.total_kwh and not metered:
        return [Finding("total_without_periods", Verdict.HELD, {"total": str(record.total_kwh)})]
    findings = _compare_sum("periods_differ_from_total", metered, record.total_kwh, Verdict.HELD, rules)
    if loss or record.total_loss_kwh:
        gravest = Verdict.HELD if rules.use_loss else Verdict.FLAGGED
        findings += _compare_sum("loss_differs_from_total", loss, record.total_loss_kwh, gravest, rules)
        if not rules.use_loss and abs(loss - metered) > rules.sum_tolerance_kwh:
            data = {"metered": str(metered), "loss": str(loss), "tolerance": str(rules.sum_tolerance_kwh)}
            findings.append(Finding("loss_differs_from_metered", Verdict.FLAGGED, data))
    return findings


def _compare_sum(
    code: str, periods: Decimal, total: Decimal, gravest: Verdict, rules: Rules
) -> list[Finding]:
    difference = abs(periods - total)
    if difference <= rules.sum_exact_kwh:
        return []
    verdict, limit = Verdict.FLAGGED, rules.sum_exact_kwh
    if difference > rules.sum_tolerance_kwh:
        verdict, limit = gravest, rules.sum_tolerance_kwh
    data = {"periods": str(periods), "total": str(total), "tolerance": str(limit)}
    return [Finding(code, verdict, data)]


def _check_power(record: RecordFacts, rules: Rules) -> list[Finding]:
    duration = record.end_time - record.start_time
    if duration < timedelta(0):
        # The pile's clock was set back during the charge: only the platform's own times bound it.
        if record.charging_since is None:
            return []
        duration = record.received_at - record.charging_since
    if not record.power_kw:
        return []
    seconds = Decimal(duration // timedelta(milliseconds=1)) / 1000
    energy = max(record.total_kwh, sum(record.metered.values(), _NO_ENERGY))
    limit = record.power_kw * seconds * rules.power_factor
    if energy * 3600 <= limit:
        return []
    data = {
        "total": str(energy),
        "seconds": str(seconds),
        "power": str(record.power_kw),
        "limit": f"{limit / 3600:.4f}",
    }
    return [Finding("more_than_power_allows", Verdict.HELD, data)]


def _check_meter(record: RecordFacts, rules: Rules) -> list[Finding]:
    if record.meter_end < record.meter_start:
        data = {"meter_start": str(record.meter_start), "meter_end": str(record.meter_end)}
        return [Finding("meter_backwards", Verdict.HELD, data)]
    metered = record.meter_end - record.meter_start
    if abs(metered - record.total_kwh) <= rules.meter_tolerance_kwh:
        return []
    data = {
        "metered": str(metered),
        "total": str(record.total_kwh),
        "tolerance": str(rules.meter_tolerance_kwh),
    }
    return [Finding("meter_differs_from_total", Verdict.FLAGGED, data)]


def _check_samples(record: RecordFacts, rules: Rules) -> list[Finding]:
    """The record against the pile's own reports while it charged.

    It can only be more than the last report, by what the gun delivers in the time that was left.
    """
    sampled, at = record.sampled_kwh, record.sampled_at
    if sampled is None or at is None:
        return []
    tolerance = rules.samples_tolerance_kwh + sampled * rules.samples_tolerance_percent / 100
    data = {"total": str(record.total_kwh), "sampled": str(sampled), "tolerance": f"{tolerance:.4f}"}
    # Some piles count losses in what they report while charging.
    if max(record.total_kwh, record.total_loss_kwh) < sampled - tolerance:
        return [Finding("less_than_samples", Verdict.FLAGGED, data)]
    if not record.power_kw:
        return []
    # Without trust in the pile's clock: nothing is delivered after the record was sent.
    left = max(record.received_at - at, timedelta(0))
    seconds = Decimal(left // timedelta(milliseconds=1)) / 1000
    more = record.power_kw * seconds * rules.power_factor / 3600
    if record.total_kwh <= sampled + tolerance + more:
        return []
    return [Finding("more_than_samples", Verdict.FLAGGED, {**data, "limit": f"{sampled + more:.4f}"})]


def _check_times(record: RecordFacts, rules: Rules) -> list[Finding]:
    start, end = record.start_time, record.end_time
    received, seen = record.received_at, record.charging_since
    tolerance = timedelta(seconds=rules.clock_tolerance_s)
    findings = []
    if end < start:
        data = {"start": start.isoformat(), "end": end.isoformat()}
        findings.append(Finding("end_before_start", Verdict.FLAGGED, data))
    if seen is not None and abs(start - seen) > tolerance:
        data = {"start": start.isoformat(), "seen": seen.isoformat()}
        findings.append(Finding("start_differs", Verdict.FLAGGED, data))
    if end - received > tolerance:
        data = {"end": end.isoformat(), "received": received.isoformat()}
        findings.append(Finding("clock_ahead", Verdict.FLAGGED, data))
    elif received - end > timedelta(minutes=rules.late_after_minutes):
        data = {"end": end.isoformat(), "received": received.isoformat()}
        findings.append(Finding("arrived_late", Verdict.FLAGGED, data))
    return findings


def _check_clock(record: RecordFacts, tariff: Tariff, rules: Rules) -> list[Finding]:
    """A wrong clock matters where it carries energy over a border between prices."""
    offset = record.clock_offset_s
    if offset is None or abs(offset) <= rules.clock_exact_s:
        return []
    moved = moved_shares(start=record.start_time, end=record.end_time, offset_s=offset, tariff=tariff)
    energy = sum((share for share in moved.values() if share > 0), Decimal(0)) * record.total_kwh
    amount = abs(
        sum((share * tariff.prices[name].total for name, share in moved.items()), Decimal(0))
        * record.total_kwh
    )
    if amount < FEN:
        return []
    data = {"offset": f"{offset:+.0f}", "energy": f"{energy:.4f}", "amount": f"{amount:.2f}"}
    return [Finding("clock_moves_energy", Verdict.FLAGGED, data)]


def _check_money(record: RecordFacts, tariff: Tariff, rules: Rules) -> list[Finding]:
    try:
        bill = settle(billable_energies(record.metered, record.loss, use_loss=rules.use_loss), tariff)
    except UnpricedEnergy as error:
        return [Finding("unpriced_energy", Verdict.HELD, {"error": str(error)})]
    if record.total_kwh and not bill.lines:
        return []  # held for its missing periods; there is no bill to compare with
    findings = []
    for line in bill.lines:
        pile, ours = record.classes[line.rate_class].price, line.electricity_price + line.service_price
        if abs(pile - ours) > PRICE_UNIT:
            data = {"rate_class": line.rate_class.value, "pile": str(pile), "ours": str(ours)}
            findings.append(Finding("price_differs", Verdict.FLAGGED, data))
    tolerance = rules.amount_per_period_yuan * len(bill.lines) + rules.amount_percent / 100 * bill.total
    if abs(record.total_amount - bill.total) > tolerance:
        data = {"pile": str(record.total_amount), "ours": str(bill.total), "tolerance": str(tolerance)}
        findings.append(Finding("amount_differs", Verdict.FLAGGED, data))
    return findings
