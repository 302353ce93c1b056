"""Opening hours as one line of text: "00:00-24:00", "07:00-12:00,13:30-22:00", "1-5 07:00-22:00; 6,7 09:00-20:00".

Parts for different days of the week (1 Monday to 7 Sunday) are kept apart by semicolons; a part without days counts
for those that no other part names. A range that ends at or before its start goes on past midnight.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from itertools import pairwise

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from apps.common.time import SHANGHAI

DAY_MINUTES = 24 * 60
ALL_DAY = "00:00-24:00"
_PART = re.compile(
    r"(?:([1-7](?:-[1-7])?(?:,[1-7](?:-[1-7])?)*)\s+)?(\d\d:\d\d-\d\d:\d\d(?:,\s*\d\d:\d\d-\d\d:\d\d)*)",
    re.ASCII,
)
_RANGE = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_NAMES = (
    pgettext_lazy("day of the week", "Mon"),
    pgettext_lazy("day of the week", "Tue"),
    pgettext_lazy("day of the week", "Wed"),
    pgettext_lazy("day of the week", "Thu"),
    pgettext_lazy("day of the week", "Fri"),
    pgettext_lazy("day of the week", "Sat"),
    pgettext_lazy("day of the week", "Sun"),
)

Ranges = tuple[tuple[int, int], ...]
"""Of one day: (from, until) in minutes after its midnight; `until` may lie beyond DAY_MINUTES."""


@lru_cache(maxsize=1024)
def parse(text: str) -> tuple[Ranges, ...]:
    """Return the ranges of each day, Monday first. Raises ValueError with what is wrong, for people."""
    days: list[Ranges | None] = [None] * 7
    rest: Ranges | None = None
    for part in filter(None, (piece.strip() for piece in text.replace("；", ";").split(";"))):
        found = _PART.fullmatch(part)
        if found is None:
            raise ValueError(_("“%(part)s” is not like “07:00-22:00” or “1-5 07:00-22:00”.") % {"part": part})
        ranges = _ranges(found[2])
        if found[1] is None:
            if rest is not None:
                raise ValueError(_("Only one part may be without days of the week."))
            rest = ranges
            continue
        for day in _days(found[1]):
            if days[day] is not None:
                raise ValueError(_("%(day)s is named twice.") % {"day": _NAMES[day]})
            days[day] = ranges
    if rest is None and not any(days):
        raise ValueError(_("Opening hours are needed."))
    return tuple((rest or ()) if day is None else day for day in days)


def validate(text: str) -> None:
    """Raise ValidationError for a text that is no opening hours."""
    try:
        parse(text)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def is_open(text: str, at: datetime) -> bool:
    """Return whether a station with these hours is open at a moment; hours that cannot be read close nothing."""
    try:
        days = parse(text)
    except ValueError:
        return True
    local = at.astimezone(SHANGHAI)
    minute, today = local.hour * 60 + local.minute, local.weekday()
    if any(since <= minute < until for since, until in days[today]):
        return True
    return any(minute + DAY_MINUTES < until for _since, until in days[today - 1])


def is_always(text: str) -> bool:
    """Return whether these hours are round the clock, every day."""
    try:
        return all(day == ((0, DAY_MINUTES),) for day in parse(text))
    except ValueError:
        return False


def words(text: str) -> str:
    """Return opening hours for people: days of the week by their names. A text that cannot be read stays as it is."""
    try:
        days = parse(text)
    except ValueError:
        return text
    if len(set(days)) == 1:
        return _clock(days[0])
    groups: dict[Ranges, list[int]] = {}
    for day, ranges in enumerate(days):
        groups.setdefault(ranges, []).append(day)
    return "; ".join(f"{_day_names(found)} {_clock(ranges)}" for ranges, found in groups.items())


def _ranges(text: str) -> Ranges:
    found = []
    for one in _RANGE.finditer(text):
        numbers = [int(number) for number in one.groups()]
        since, until = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
        if max(numbers[1], numbers[3]) > 59 or since >= DAY_MINUTES or until > DAY_MINUTES:
            raise ValueError(_("%(time)s is no time of day.") % {"time": one[0]})
        found.append((since, until if until > since else until + DAY_MINUTES))
    found.sort()
    for (_since, until), (following, _until) in pairwise(found):
        if following < until:
            raise ValueError(_("The times of a day overlap."))
    return tuple(found)


def _days(text: str) -> Sequence[int]:
    found: list[int] = []
    for piece in text.split(","):
        first, dash, last = piece.partition("-")
        numbers = range(int(first), int(last or first) + 1)
        if dash and not numbers:
            raise ValueError(_("The days of the week go from 1 (Monday) to 7 (Sunday)."))
        found += [number - 1 for number in numbers]
    return found


def _clock(ranges: Ranges) -> str:
    if not ranges:
        return str(pgettext_lazy("opening hours", "closed"))
    return ", ".join(f"{_time(since)}-{_time(until)}" for since, until in ranges)


def _time(minute: int) -> str:
    if minute > DAY_MINUTES:
        minute -= DAY_MINUTES
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _day_names(days: Sequence[int]) -> str:
    """Runs of three and more as "Mon–Fri"."""
    runs: list[list[int]] = []
    for day in days:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    found = []
    for run in runs:
        if len(run) > 2:
            found.append(_("%(first)s to %(last)s") % {"first": _NAMES[run[0]], "last": _NAMES[run[-1]]})
        else:
            found += [str(_NAMES[day]) for day in run]
    return ", ".join(found)


def editor_words() -> dict[str, object]:
    """Return what the editor in the browser says."""
    return {
        "days": [str(name) for name in _NAMES],
        "always": _("Round the clock"),
        "row": _("times"),
        "from": _("opens at"),
        "until": _("closes at"),
        "add": _("Add times"),
        "remove": _("Remove"),
    }


HELP = gettext_lazy("Times of Asia/Shanghai; a time past midnight is 22:00-06:00.")
