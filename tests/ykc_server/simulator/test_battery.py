"""What a simulated DC pile tells of the battery."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.ykc_server.simulator.platform import (
    CAR,
    PILE_NO,
    TRANSACTION_NO,
    charging,
    online,
    only,
    start,
    stop,
)
from ykc_server.protocol.codes import BatteryType, ChargeMode, HardwareFault
from ykc_server.protocol.messages import (
    BmsAbort,
    BmsConfig,
    BmsDemand,
    BmsHandshake,
    BmsInfo,
    BmsMessage,
    ChargerAbort,
    ChargingEnd,
    Realtime,
    TransactionRecord,
    magnitude,
)
from ykc_server.protocol.words import Word, words
from ykc_server.simulator import Car


def names(messages):
    return [message.spec.name for message in messages if isinstance(message, BmsMessage | Realtime)]


def test_a_charge_begins_with_handshake_and_configuration():
    platform = online()
    platform.pile.plug("01", platform.now, CAR)
    platform.say(start())
    heard = platform.wait(seconds=4)
    assert names(heard) == ["bms_handshake", "bms_config", "realtime", "bms_demand", "bms_info"]
    [handshake], [config] = only(heard, BmsHandshake), only(heard, BmsConfig)
    assert handshake.value("transaction_no") == config.value("transaction_no") == TRANSACTION_NO
    assert (handshake.value("pile_no"), handshake.value("gun_no")) == (PILE_NO, "01")
    assert (handshake.value("vin"), handshake.value("battery_type")) == (CAR.vin, BatteryType.LFP)
    assert handshake.value("rated_capacity") == Decimal("166.6")
    assert (config.value("soc"), config.value("nominal_energy")) == (Decimal("50.0"), Decimal("60.0"))
    assert magnitude(config, "max_current") == Decimal("142.8")


def test_demand_and_state_every_fifteen_seconds():
    platform = charging()
    heard = platform.wait(minutes=1)
    assert names(heard) == ["realtime", "bms_demand", "bms_info"] * 4
    last, shown = only(heard, BmsDemand)[-1], only(heard, Realtime)[-1]
    assert last.value("demand_current") == last.value("pile_current") == Decimal("-161.8")
    assert magnitude(last, "pile_current") == shown.value("output_current")
    assert (last.soc, last.pile_voltage) == (shown.soc, shown.output_voltage)
    assert last.value("charge_mode") is ChargeMode.CONSTANT_CURRENT
    assert last.parts("max_cell_voltage_group") == {"voltage": Decimal("3.70"), "group": 1}
    info = only(heard, BmsInfo)[-1]
    assert words(info)["status_bits"] == []
    assert info.max_battery_temp == shown.battery_max_temp


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda platform: platform.say(stop()), [Word("stopped by hand")]),
        (lambda platform: platform.pile.press_stop("01", platform.now), [Word("stopped by hand")]),
        (lambda platform: platform.pile.unplug("01", platform.now), [Word("abnormal stop")]),
        (
            lambda platform: platform.pile.set_fault("01", HardwareFault.EMERGENCY_STOP, platform.now),
            [Word("abnormal stop")],
        ),
    ],
)
def test_the_charger_ends_a_charge(act, reason):
    platform = charging()
    platform.wait(minutes=1)
    platform.heard.clear()
    heard = act(platform) or platform.listen() or platform.heard
    assert names(heard)[:2] == ["charger_abort", "charging_end"]
    assert words(only(heard, ChargerAbort)[0])["abort_reason"] == reason
    [end] = only(heard, ChargingEnd)
    assert (end.end_soc, end.value("output_energy"), end.charge_minutes) == (51, Decimal("1.0"), 1)


def test_what_else_the_charger_says_of_an_emergency_stop():
    platform = charging()
    platform.pile.set_fault("01", HardwareFault.EMERGENCY_STOP, platform.now)
    platform.heard.clear()
    platform.listen()
    assert words(only(platform.heard, ChargerAbort)[0])["abort_fault"] == [Word("emergency stop")]


def test_a_full_battery_ends_the_charge_itself():
    platform = charging(car=Car(capacity_wh=1_000, start_wh=990, max_power_w=60_000))
    heard = platform.wait(minutes=5)
    assert words(only(heard, BmsAbort)[0])["abort_reason"] == [Word("state of charge reached")]
    assert only(heard, ChargerAbort) == []
    assert only(heard, ChargingEnd)[0].end_soc == 100
    assert len(only(heard, TransactionRecord)) == 1


def test_no_balance_left_is_a_condition_of_the_charger():
    heard = charging("0.10").wait(minutes=5)
    assert words(only(heard, ChargerAbort)[0])["abort_reason"] == [Word("set condition reached")]


def test_an_ac_pile_knows_no_battery():
    platform = charging(is_ac=True, guns={"01": 7_000})
    assert only([*platform.wait(minutes=2), *platform.say(stop())], BmsMessage) == []


def test_nothing_of_the_battery_is_kept_while_offline():
    platform = charging()
    platform.pile.disconnected(platform.now)
    platform.wait(minutes=1)
    platform.pile.press_stop("01", platform.now)
    platform.log_in(prices=False)
    assert only([*platform.heard, *platform.wait(seconds=5)], BmsMessage) == []


def test_a_current_beyond_the_field_is_shown_as_its_end():
    car = Car(capacity_wh=90_000, start_wh=9_000, max_power_w=400_000)
    platform = charging(car=car, guns={"01": 400_000})
    [demand] = only(platform.wait(seconds=15), BmsDemand)
    assert demand.value("pile_current") == Decimal("-400.0")


def test_the_balance_ends_a_charge_at_the_same_moment_as_before():
    platform = charging("1.00")
    began = platform.now
    [record] = only(platform.wait(minutes=3), TransactionRecord)
    assert record.value("end_time") - began == timedelta(minutes=1)
