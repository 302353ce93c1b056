"""What a charge looked like over time: telemetry thinned to a few hundred points that keep its shape."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from apps.piles.models import TelemetryKind

POINTS = 300
FRESH = timedelta(seconds=60)
"""A reading of the battery or of another gun goes with a report that came at most so much later."""

Point = list[float | int | None]
"""[seconds since the start, kW, SOC %, V, A, kWh, highest °C]; None is unknown."""


class Sample(NamedTuple):
    """A row of telemetry as far as a curve needs it."""

    at: datetime
    kind: int
    transaction_no: str
    voltage_v: Decimal | None
    current_a: Decimal | None
    soc_percent: int | None
    energy_kwh: Decimal | None
    max_temp_c: int | None


def curve(samples: Iterable[Sample], *, transaction_no: str, start: datetime | None = None) -> list[Point]:
    """Return the points of a charge from the telemetry of all its guns, in order of time, at most `POINTS`.

    One point for each report of the main gun (`transaction_no`); power, current and energy of further guns are added.
    SOC of 0 is unknown: AC piles send it always. `start` defaults to the first sample.
    """
    ordered = sorted(samples, key=lambda sample: sample.at)
    states = [s for s in ordered if s.kind == TelemetryKind.REALTIME]
    mine = [s for s in states if s.transaction_no == transaction_no]
    if not mine:
        return []
    others = [
        _Latest([s for s in states if s.transaction_no == number])
        for number in sorted({s.transaction_no for s in states} - {transaction_no})
    ]
    battery = _Latest([s for s in ordered if s.kind == TelemetryKind.BATTERY and s.max_temp_c is not None])
    demand = _Latest([s for s in ordered if s.kind == TelemetryKind.DEMAND and s.soc_percent])
    begin = start or ordered[0].at
    points = []
    for sample in mine:
        guns = [sample, *(other for latest in others if (other := latest.at(sample.at)))]
        asked, told = demand.at(sample.at), battery.at(sample.at)
        temperature = told.max_temp_c if told else sample.max_temp_c
        points.append(
            [
                round((sample.at - begin).total_seconds()),
                float(round(sum(_kw(gun) for gun in guns), 2)),
                sample.soc_percent or (asked.soc_percent if asked else None),
                float(sample.voltage_v or 0),
                float(sum(gun.current_a or 0 for gun in guns)),
                float(sum(gun.energy_kwh or 0 for gun in guns)),
                temperature,
            ]
        )
    return thin(points)


def thin(points: Sequence[Point], limit: int = POINTS) -> list[Point]:
    """Return at most `limit` of `points`, always the first and the last, so that the line of power keeps its shape.

    Largest triangle three buckets (Steinarsson 2013): of each stretch the point that stands out most stays.
    """
    if len(points) <= limit:
        return list(points)
    inner = limit - 2
    bounds = [1 + (len(points) - 2) * index // inner for index in range(inner + 1)]
    kept = [points[0]]
    for index in range(inner):
        after = points[bounds[index + 1] : bounds[index + 2]] if index + 2 <= inner else points[-1:]
        x2, y2 = (sum(p[axis] or 0 for p in after) / len(after) for axis in (0, 1))
        x0, y0 = kept[-1][0] or 0, kept[-1][1] or 0
        kept.append(
            max(
                points[bounds[index] : bounds[index + 1]],
                key=lambda p: abs((x0 - x2) * ((p[1] or 0) - y0) - (x0 - (p[0] or 0)) * (y2 - y0)),
            )
        )
    return [*kept, points[-1]]


class _Latest:
    """The last of some samples before a moment, unless it is stale."""

    def __init__(self, samples: list[Sample]) -> None:
        self._samples = samples
        self._times = [sample.at for sample in samples]

    def at(self, moment: datetime) -> Sample | None:
        place = bisect_right(self._times, moment) - 1
        if place < 0 or moment - self._times[place] > FRESH:
            return None
        return self._samples[place]


def _kw(sample: Sample) -> Decimal:
    return (sample.voltage_v or Decimal(0)) * (sample.current_a or Decimal(0)) / 1000
