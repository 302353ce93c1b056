"""Which days a price applies on, and the stretches of time that they make. Pure: no tables, no clock.

Public holidays are announced by the State Council each autumn for the year to come, with the weekend days that are
worked instead (调休); staff type them in or import them. Without them a calendar knows weekdays and weekends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from apps.common.time import business_day, day_bounds
from apps.pricing.enums import DayKind, TaskDays

SATURDAY = 5


@dataclass(frozen=True)
class Window:
    """From `start` on until before `end`; None: without an end."""

    start: datetime
    end: datetime | None


def matches(day: date, days: TaskDays, calendar: Mapping[date, DayKind]) -> bool:
    """Return whether a price for `days` applies on `day`."""
    if days == TaskDays.ALL:
        return True
    kind = calendar.get(day)
    if days == TaskDays.HOLIDAYS or kind is not None:
        return kind == DayKind.HOLIDAY
    return day.weekday() >= SATURDAY


def windows(
    *, days: TaskDays, starts_at: datetime, ends_at: datetime | None, calendar: Mapping[date, DayKind]
) -> list[Window]:
    """Return the stretches between `starts_at` and `ends_at` that lie on such days; neighbouring days are one.

    Days are those of Asia/Shanghai, from midnight to midnight. Days by the calendar need an end.
    """
    if days == TaskDays.ALL:
        return [Window(starts_at, ends_at)]
    assert ends_at is not None
    found: list[Window] = []
    day = business_day(starts_at)
    while (bounds := day_bounds(day))[0] < ends_at:
        if matches(day, days, calendar):
            start, end = max(bounds[0], starts_at), min(bounds[1], ends_at)
            if found and found[-1].end == start:
                found[-1] = Window(found[-1].start, end)
            else:
                found.append(Window(start, end))
        day += timedelta(days=1)
    return found
