"""Setting clocks: once a day each, never all at once, sooner where they are wrong."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.common.time import now
from apps.piles import clocks
from apps.piles.models import Pile, PileCommand
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")


def logged_in(pile: Pile, ago: timedelta, **fields: object) -> Pile:
    Pile.objects.filter(pk=pile.pk).update(last_login_at=now() - ago, is_online=True, **fields)
    return pile


def test_a_clock_is_set_a_day_after_the_login_and_a_day_after_that():
    station = factories.a_station()
    due, fresh = (logged_in(factories.a_pile(station=station), timedelta(hours=h)) for h in (25, 23))
    assert clocks.sync_clocks() == 1
    assert clocks.sync_clocks() == 0
    assert PileCommand.objects.get().pile == due
    assert clocks.sync_clocks(at=now() + timedelta(hours=2)) == 1  # the other one now
    assert clocks.sync_clocks(at=now() + timedelta(hours=25)) == 1


def test_a_wrong_clock_is_set_again_after_an_hour():
    station = factories.a_station()
    logged_in(factories.a_pile(station=station), timedelta(minutes=50), clock_offset_s=Decimal(-9))
    slow = logged_in(factories.a_pile(station=station), timedelta(minutes=70), clock_offset_s=Decimal(-9))
    logged_in(factories.a_pile(station=station), timedelta(minutes=70), clock_offset_s=Decimal(5))
    assert clocks.sync_clocks() == 1
    assert PileCommand.objects.get().pile == slow


def test_offline_piles_are_left_out_and_many_are_spread(monkeypatch):
    monkeypatch.setattr(clocks, "FEWEST", 2)
    station = factories.a_station()
    piles = [logged_in(factories.a_pile(station=station), timedelta(days=2, hours=n)) for n in range(5)]
    logged_in(piles[4], timedelta(days=9))
    Pile.objects.filter(pk=piles[3].pk).update(is_online=False)
    assert [clocks.sync_clocks() for _ in range(3)] == [2, 2, 0]
    asked = list(PileCommand.objects.order_by("id").values_list("pile_id", flat=True))
    assert asked[0] == piles[4].pk  # the longest ago first
