"""What the gateway has to reach. Nearly all goals are ratios of two figures of one run on one machine."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Goal:
    """A limit that the value may not pass; `at_least` turns it round; None is a figure without a goal."""

    limit: float | None
    unit: str
    text: str
    at_least: bool = False


GOALS = {
    "heartbeat": Goal(1.35, "x echo", "CPU per heartbeat, one in a write, saturated"),
    "charging": Goal(4.5, "x echo", "CPU per frame of the charging mix, 40,000/s, every row stored"),
    "charging_saturated": Goal(None, "x echo", "the same as fast as it goes, rows dropped when the database lags"),
    "stock_heartbeat": Goal(6.0, "x less", "CPU per heartbeat, against a stock consumer", at_least=True),
    "stock_charging": Goal(12.0, "x less", "CPU per frame of the mix, against a stock consumer", at_least=True),
    "memory": Goal(2.5, "x echo", "memory per idle logged-in pile"),
    "scale": Goal(1.2, "x", "CPU per frame with 18,000 piles, against 500"),
    "pace_p99": Goal(5.0, "ms", "heartbeat answer p99, 10,000 guns, half charging (or 3 x echo)"),
    "pace_worst": Goal(100.0, "ms", "the slowest answer of them"),
    "start": Goal(25.0, "ms", "API call to 0x34 on the wire, p50, 1,000 piles connected"),
    "command": Goal(1.5, "x raw", "remote start, commit to answer, p50, 5,000 piles, against Redis alone"),
    "command_p99": Goal(10.0, "ms", "the same, p99"),
    "records": Goal(2.5, "x more", "records/s, 500 piles, against a commit per row", at_least=True),
    "record_alone": Goal(1.5, "x", "one record alone, p50, against a lone INSERT and COMMIT"),
    "telemetry": Goal(5.0, "x more", "telemetry rows/s, against bulk_create of the same", at_least=True),
    "logins": Goal(10.0, "x less", "CPU of 10,000 logins at once, against a stock consumer + group", at_least=True),
    "login_redis": Goal(0.05, "each", "Redis commands per login"),
    "codec": Goal(1.3, "x", "cut, check, decode (and answer) a frame, against struct by hand"),
    "codec_construct": Goal(30.0, "x less", "decode a frame, against construct", at_least=True),
    "books_journal": Goal(2.0, "x", "journal pages, 5,000,000 entries against 5,000, the slowest of them"),
    "books_statement": Goal(2.0, "x", "wallet statement pages, the same"),
    "pages_overview": Goal(3.0, "x", "overview, 5,000,000 orders at 10,000 guns against a small business"),
    "pages_orders": Goal(3.0, "x", "list of orders with each filter, the slowest, the same"),
    "pages_report": Goal(3.0, "x", "finance report of a month, the slowest grouping, the same"),
    "pages_wall": Goal(3.0, "x", "gun wall, the same"),
    "near": Goal(5.0, "x bare", "stations near a point, 20,000 stations, p95, against a bare view of the same bytes"),
    "live": Goal(300.0, "ms", "0x13 written to its picture at the phone, p95, 1,000 watched charges"),
    "settlements": Goal(0.3, "x", "settlements/s of 4 processes, against pgbench, as many row writes", True),
    "reconcile": Goal(10.0, "s", "a channel's bill of 10,000 rows: read, stored, matched, fee booked"),
}  # fmt: skip


@dataclass
class Result:
    """One figure against its goal; `ours` and `other` are what a ratio was made of, `goal` overrides the table's."""

    name: str
    value: float
    values: list[float] = field(default_factory=list)
    ours: float | None = None
    other: float | None = None
    goal: float | None = None
    note: str = ""

    @property
    def limit(self) -> float | None:
        """What the value may not pass."""
        return GOALS[self.name].limit if self.goal is None else self.goal

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached; a figure without a goal always is."""
        if self.limit is None:
            return True
        return self.value >= self.limit if GOALS[self.name].at_least else self.value <= self.limit


def ratio(
    name: str, measured: Iterable[tuple[float, float]], *, inverse: bool = False, note: str = ""
) -> Result:
    """Return the median of the rounds' ratios ours / other (`inverse`: other / ours) with both medians beside it."""
    pairs: Sequence[tuple[float, float]] = list(measured)
    ratios = [other / ours if inverse else ours / other for ours, other in pairs]
    return Result(
        name,
        statistics.median(ratios),
        ratios,
        ours=statistics.median(ours for ours, _ in pairs),
        other=statistics.median(other for _, other in pairs),
        note=note,
    )


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least `share` of all values do not pass (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)]
