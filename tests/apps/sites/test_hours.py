"""Opening hours: read, said in words, and whether it is open now."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.utils import translation

from apps.common.time import SHANGHAI
from apps.sites import hours


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


MONDAY, SATURDAY, SUNDAY = "2026-11-23", "2026-11-28", "2026-11-29"


@pytest.mark.parametrize(
    ("text", "moment", "is_open"),
    [
        ("00:00-24:00", f"{MONDAY} 00:00", True),
        ("07:00-22:00", f"{MONDAY} 06:59", False),
        ("07:00-22:00", f"{MONDAY} 07:00", True),
        ("07:00-22:00", f"{MONDAY} 22:00", False),
        ("07:00-12:00,13:30-22:00", f"{MONDAY} 12:30", False),
        ("22:00-06:00", f"{MONDAY} 23:00", True),
        ("22:00-06:00", f"{MONDAY} 05:59", True),
        ("22:00-06:00", f"{MONDAY} 06:00", False),
        ("1-5 07:00-22:00; 6,7 09:00-20:00", f"{SATURDAY} 08:00", False),
        ("1-5 07:00-22:00; 6,7 09:00-20:00", f"{MONDAY} 08:00", True),
        ("1-5 07:00-22:00", f"{SUNDAY} 12:00", False),
        ("6 22:00-06:00", f"{SUNDAY} 05:00", True),
        ("6 22:00-06:00", f"{SATURDAY} 05:00", False),
        ("whenever you like", f"{MONDAY} 12:00", True),
    ],
)
def test_a_station_is_open_by_its_hours(text: str, moment: str, is_open: bool) -> None:
    assert hours.is_open(text, at(moment)) is is_open


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("00:00-24:00", "00:00-24:00"),
        ("07:00-12:00, 13:30-22:00", "07:00-12:00, 13:30-22:00"),
        ("1-5 07:00-22:00; 09:00-20:00", "周一至周五 07:00-22:00; 周六, 周日 09:00-20:00"),
        ("1,3 07:00-22:00", "周一, 周三 07:00-22:00; 周二, 周四至周日 不营业"),
        ("22:00-06:00", "22:00-06:00"),
        ("always", "always"),
    ],
)
def test_hours_are_said_in_words(text: str, words: str) -> None:
    with translation.override("zh-hans"):
        assert hours.words(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "7:00-22:00",
        "07:00",
        "07:00-25:00",
        "07:60-08:00",
        "24:00-06:00",
        "8 07:00-22:00",
        "5-1 07:00-22:00",
        "1-3-5 07:00-22:00",
        "1 07:00-22:00; 1 09:00-20:00",
        "07:00-22:00; 09:00-20:00",
        "07:00-12:00,11:00-13:00",
        "<script>",
        "０７:００-22:00",
    ],
)
def test_what_is_no_hours_says_why(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        hours.parse(text)
