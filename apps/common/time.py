"""Times are stored with a zone; business days and price periods are those of Asia/Shanghai."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


def now() -> datetime:
    """Return the present moment, aware, in Asia/Shanghai."""
    return datetime.now(SHANGHAI)


def business_day(moment: datetime) -> date:
    """Return the business day (Asia/Shanghai) on which an aware `moment` falls."""
    return moment.astimezone(SHANGHAI).date()


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """Return the aware start (included) and end (excluded) of a business day."""
    start = datetime.combine(day, time(), SHANGHAI)
    return start, start + timedelta(days=1)
