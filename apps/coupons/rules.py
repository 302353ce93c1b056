"""Where and when a coupon may be used. Pure: no tables, no clock.

A rule is copied from the template into each coupon when it is claimed, as `Rule.to_json`, so that a later change of
the template changes no coupon that a driver holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from apps.common.time import SHANGHAI

EVERY_DAY = "1234567"


@dataclass(frozen=True)
class Rule:
    """One coupon's rule. Amounts and percentages are decimal strings, as outside numbers are.

    `stations` are ids, none for all. `weekdays` are digits, 1 Monday to 7 Sunday. `from_time` and `until_time` are
    "HH:MM" in Chinese time, the end excluded and the next day's where it is not after the start; both empty: all day.
    `station_share` is the percentage of the saving that the station bears; the platform bears the rest.
    """

    name: str
    kind: str
    applies_to: str
    spend: str = "0.00"
    save: str = "0.00"
    percent_off: str = "0"
    cap: str | None = None
    stations: tuple[int, ...] = ()
    weekdays: str = EVERY_DAY
    from_time: str = ""
    until_time: str = ""
    station_share: str = "0.00"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Rule:
        """Read what `to_json` wrote."""
        return cls(**{**data, "stations": tuple(data.get("stations", ()))})

    def to_json(self) -> dict[str, Any]:
        """The form that coupons keep."""
        return {**asdict(self), "stations": list(self.stations)}

    def obstacle(self, *, station_id: int, at: datetime) -> str:
        """Why a charge that begins `at` at a station cannot use it: "station", "weekday", "hour", or "" if it can."""
        local = at.astimezone(SHANGHAI)
        if self.stations and station_id not in self.stations:
            return "station"
        if str(local.isoweekday()) not in self.weekdays:
            return "weekday"
        return "" if self._in_hours(local.time()) else "hour"

    def _in_hours(self, moment: time) -> bool:
        if not self.from_time or not self.until_time:
            return True
        begin, end = time.fromisoformat(self.from_time), time.fromisoformat(self.until_time)
        if begin < end:
            return begin <= moment < end
        return moment >= begin or moment < end


def days_of_use(
    *, claimed_on: date, first_day: date | None, last_day: date | None, days_valid: int | None
) -> tuple[date, date | None]:
    """The first and last day on which a coupon claimed on a day may be used; a last day of None is never over.

    `days_valid` counts the day of the claim; of that and `last_day` the earlier ends it.
    """
    begin = max(first_day, claimed_on) if first_day else claimed_on
    ends = [last_day] if last_day else []
    if days_valid:
        ends.append(claimed_on + timedelta(days=days_valid - 1))
    return begin, min(ends, default=None)
