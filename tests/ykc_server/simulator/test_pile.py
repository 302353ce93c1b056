"""The simulated pile with times handed in: no socket, no clock, no waiting."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.ykc_server.simulator.platform import (
    CAR,
    NOON,
    PILE_NO,
    PRICES,
    SECOND,
    TRANSACTION_NO,
    Platform,
    charging,
    online,
    only,
    start,
    stop,
)
from ykc_server.protocol import FrameBuffer, decode
from ykc_server.protocol.codes import GunStatus, StartFailure, StopFailure, StopReason
from ykc_server.protocol.messages import (
    BillingRequest,
    BillingRequestAck,
    BillingSet,
    BillingSetAck,
    BillingVerify,
    BillingVerifyAck,
    Heartbeat,
    Login,
    LoginAck,
    ReadRealtime,
    Realtime,
    RemoteStartAck,
    RemoteStopAck,
    TimeSync,
    TimeSyncAck,
    TransactionRecord,
)
from ykc_server.simulator import Car, Faults, Habits, SimulatedPile


def test_login_is_first_and_nothing_follows_before_its_answer():
    platform = Platform(SimulatedPile(PILE_NO, guns={"01": 60_000, "02": 60_000}))
    platform.connect()
    [login] = platform.heard
    assert login.values() == {
        "pile_no": PILE_NO,
        "pile_type": 0,
        "gun_count": 2,
        "protocol_version": 16,
        "software_version": "SIM-1.0",
        "network_type": 0,
        "sim_no": "898600" + PILE_NO,
        "operator": 0,
    }
    assert platform.say(ReadRealtime.make(pile_no=PILE_NO, gun_no="01")) == []
    assert platform.wait(seconds=29) == []
    assert not platform.pile.wants_close
    platform.wait(seconds=1)
    assert platform.pile.wants_close
    assert platform.pile.next_tick(platform.now) is None


def test_refused_login_closes():
    platform = Platform(SimulatedPile(PILE_NO))
    platform.connect()
    platform.answer(LoginAck(pile_no=platform.heard[0].pile_no, result=1), platform.heard[0])
    assert platform.pile.wants_close
    assert not platform.pile.is_online


def test_after_login_it_verifies_prices_and_shows_each_gun():
    platform = Platform(SimulatedPile(PILE_NO, guns={"01": 60_000, "02": 60_000})).log_in(prices=False)
    kinds = [message.spec.name for message in platform.heard]
    assert kinds == ["login", "billing_verify", "heartbeat", "realtime", "heartbeat", "realtime"]
    assert only(platform.heard, BillingVerify)[0].value("billing_model_no") == "0000"
    assert [m.value("gun_no") for m in only(platform.heard, Realtime)] == ["01", "02"]
    assert {m.status for m in only(platform.heard, Realtime)} == {GunStatus.IDLE}


def test_prices_are_asked_for_until_they_come():
    platform = Platform(SimulatedPile(PILE_NO)).log_in(prices=False)
    [verify] = only(platform.heard, BillingVerify)
    differs = BillingVerifyAck(pile_no=verify.pile_no, billing_model_no=verify.billing_model_no, result=1)
    [request] = platform.say(differs)
    assert isinstance(request, BillingRequest)
    assert len(only(platform.wait(seconds=20), BillingRequest)) == 2
    platform.answer(BillingRequestAck.make(pile_no=PILE_NO, **PRICES), request)
    assert only(platform.wait(seconds=60), BillingRequest) == []
    platform.pile.disconnected(platform.now)
    platform.heard.clear()
    platform.log_in(prices=False)
    assert only(platform.heard, BillingVerify)[0].value("billing_model_no") == "0100"


def test_one_heartbeat_per_gun_every_ten_seconds_and_idle_reports_every_five_minutes():
    platform = online(guns={"01": 60_000, "02": 60_000})
    heard = platform.wait(minutes=10)
    assert len(only(heard, Heartbeat)) == 2 * 60
    assert len(only(heard, Realtime)) == 2 * 2
    assert len(heard) == 124


def test_three_heartbeats_without_answer_close_the_line():
    platform = online()
    platform.answers_heartbeats = False
    assert len(only(platform.wait(seconds=60), Heartbeat)) == 3
    assert platform.pile.wants_close


def test_time_sync_sets_the_clock():
    platform = online(faults=Faults(clock_offset=timedelta(hours=1)))
    [ack] = platform.say(TimeSync.make(pile_no=PILE_NO, time=platform.now))
    assert isinstance(ack, TimeSyncAck)
    assert ack.value("time") == platform.now
    assert platform.pile.clock_offset == timedelta(0)


def test_a_pile_that_ignores_time_sync_answers_with_its_own_time():
    platform = online(faults=Faults(clock_offset=timedelta(hours=1), ignores_time_sync=True))
    [ack] = platform.say(TimeSync.make(pile_no=PILE_NO, time=platform.now))
    assert ack.value("time") == platform.now + timedelta(hours=1)


def test_answers_repeat_the_sequence():
    platform = online()
    sync = TimeSync.make(pile_no=PILE_NO, time=platform.now)
    platform.pile.receive(sync.encode(b"\x97\xcf"), platform.now)
    platform.heard.clear()
    platform.listen()
    assert platform.heard[0].sequence == b"\x97\xcf"


def test_read_realtime_is_answered_for_guns_it_has():
    platform = online()
    [realtime] = platform.say(ReadRealtime.make(pile_no=PILE_NO, gun_no="01"))
    assert realtime.status == GunStatus.IDLE
    assert platform.say(ReadRealtime.make(pile_no=PILE_NO, gun_no="02")) == []


def test_a_start_leads_to_charging_and_reports_every_fifteen_seconds():
    platform = online()
    platform.pile.plug("01", platform.now, CAR)
    platform.heard.clear()
    platform.listen()
    assert [m.gun_plugged for m in platform.heard] == [1]
    [ack] = platform.say(start())
    assert isinstance(ack, RemoteStartAck)
    assert (ack.result, ack.fail_reason, ack.value("transaction_no")) == (1, 0, TRANSACTION_NO)
    [realtime] = only(platform.wait(seconds=4), Realtime)
    assert (realtime.status, realtime.value("transaction_no")) == (GunStatus.CHARGING, TRANSACTION_NO)
    reports = only(platform.wait(minutes=1), Realtime)
    assert [m.energy_kwh for m in reports] == [2500, 5000, 7500, 10000]
    last = reports[-1].values()
    assert last["energy_kwh"] == last["loss_energy_kwh"] == Decimal("1.0000")
    assert last["amount"] == Decimal("1.0000")
    assert last["charge_minutes"] == 1
    assert last["soc"] == 51
    assert last["output_voltage"] == Decimal("370.8")
    assert last["output_current"] == Decimal("161.8")
    assert last["remaining_minutes"] == 29


def test_start_without_plug_is_refused_and_accepted_when_the_plug_comes():
    platform = online()
    [ack] = platform.say(start())
    assert (ack.result, ack.fail_reason) == (0, StartFailure.NOT_PLUGGED_IN)
    assert only(platform.wait(seconds=59), RemoteStartAck) == []
    platform.pile.plug("01", platform.now, CAR)
    platform.heard.clear()
    platform.listen()
    [second] = only(platform.heard, RemoteStartAck)
    assert (second.result, second.fail_reason, second.sequence) == (1, 0, ack.sequence)
    assert only(platform.wait(seconds=4), Realtime)[-1].status == GunStatus.CHARGING


def test_a_plug_after_sixty_seconds_is_too_late():
    platform = online()
    platform.say(start())
    platform.wait(seconds=60)
    platform.pile.plug("01", platform.now, CAR)
    assert only(platform.wait(minutes=5), RemoteStartAck | TransactionRecord) == []
    assert platform.pile.guns["01"].session is None
    assert platform.pile.records == {}


def test_drivers_of_habit_plug_in_and_pull_out():
    platform = online(habits=Habits(timedelta(seconds=3), timedelta(seconds=20)))
    platform.say(start())
    heard = platform.wait(seconds=7)
    assert [m.result for m in only(heard, RemoteStartAck)] == [1]
    assert only(heard, Realtime)[-1].status == GunStatus.CHARGING
    platform.say(stop())
    assert platform.pile.guns["01"].plugged
    platform.wait(seconds=20)
    assert not platform.pile.guns["01"].plugged


@pytest.mark.parametrize(
    ("order", "failure"),
    [
        (start(pile_no="32010600000002"), StartFailure.WRONG_PILE_NO),
        (start(gun_no="03"), StartFailure.WRONG_PILE_NO),
        (start(transaction_no="9"), StartFailure.ALREADY_CHARGING),
        (start(), StartFailure.NONE),
    ],
)
def test_starts_that_meet_a_running_charge(order, failure):
    platform = charging()
    [ack] = platform.say(order)
    assert (ack.result, ack.fail_reason) == (0 if failure else 1, failure)
    assert platform.pile.guns["01"].session.request.value("transaction_no") == TRANSACTION_NO


def test_no_start_without_prices_or_with_a_fault():
    platform = Platform(SimulatedPile(PILE_NO)).log_in(prices=False)
    assert platform.say(start())[0].fail_reason == StartFailure.DEVICE_FAULT
    platform = online()
    platform.pile.set_fault("01", 0x0001, platform.now)
    assert platform.say(start())[-1].fail_reason == StartFailure.DEVICE_FAULT
    assert only(platform.wait(seconds=10), Heartbeat)[-1].gun_status == 1
    platform.pile.set_fault("01", 0, platform.now)
    assert platform.say(start())[-1].fail_reason == StartFailure.NOT_PLUGGED_IN


def test_new_prices_wait_for_the_end_of_a_charge():
    platform = charging()
    [ack] = platform.say(BillingSet.make(pile_no=PILE_NO, **PRICES | {"billing_model_no": "0200"}))
    assert isinstance(ack, BillingSetAck)
    assert ack.result == 0
    assert platform.pile.billing.value("billing_model_no") == "0100"
    platform.say(stop())
    assert (
        platform.say(BillingSet.make(pile_no=PILE_NO, **PRICES | {"billing_model_no": "0200"}))[0].result == 1
    )


def test_stop_ends_the_charge_and_its_record_follows_within_seconds():
    platform = charging(car=Car(capacity_wh=60_000, start_wh=12_000, max_power_w=60_000, vin=CAR.vin))
    began = platform.now
    platform.wait(minutes=20)
    ended = platform.now
    heard = platform.say(stop())
    answer, last_report = heard[0], heard[-1]
    assert (answer.result, answer.fail_reason) == (1, StopFailure.NONE)
    assert (last_report.status, last_report.gun_plugged) == (GunStatus.IDLE, 1)
    [record] = only(platform.wait(seconds=2), TransactionRecord)
    # 60 kW from 09:50:04: 9 min 56 s at the flat price, 10 min 4 s at the peak price.
    assert record.values() == {
        "transaction_no": TRANSACTION_NO,
        "pile_no": PILE_NO,
        "gun_no": "01",
        "start_time": began,
        "end_time": ended,
        "sharp_price": Decimal("1.60000"),
        "sharp_kwh": 0,
        "sharp_loss_kwh": 0,
        "sharp_amount": 0,
        "peak_price": Decimal("1.40000"),
        "peak_kwh": Decimal("10.0666"),
        "peak_loss_kwh": Decimal("10.0666"),
        "peak_amount": Decimal("14.0932"),
        "flat_price": Decimal("1.00000"),
        "flat_kwh": Decimal("9.9333"),
        "flat_loss_kwh": Decimal("9.9333"),
        "flat_amount": Decimal("9.9333"),
        "valley_price": Decimal("0.50000"),
        "valley_kwh": 0,
        "valley_loss_kwh": 0,
        "valley_amount": 0,
        "meter_start": 0,
        "meter_end": Decimal("19.9999"),
        "total_kwh": Decimal("19.9999"),
        "total_loss_kwh": Decimal("19.9999"),
        "total_amount": Decimal("24.0265"),
        "vin": CAR.vin,
        "start_mode": 1,
        "transaction_time": ended,
        "stop_reason": StopReason.APP_STOP,
        "physical_card_no": "00000000D14B0A54",
    }
    assert platform.pile.records == {}


def test_stop_of_an_idle_gun_and_of_a_start_that_waits_for_the_plug():
    platform = online()
    assert [(m.result, m.fail_reason) for m in platform.say(stop())] == [(0, StopFailure.NOT_CHARGING)]
    assert platform.say(stop(gun_no="07"))[0].fail_reason == StopFailure.WRONG_PILE_NO
    assert platform.say(stop(pile_no="1"))[0].fail_reason == StopFailure.WRONG_PILE_NO
    platform.say(start())
    assert platform.say(stop())[0].fail_reason == StopFailure.NOT_CHARGING
    platform.pile.plug("01", platform.now, CAR)
    assert only(platform.wait(minutes=2), TransactionRecord | RemoteStartAck) == []


def test_stop_during_the_handshake_leaves_a_record_without_energy():
    platform = online()
    platform.pile.plug("01", platform.now, CAR)
    platform.say(start())
    assert platform.say(stop())[0].result == 1
    [record] = only(platform.wait(seconds=2), TransactionRecord)
    assert (record.total_kwh, record.total_amount, record.stop_reason) == (0, 0, StopReason.APP_STOP)


def test_the_charge_ends_where_the_balance_ends():
    platform = charging("0.50")
    [record] = only(platform.wait(minutes=5), TransactionRecord)
    assert record.value("total_amount") == Decimal("0.5000")
    assert record.value("total_kwh") == Decimal("0.5000")
    assert record.stop_reason == StopReason.AMOUNT_LIMIT


def test_the_charge_ends_with_a_full_battery_after_a_taper():
    platform = charging("500.00", Car(capacity_wh=60_000, start_wh=47_000, max_power_w=60_000))
    reports = only(platform.wait(minutes=60), Realtime)
    powers = [m.value("output_voltage") * m.value("output_current") for m in reports if m.status == 3]
    assert max(powers) <= 60_000
    assert max(powers) > 10 * powers[-1] * Decimal("0.95")
    assert [m.soc for m in reports if m.status == 3][-1] == 99
    platform.wait(minutes=10)
    assert platform.pile.guns["01"].session is None
    # 13 kWh less the rounding down of two rate classes.
    assert platform.pile.guns["01"].meter == 129_999


def test_the_record_of_a_full_battery():
    platform = charging("500.00", Car(capacity_wh=60_000, start_wh=59_900, max_power_w=60_000))
    [record] = only(platform.wait(minutes=5), TransactionRecord)
    assert (record.total_kwh, record.stop_reason) == (1000, StopReason.SOC_FULL)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda pile, now: pile.press_stop("01", now), StopReason.MANUAL_STOP),
        (lambda pile, now: pile.unplug("01", now), StopReason.CONTROL_PILOT_OPEN),
        (lambda pile, now: pile.set_fault("01", 1, now), StopReason.EMERGENCY_STOP),
        (lambda pile, now: pile.set_fault("01", 2, now), StopReason.MODULE_FAULT),
    ],
)
def test_other_ends(act, reason):
    platform = charging()
    platform.wait(seconds=30)
    act(platform.pile, platform.now)
    [record] = only(platform.wait(seconds=2), TransactionRecord)
    assert (record.total_kwh, record.stop_reason) == (5000, reason)


def test_the_meter_goes_on_from_charge_to_charge():
    platform = charging()
    platform.wait(seconds=60)
    platform.say(stop())
    platform.say(start(transaction_no="2"))
    platform.wait(seconds=64)
    platform.say(stop())
    [record] = only(platform.wait(seconds=2), TransactionRecord)
    assert (record.meter_start, record.meter_end) == (10000, 20000)


def test_an_ac_pile_knows_neither_state_of_charge_nor_vin():
    platform = charging(is_ac=True, guns={"01": 7_000})
    report = only(platform.wait(seconds=15), Realtime)[-1]
    assert (report.soc, report.battery_max_temp, report.remaining_minutes) == (0, 0, 0)
    assert (report.output_voltage, report.output_current) == (2200, 318)
    platform.say(stop())
    assert only(platform.wait(seconds=2), TransactionRecord)[0].value("vin") == ""


def test_an_unanswered_record_is_repeated_three_times_and_once_after_five_minutes():
    platform = charging()
    platform.confirms = False
    platform.say(stop())
    ended = platform.now
    sent = []
    while platform.now < ended + timedelta(hours=1):
        sent += [platform.now - ended for _ in only(platform.wait(seconds=1), TransactionRecord)]
    assert [after.total_seconds() for after in sent] == [2, 32, 62, 92, 392]
    assert list(platform.pile.records) == [bytes.fromhex(TRANSACTION_NO)]


def test_stored_records_are_sent_again_after_the_next_login():
    platform = charging()
    platform.pile.disconnected(platform.now)
    platform.wait(minutes=1)
    platform.pile.press_stop("01", platform.now)
    assert platform.pile.take_output() == b""
    platform.log_in(prices=False)
    [record] = only(platform.wait(seconds=2), TransactionRecord)
    assert record.value("total_kwh") == Decimal("1.0000")
    assert platform.pile.records == {}


def test_a_charge_goes_on_without_the_platform():
    platform = charging("1.00")
    platform.pile.disconnected(platform.now)
    platform.wait(minutes=10)
    [stored] = platform.pile.records.values()
    assert stored.record.stop_reason == StopReason.AMOUNT_LIMIT


def test_memory_survives_a_power_cut():
    platform = charging()
    platform.wait(minutes=1)
    state = platform.pile.to_state(platform.now)
    assert platform.pile.guns["01"].session is not None
    again = SimulatedPile(PILE_NO, guns={"01": 60_000})
    again.load_state(state)
    after = Platform(again, platform.now + timedelta(hours=3)).log_in(prices=False)
    assert only(after.heard, BillingVerify)[0].value("billing_model_no") == "0100"
    [record] = only(after.wait(seconds=2), TransactionRecord)
    assert record.value("transaction_no") == TRANSACTION_NO
    assert record.value("total_kwh") == Decimal("1.0000")
    assert record.value("end_time") == platform.now
    assert record.stop_reason == StopReason.POWER_LOST
    assert again.guns["01"].meter == 10_000


def test_faster_charging_dates_the_start_back():
    platform = charging(time_scale=60)
    platform.wait(seconds=15)
    platform.say(stop())
    [record] = only(platform.wait(seconds=2), TransactionRecord)
    assert record.value("total_kwh") == Decimal("15.0000")
    assert record.value("end_time") - record.value("start_time") == timedelta(minutes=15)


def test_fault_cut_before_the_record_is_confirmed():
    platform = charging(faults=Faults(cut_before_record_ack=1))
    platform.say(stop())
    assert len(only(platform.wait(seconds=60), TransactionRecord)) == 1
    assert platform.pile.wants_close
    assert len(platform.pile.records) == 1
    platform.pile.disconnected(platform.now)
    platform.log_in(prices=False)
    assert len(only(platform.wait(seconds=60), TransactionRecord)) == 1
    assert platform.pile.records == {}


def test_fault_record_twice():
    platform = charging(faults=Faults(duplicate_records=1))
    platform.say(stop())
    first, second = only(platform.wait(seconds=2), TransactionRecord)
    assert first.encode(b"\0\0") == second.encode(b"\0\0")


def test_fault_swapped_crc_and_garbage():
    pile = SimulatedPile(PILE_NO, faults=Faults(crc_swapped=True, garbage=b"\0\x01"))
    pile.connected(NOON)
    buffer = FrameBuffer()
    [login] = buffer.feed(pile.take_output())
    assert isinstance(decode(login), Login)
    assert (buffer.swapped_crc, buffer.dropped) == (1, 2)
    assert pile.take_output() == b""


def test_fault_never_answers():
    platform = online(faults=Faults(unanswered=frozenset({0x34, 0x36})))
    platform.pile.plug("01", platform.now, CAR)
    platform.listen()
    assert platform.say(start()) == []
    assert platform.say(stop()) == []
    assert only(platform.wait(minutes=2), RemoteStartAck | RemoteStopAck) == []
    assert platform.pile.guns["01"].session is None


def test_fault_clock_shows_in_the_record():
    platform = charging(faults=Faults(clock_offset=timedelta(hours=1)))
    platform.wait(minutes=1)
    platform.say(stop())
    [record] = only(platform.wait(seconds=2), TransactionRecord)
    assert record.value("end_time") == platform.now - 2 * SECOND + timedelta(hours=1)
    assert record.value("peak_kwh") == Decimal("1.0000")


def test_garbage_from_the_platform_is_passed_over():
    platform = online()
    platform.pile.receive(b"\x68\x04\0\0\0\x99\0\0nonsense", platform.now)
    assert platform.say(ReadRealtime.make(pile_no=PILE_NO, gun_no="01")) != []
