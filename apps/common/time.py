"""Times are stored with a zone; business days and price periods are those of Asia/Shanghai."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2999, 12, 31)
"""Days that may be asked for or typed: near the ends of Python's calendar the day after, or another zone, is none."""


def now() -> datetime:
    """Return the present moment, aware, in Asia/Shanghai."""
    return datetime.now(SHANGHAI)


def business_day(moment: datetime) -> date:
    """Return the business day (Asia/Shanghai) on which an aware `moment` falls."""
    return moment.astimezone(SHANGHAI).date()


def read_day(text: str) -> date:
    """Return the day of a text such as 2026-11-30. Raises ValueError for none from FIRST_DAY to LAST_DAY."""
    day = date.fromisoformat(text)
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(text)
    return day


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """Return the aware start (included) and end (excluded) of a business day."""
    start = datetime.combine(day, time(), SHANGHAI)
    return start, start + timedelta(days=1)
