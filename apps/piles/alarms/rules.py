"""How bad an alarm is and from what on there is one: the tenant's rules over what holds without any."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.common.time import SHANGHAI
from apps.piles.enums import AlarmKind, AlarmLevel

K, L = AlarmKind, AlarmLevel


@dataclass(frozen=True)
class Threshold:
    """From what on there is an alarm: the usual value, the smallest and largest allowed, what it counts."""

    usual: int
    smallest: int
    largest: int
    unit: Any


LEVELS = {
    K.OVER_TEMPERATURE: L.URGENT,
    K.UNBILLED_ENERGY: L.URGENT,
    K.CHARGING_AFTER_FAILURE: L.URGENT,
    K.BATTERY: L.URGENT,
    K.CLOCK_DRIFT: L.MINOR,
    K.LOCK_FAULT: L.MINOR,
}
"""Of kinds that no rule speaks of; the others are important."""

THRESHOLDS = {
    K.OVER_TEMPERATURE: Threshold(60, 30, 120, _("°C of the battery")),
    K.START_FAILURES: Threshold(3, 2, 20, _("failed starts in a row")),
    K.SILENT_GUN: Threshold(15, 6, 1440, _("minutes without a report of a pile that is online")),
    K.CLOCK_DRIFT: Threshold(180, 10, 86_400, _("seconds that the clock is wrong")),
}
"""An idle gun reports every five minutes (YKC V1.6, 0x13), so three reports have to be missing."""

WAITS = {K.PILE_OFFLINE: 3}
"""Minutes before people are told: piles lose their mobile network now and then."""

ORDER = [L.URGENT.value, L.IMPORTANT.value, L.MINOR.value]
"""Worst first."""


@dataclass(frozen=True)
class Effective:
    """What holds for alarms of one kind at one station."""

    level: str
    is_active: bool = True
    threshold: int = 0
    wait_minutes: int = 0
    quiet_from: time | None = None
    quiet_until: time | None = None
    ignored_bits: int = 0
    urgent_bits: int = 0

    def judge(self, detail: dict[str, Any]) -> tuple[str, bool]:
        """Return level and whether it is muted, of an alarm with these facts."""
        text = str(detail.get("fault_bits", ""))
        bits = int(text, 16) if text.startswith("0x") else 0
        if bits and not bits & ~self.ignored_bits:
            return self.level, True
        return (L.URGENT.value if bits & self.urgent_bits else self.level), not self.is_active


class Rules:
    """All rules of the tenant, read once (two queries)."""

    def __init__(self, rows: Iterable[Any], stations: dict[int, set[int]]) -> None:
        self._rows: dict[str, list[tuple[set[int], Any]]] = {}
        for row in rows:
            self._rows.setdefault(row.kind, []).append((stations.get(row.pk, set()), row))

    @classmethod
    def load(cls) -> Rules:
        """Read them, older first."""
        from apps.piles.alarms.models import AlarmRule

        stations: dict[int, set[int]] = {}
        links = AlarmRule.stations.through.objects.values_list("alarmrule_id", "station_id")
        for rule_id, station_id in links:
            stations.setdefault(rule_id, set()).add(station_id)
        return cls(AlarmRule.objects.order_by("id"), stations)

    def of(self, kind: str, station_id: int | None) -> Effective:
        """Return what holds for alarms of a kind at a station (None: of no station)."""
        rows = self._rows.get(kind, [])
        row = next((row for stations, row in rows if station_id in stations), None)
        row = row or next((row for stations, row in rows if not stations), None)
        known = THRESHOLDS.get(K(kind))
        usual = known.usual if known else 0
        if row is None:
            level = LEVELS.get(K(kind), L.IMPORTANT).value
            return Effective(level, threshold=usual, wait_minutes=WAITS.get(K(kind), 0))
        return Effective(
            row.level,
            row.is_active,
            usual if row.threshold is None else row.threshold,
            row.wait_minutes,
            row.quiet_from,
            row.quiet_until,
            row.ignored_bits,
            row.urgent_bits,
        )

    def lowest_threshold(self, kind: AlarmKind) -> int:
        """Return the smallest threshold of a kind at any station."""
        rows = [
            row.threshold for _stations, row in self._rows.get(kind.value, []) if row.threshold is not None
        ]
        return min([THRESHOLDS[kind].usual, *rows])


def is_quiet(start: time | None, end: time | None, at: datetime) -> bool:
    """Return whether a moment is within quiet hours; the end is not."""
    if start is None or end is None:
        return False
    clock = at.astimezone(SHANGHAI).time()
    return start <= clock < end if start < end else clock >= start or clock < end
