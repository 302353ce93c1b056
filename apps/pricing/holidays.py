"""Days of the holiday calendar as people type or paste them: "2026-10-01~2026-10-07 国庆节 休". Pure.

A line has a day or a range of days (one column or two), a name, and what kind of day it is; columns are separated by
commas, tabs or spaces. Days are written 2026-10-01, 2026/10/1, 20261001 or 2026年10月1日.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.utils.translation import gettext as _

from apps.common.time import FIRST_DAY, LAST_DAY
from apps.pricing.enums import DayKind
from apps.pricing.price_tasks import MOST_DAYS, Entry

KINDS = {
    **dict.fromkeys(("休", "假", "放假", "休息", "节假日", "holiday"), DayKind.HOLIDAY),
    **dict.fromkeys(("班", "上班", "调休", "补班", "工作日", "workday"), DayKind.WORKDAY),
}
LONGEST_RANGE = 20
_DAY = r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?"
_RANGE = re.compile(rf"^{_DAY}(?:\s*(?:~|～|—|–|至|到)\s*{_DAY})?$")
_RANGE_MARK = re.compile(r"\s*(~|～|—|–|至|到)\s*")
_COLUMNS = re.compile(r"[\t,，;；\s]+")
_TITLES = ("日期", "day", "date")


@dataclass(frozen=True)
class Line:
    """One line with the days that it stands for, or what is wrong with it."""

    number: int
    text: str
    entries: tuple[Entry, ...] = ()
    error: str = ""


def lines_of_table(rows: Iterable[Sequence[str]]) -> str:
    """Return a table's rows as lines, without a row of titles."""
    texts = [", ".join(cell for cell in row if cell) for row in rows]
    return "\n".join(text for text in texts if not text.lower().startswith(_TITLES))


def read_lines(text: str, *, today: date) -> list[Line]:
    """Return every line that is not empty; days up to `today` and days that an earlier line has are errors."""
    seen: set[date] = set()
    found: list[Line] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        read = _read(number, line.strip(), today, seen)
        seen |= {entry.day for entry in read.entries}
        found.append(read)
    return found


def entries_of(lines: Iterable[Line]) -> list[Entry]:
    """Return the days of the lines that are right."""
    return [entry for line in lines for entry in line.entries]


def _read(number: int, text: str, today: date, seen: set[date]) -> Line:
    def wrong(error: str) -> Line:
        return Line(number, text, error=error)

    first, *rest = [part for part in _COLUMNS.split(_RANGE_MARK.sub(r"\1", text)) if part]
    if rest and _days(rest[0]):
        first = f"{first}~{rest.pop(0)}"
    days = _days(first)
    if days is None:
        return wrong(_("This is no day: write 2026-10-01, or 2026-10-01~2026-10-07."))
    if not days or len(days) > LONGEST_RANGE:
        return wrong(_("A range goes forward and has at most %s days.") % LONGEST_RANGE)
    kind = KINDS.get(rest[-1].lower()) if rest else None
    name = " ".join(rest[:-1] if kind is not None else rest)
    if not name or len(name) > 50:
        return wrong(_("The name is missing or longer than 50 characters."))
    if days[0] <= today:
        return wrong(_("The day has begun: only days to come can be entered."))
    if double := next((day for day in days if day in seen), None):
        return wrong(_("%s is there twice.") % double)
    if len(seen) + len(days) > MOST_DAYS:
        return wrong(_("At most %s days at a time.") % MOST_DAYS)
    return Line(number, text, tuple(Entry(day, kind or DayKind.HOLIDAY, name) for day in days))


def _days(text: str) -> list[date] | None:
    """Return the days of a day or a range; [] for one that goes backwards; None for what is neither."""
    match = _RANGE.match(text)
    if match is None:
        return None
    numbers = [int(part) for part in match.groups() if part]
    try:
        first = date(*numbers[:3])
        last = date(*numbers[3:]) if numbers[3:] else first
    except ValueError:
        return None
    if first < FIRST_DAY or last > LAST_DAY:
        return None
    length = (last - first).days + 1
    return [first + timedelta(days=index) for index in range(min(max(length, 0), LONGEST_RANGE + 1))]
