from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ykc_server.protocol.codes import StopReason
from ykc_server.protocol.messages import RemoteStart
from ykc_server.simulator.car import Car
from ykc_server.simulator.session import Phase, Prices, Session

# Midnight in Shanghai.
MIDNIGHT = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)
NO_OFFSET = timedelta(0)


def session(
    *, prices=(150_000, 120_000, 100_000, 50_000), slots=bytes([3] * 48), balance=10_000_000, loss_ratio=0
):
    request = RemoteStart(
        transaction_no=bytes(16),
        pile_no=bytes(7),
        gun_no=b"\1",
        logical_card_no=bytes(8),
        physical_card_no=bytes(8),
        account_balance=balance,
    )
    return Session(
        request=request,
        prices=Prices(prices, slots, loss_ratio),
        phase=Phase.CHARGING,
        deadline=MIDNIGHT,
        car=Car(capacity_wh=1_000_000, start_wh=0, max_power_w=60_000),
        limit_w=60_000,
        meter_start=0,
        began=MIDNIGHT,
        charged_until=MIDNIGHT,
    )


def test_energy_is_split_at_the_half_hours():
    charge = session(slots=bytes([0, 1, 2, 3] * 12))
    assert charge.charge(MIDNIGHT + timedelta(minutes=105), time_scale=1, clock_offset=NO_OFFSET) is None
    assert charge.units == [300_000, 300_000, 300_000, 150_000]
    assert charge.amounts == [450_000, 360_000, 300_000, 75_000]


def test_the_pile_splits_by_its_own_clock():
    charge = session(slots=bytes([0, 1] + [2] * 46))
    charge.charge(MIDNIGHT + timedelta(minutes=30), time_scale=1, clock_offset=timedelta(minutes=10))
    assert charge.units == [200_000, 100_000, 0, 0]


def test_loss_is_billed_when_there_is_a_ratio():
    charge = session(loss_ratio=5)
    charge.charge(MIDNIGHT + timedelta(minutes=1), time_scale=1, clock_offset=NO_OFFSET)
    assert (charge.units[3], charge.loss_units[3], charge.amounts[3]) == (10_000, 10_500, 5_250)


@given(
    st.integers(0, 5_000), st.integers(1, 300_000), st.integers(0, 30), st.sampled_from([0.5, 1, 60, 1000])
)
def test_the_balance_is_never_overdrawn(balance, price, loss_ratio, time_scale):
    charge = session(prices=(price,) * 4, balance=balance, loss_ratio=loss_ratio)
    reason = charge.charge(MIDNIGHT + timedelta(minutes=2), time_scale=time_scale, clock_offset=NO_OFFSET)
    assert sum(charge.loss_units) * price <= balance * 10_000_000
    if reason is None:
        assert sum(charge.watt_ms) == charge.simulated_ms * 60_000


def test_free_energy_ends_with_the_battery_only():
    charge = session(prices=(0, 0, 0, 0), balance=0)
    charge.car = Car(capacity_wh=1_000, start_wh=0, max_power_w=60_000)
    reason = charge.charge(MIDNIGHT + timedelta(hours=1), time_scale=1, clock_offset=NO_OFFSET)
    assert reason is StopReason.SOC_FULL
    assert sum(charge.units) == 10_000


@pytest.mark.parametrize("pieces", [1, 7, 600])
def test_pieces_of_time_make_no_difference_below_the_taper(pieces):
    charge = session()
    for piece in range(pieces):
        until = MIDNIGHT + timedelta(minutes=10) * (piece + 1) / pieces
        charge.charge(until, time_scale=1, clock_offset=NO_OFFSET)
    assert sum(charge.units) == 100_000


def test_power_follows_the_battery():
    car = Car(capacity_wh=60_000, start_wh=0, max_power_w=100_000)
    assert car.power_w(120_000, 0) == 100_000
    assert car.power_w(60_000, 48_000) == 60_000
    assert car.power_w(60_000, 54_000) == 30_000
    assert car.power_w(60_000, 60_000) == 6_000
    assert [car.soc(wh) for wh in (0, 599, 600, 59_999, 60_000, 70_000)] == [0, 0, 1, 99, 100, 100]


def test_cars_of_the_same_seed_are_the_same():
    assert Car.any(Random(7)) == Car.any(Random(7))
    assert len(Car.any(Random(7)).vin) == 17
