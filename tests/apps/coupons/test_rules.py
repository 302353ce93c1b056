"""Where and when a coupon may be used."""

from datetime import date, datetime

import pytest

from apps.common.time import SHANGHAI
from apps.coupons.rules import Rule, days_of_use

MONDAY_NOON = datetime(2026, 11, 30, 12, 0, tzinfo=SHANGHAI)


def rule(**changes: object) -> Rule:
    return Rule(**{"name": "券", "kind": "threshold", "applies_to": "service", "save": "5.00", **changes})


@pytest.mark.parametrize(
    ("changes", "hour", "minute", "obstacle"),
    [
        ({}, 3, 0, ""),
        ({"stations": (7, 9)}, 12, 0, ""),
        ({"stations": (9,)}, 12, 0, "station"),
        ({"weekdays": "1"}, 12, 0, ""),
        ({"weekdays": "234567"}, 12, 0, "weekday"),
        ({"from_time": "08:00", "until_time": "12:00"}, 8, 0, ""),
        ({"from_time": "08:00", "until_time": "12:00"}, 11, 59, ""),
        ({"from_time": "08:00", "until_time": "12:00"}, 12, 0, "hour"),
        ({"from_time": "08:00", "until_time": "12:00"}, 7, 59, "hour"),
        ({"from_time": "22:00", "until_time": "06:00"}, 22, 0, ""),
        ({"from_time": "22:00", "until_time": "06:00"}, 5, 59, ""),
        ({"from_time": "22:00", "until_time": "06:00"}, 6, 0, "hour"),
        ({"from_time": "18:00", "until_time": "00:00"}, 23, 59, ""),
        ({"from_time": "18:00", "until_time": "00:00"}, 0, 0, "hour"),
    ],
)
def test_what_stands_in_the_way(changes, hour, minute, obstacle):
    at = MONDAY_NOON.replace(hour=hour, minute=minute)
    assert rule(**changes).obstacle(station_id=7, at=at) == obstacle


def test_a_rule_survives_its_json():
    full = rule(stations=(3, 4), weekdays="67", from_time="08:00", until_time="10:00", cap="3.00")
    assert Rule.from_json(full.to_json()) == full


@pytest.mark.parametrize(
    ("first", "last", "valid", "days"),
    [
        (None, None, None, (date(2026, 11, 10), None)),
        (None, date(2026, 12, 1), None, (date(2026, 11, 10), date(2026, 12, 1))),
        (date(2026, 11, 20), date(2026, 12, 1), None, (date(2026, 11, 20), date(2026, 12, 1))),
        (date(2026, 1, 1), None, None, (date(2026, 11, 10), None)),
        (None, None, 1, (date(2026, 11, 10), date(2026, 11, 10))),
        (None, None, 30, (date(2026, 11, 10), date(2026, 12, 9))),
        (None, date(2026, 11, 15), 30, (date(2026, 11, 10), date(2026, 11, 15))),
    ],
)
def test_days_of_use(first, last, valid, days):
    found = days_of_use(claimed_on=date(2026, 11, 10), first_day=first, last_day=last, days_valid=valid)
    assert found == days
