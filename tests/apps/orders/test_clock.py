"""Clocks of piles: what a record says of them, and which price classes a wrong one mixes up."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from apps.common.time import SHANGHAI, now
from apps.orders.clock import moved_shares, offset_of_record
from apps.orders.settling import settle_record
from apps.piles.enums import AlarmKind
from apps.piles.models import Alarm
from apps.piles.services import clock_reported
from apps.pricing.tariff import RateClass
from tests import factories

SEEN = datetime(2026, 11, 23, 15, 0, tzinfo=SHANGHAI)


def s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("end", "received", "seen", "offset"),
    [
        (0, 2, 0, "0.0"),
        (-15, 2, 0, "0.0"),  # the report of the end may come 15 s after it
        (-16, 2, 0, "-1.000"),
        (200, 2, 0, "200.000"),
        (-300, 59, 0, "-285.000"),
        (3, 1, 5, "2.000"),  # the record came before the report of the end
        (-300, 61, 0, None),  # late: from memory, perhaps
        (-300, 0, None, None),  # nobody saw the end
        (90, 61, 0, "29.000"),  # an end in the future is always wrong
        (30, 0, None, "30.000"),
    ],
)
def test_what_a_record_says_of_the_clock(end, received, seen, offset):
    found = offset_of_record(
        end_time=SEEN + s(end),
        received_at=SEEN + s(received),
        ended_seen=None if seen is None else SEEN + s(seen),
    )
    assert found == (None if offset is None else Decimal(offset))


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-23T{text}+08:00")


@pytest.mark.parametrize(
    ("start", "end", "offset", "moved"),
    [
        # 08:00 is the border between valley and flat, 12:00 that between flat and peak.
        ("07:00:00", "09:00:00", "600", {"valley": "0.08333", "flat": "-0.08333"}),
        ("07:00:00", "09:00:00", "-600", {"valley": "-0.08333", "flat": "0.08333"}),
        ("08:10:00", "09:10:00", "300", {}),
        ("08:10:00", "09:10:00", "1200", {"flat": "-0.16667", "valley": "0.16667"}),
        ("09:00:00", "09:00:00", "600", {}),
        ("11:50:00", "12:10:00", "0", {}),
    ],
)
def test_energy_that_a_right_clock_would_count_elsewhere(start, end, offset, moved):
    shares = moved_shares(start=at(start), end=at(end), offset_s=Decimal(offset), tariff=factories.TARIFF)
    assert {name.value: f"{share:.5f}" for name, share in shares.items()} == moved


def test_clocks_are_kept_with_their_time_and_an_alarm_opens_and_closes(tenant):
    pile = factories.a_pile()
    moment = now()

    def reported(offset: str, seconds: float) -> tuple[Decimal, int, bool]:
        clock_reported(pile_code=pile.pile_code, offset_s=Decimal(offset), measured_at=moment + s(seconds))
        pile.refresh_from_db()
        alarms = Alarm.objects.filter(kind=AlarmKind.CLOCK_DRIFT, pile_code=pile.pile_code)
        return pile.clock_offset_s, alarms.count(), alarms.filter(closed_at=None).exists()

    assert reported("-180", 0) == (Decimal("-180.0"), 0, False)
    assert reported("-180.24", 1) == (Decimal("-180.2"), 1, True)
    assert Alarm.objects.get().detail == {"offset_s": "-180.2"}
    assert reported("0", 0.5) == (Decimal("-180.2"), 1, True)  # measured before
    assert reported("4", 2) == (Decimal("4.0"), 1, False)
    assert pile.clock_measured_at == moment + s(2)


def test_a_wrong_clock_that_moves_money_flags_the_order(tenant, django_capture_on_commit_callbacks):
    """Ended at 08:00 by the right time, at 08:10 by the pile's: ten minutes of valley were billed as flat."""
    order = factories.a_charging_order()
    ended = at("08:00:00")
    order.ended_at = ended
    order.charging_at = ended - timedelta(hours=1)
    order.save()
    record = factories.a_record(
        order,
        {"valley": "50.0000", "flat": "10.0000"},
        start_time=ended - timedelta(minutes=50),
        end_time=ended + timedelta(minutes=10),
    )
    record.received_at = ended + s(5)
    record.save()
    with django_capture_on_commit_callbacks(execute=True):
        settle_record(record_id=record.pk)
    order.refresh_from_db()
    findings = {finding["code"]: finding["data"] for finding in order.findings}
    # 10 of 60 kWh: flat costs 1.20 yuan/kWh, valley 0.61.
    assert findings["clock_moves_energy"] == {"offset": "+600", "energy": "10.0000", "amount": "5.90"}
    pile = order.connector.pile
    pile.refresh_from_db()
    assert (pile.clock_offset_s, pile.clock_measured_at) == (Decimal("600.0"), ended + s(5))
    assert Alarm.objects.filter(kind=AlarmKind.CLOCK_DRIFT, closed_at=None).exists()


def test_a_wrong_clock_far_from_any_border_moves_nothing(tenant):
    shares = moved_shares(
        start=at("09:00:00"), end=at("10:00:00"), offset_s=Decimal(1200), tariff=factories.TARIFF
    )
    assert shares == {}
    assert factories.TARIFF.class_at(at("09:00:00")) == RateClass.FLAT
