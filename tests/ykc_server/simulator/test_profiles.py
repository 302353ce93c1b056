"""What each make of pile says, by the bytes that leave it."""

from datetime import timedelta
from random import Random

import pytest

from tests.ykc_server.simulator.platform import CAR, PRICES, charging, online, only, start
from ykc_server.protocol.fields import CHINA
from ykc_server.protocol.messages import (
    BillingSetFivePrices,
    BillingVerify,
    BmsDemand,
    Heartbeat,
    Login,
    Realtime,
    RemoteStartAck,
    TransactionRecord,
    TransactionRecordFivePrices,
    TransactionRecordV17,
)
from ykc_server.simulator.profiles import PLAIN, PROFILES, choose


def record_of(profile):
    """The record of a minute's charge by a pile of that make."""
    platform = charging(profile=PROFILES[profile])
    platform.wait(seconds=61, milliseconds=7)
    platform.pile.press_stop("01", platform.now)
    [record] = only(platform.wait(seconds=3), TransactionRecord)
    return record


def test_the_plain_profile_changes_nothing():
    record = record_of("dc_v16")
    assert type(record) is TransactionRecord
    assert record.extra == b""
    assert record.flat_price == 100_000
    assert record.total_amount == record.flat_amount == record.total_kwh
    assert record.total_loss_kwh == record.total_kwh > 0


@pytest.mark.parametrize(("profile", "version"), [("dc_v15", 15), ("dc_v16", 16), ("v17", 17)])
def test_the_login_says_the_version(profile, version):
    platform = online(profile=PROFILES[profile])
    platform.connect()
    [login] = only(platform.heard, Login)
    assert login.protocol_version == version


def test_v17_sends_the_long_record():
    record = record_of("v17")
    assert type(record) is TransactionRecordV17
    assert record.meter_cipher == bytes(34)
    assert record.total_amount == record.flat_amount > 0


def test_five_prices_are_taken_and_billed():
    platform = online(profile=PROFILES["five_prices"])
    platform.heard.clear()
    order = BillingSetFivePrices.make(
        pile_no=platform.pile.pile_no,
        **PRICES
        | {
            "slot_rate_codes": [4] * 48,
            "deep_valley_electricity_price": "0.10000",
            "deep_valley_service_price": "0.10000",
        },
    )
    assert [type(message) for message in platform.say(order)] == [BillingVerify]
    platform.pile.plug("01", platform.now, CAR)
    platform.say(start())
    platform.wait(minutes=1)
    platform.pile.press_stop("01", platform.now)
    [record] = only(platform.wait(seconds=3), TransactionRecord)
    assert type(record) is TransactionRecordFivePrices
    assert record.value("deep_valley_amount") == record.value("total_amount")
    assert record.deep_valley_price == 20_000
    assert record.deep_valley_kwh == record.total_kwh > 0
    assert record.flat_kwh == 0


def test_other_piles_know_no_five_prices():
    platform = online()
    known = platform.pile.billing
    order = BillingSetFivePrices.make(
        pile_no=platform.pile.pile_no,
        **PRICES | {"deep_valley_electricity_price": "0.1", "deep_valley_service_price": "0.1"},
    )
    assert platform.say(order) == []
    assert platform.pile.billing is known


def test_prices_come_one_unit_low_and_amounts_cut():
    record = record_of("floats")
    assert record.flat_price == 99_999
    assert record.flat_amount % 100 == 0
    assert 0 < record.total_amount - record.flat_amount < 100


def test_loss_is_zero_and_the_meter_begins_anew():
    record = record_of("no_loss")
    assert record.total_loss_kwh == record.flat_loss_kwh == 0
    assert record.total_kwh > 0
    assert (record.meter_start, record.meter_end) == (10, 10 + record.total_kwh)


def test_only_totals_are_told():
    record = record_of("totals_only")
    assert record.flat_kwh == record.flat_amount == 0
    assert record.total_kwh > 0
    assert record.total_amount > 0


def test_times_carry_the_weekday_and_idle_guns_no_number():
    platform = charging(profile=PROFILES["weekdays"])
    platform.pile.press_stop("01", platform.now)
    heard = platform.wait(seconds=3)
    [record] = only(heard, TransactionRecord)
    assert record.end_time[4] >> 5 == platform.now.astimezone(CHINA).isoweekday()
    assert abs(record.value("end_time") - platform.now) < timedelta(seconds=5)
    platform.pile.unplug("01", platform.now)
    platform.listen()
    [idle] = only(platform.heard[-1:], Realtime)
    assert idle.transaction_no == bytes(16)
    platform.connect()
    assert platform.heard[0].value("sim_no").startswith("898604C0")


def test_bytes_behind_the_body_and_currents_that_go_up():
    platform = charging(profile=PROFILES["derived"])
    heard = platform.wait(seconds=31)
    assert {message.extra for message in only(heard, Heartbeat)} == {b"\x5a"}
    assert {message.extra for message in only(heard, Realtime)} == {b"\x5a\x5a"}
    assert {message.bms_current > 4_000 for message in only(heard, BmsDemand)} == {True}


def test_the_crc_and_the_sequence_are_exchanged():
    platform = online(profile=PROFILES["swapped_crc"])
    assert platform.line.buffer.crc_swapped
    platform.pile.plug("01", platform.now, CAR)
    order = start()
    platform.line.next_sequence()
    [answer] = only(platform.say(order), RemoteStartAck)
    asked = (platform.line._next - 1).to_bytes(2, "little")
    assert answer.sequence == asked[::-1] != asked


def test_a_profile_goes_to_piles_of_its_kind():
    shares = {"ac_v15": 1, "five_prices": 0, "v17": 0}
    assert choose(shares, is_ac=True, random=Random(1)).name == "ac_v15"
    assert choose(shares, is_ac=False, random=Random(1)) is PLAIN
    counts = [choose({"v17": 3, "floats": 1}, is_ac=True, random=Random(n)).name for n in range(400)]
    assert 250 < counts.count("v17") < 350
    with pytest.raises(KeyError):
        choose({"nonsense": 1}, is_ac=True, random=Random(1))
