from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ykc_server.protocol.strategies import (
    any_message,
    body_size,
    least_body,
    message_of,
    room_for_extra,
)
from ykc_server.protocol import (
    BY_KIND,
    BY_NAME,
    DECODE,
    Direction,
    EncryptedFrame,
    FieldError,
    FrameBuffer,
    Message,
    ShortBody,
    UnknownFrame,
    decode,
)
from ykc_server.protocol.codes import GunStatus, HardwareFault, StopReason
from ykc_server.protocol.crc import crc16
from ykc_server.protocol.fields import Uint
from ykc_server.protocol.message import message, seal
from ykc_server.protocol.messages import (
    BillingSet,
    Heartbeat,
    HeartbeatAck,
    Login,
    Realtime,
    RemoteStart,
    RemoteStop,
    TimeSync,
    TransactionRecord,
    TransactionRecordAck,
    answer_heartbeat,
)

PILE_NO = "32010600213533"

# Code, name, direction, body length without list items and the length byte, as the protocol's overview lists them.
OVERVIEW = [
    (0x01, "login", "up", 30, 0x22),
    (0x02, "login_ack", "down", 8, 0x0C),
    (0x03, "heartbeat", "up", 9, 0x0D),
    (0x04, "heartbeat_ack", "down", 9, 0x0D),
    (0x05, "billing_verify", "up", 9, 0x0D),
    (0x06, "billing_verify_ack", "down", 10, 0x0E),
    (0x09, "billing_request", "up", 7, 0x0B),
    (0x0A, "billing_request_ack", "down", 90, 0x5E),
    (0x12, "read_realtime", "down", 8, 0x0C),
    (0x13, "realtime", "up", 60, 0x40),
    (0x15, "bms_handshake", "up", 73, 0x4D),
    (0x17, "bms_config", "up", 45, 0x31),
    (0x19, "charging_end", "up", 39, 0x2B),
    (0x1B, "bms_error", "up", 32, 0x24),
    (0x1D, "bms_abort", "up", 28, 0x20),
    (0x21, "charger_abort", "up", 28, 0x20),
    (0x23, "bms_demand", "up", 44, 0x30),
    (0x25, "bms_info", "up", 31, 0x23),
    (0x31, "start_request", "up", 51, 0x37),
    (0x32, "start_request_ack", "down", 38, 0x2A),
    (0x33, "remote_start_ack", "up", 26, 0x1E),
    (0x34, "remote_start", "down", 44, 0x30),
    (0x35, "remote_stop_ack", "up", 10, 0x0E),
    (0x36, "remote_stop", "down", 8, 0x0C),
    (0x3B, "transaction_record", "up", 158, 0xA2),
    (0x3B, "transaction_record_five_prices", "up", 174, 0xB2),
    (0x3D, "transaction_record_v17", "up", 201, 0xCD),
    (0x40, "transaction_record_ack", "down", 17, 0x15),
    (0x41, "balance_update_ack", "up", 16, 0x14),
    (0x42, "balance_update", "down", 20, 0x18),
    (0x43, "offline_card_sync_ack", "up", 9, 0x0D),
    (0x44, "offline_card_sync", "down", 8, 0x0C),
    (0x45, "offline_card_clear_ack", "up", 7, 0x0B),
    (0x46, "offline_card_clear", "down", 8, 0x0C),
    (0x47, "offline_card_query_ack", "up", 7, 0x0B),
    (0x48, "offline_card_query", "down", 8, 0x0C),
    (0x51, "work_params_ack", "up", 8, 0x0C),
    (0x52, "work_params", "down", 9, 0x0D),
    (0x55, "time_sync_ack", "up", 14, 0x12),
    (0x56, "time_sync", "down", 14, 0x12),
    (0x57, "billing_set_ack", "up", 8, 0x0C),
    (0x58, "billing_set", "down", 90, 0x5E),
    (0x61, "ground_lock_status", "up", 16, 0x14),
    (0x62, "ground_lock_control", "down", 13, 0x11),
    (0x63, "ground_lock_control_ack", "up", 13, 0x11),
    (0x85, "billing_set_five_prices", "down", 98, 0x66),
    (0x91, "reboot_ack", "up", 8, 0x0C),
    (0x92, "reboot", "down", 8, 0x0C),
    (0x93, "update_ack", "up", 8, 0x0C),
    (0x94, "update", "down", 94, 0x62),
    (0xA1, "parallel_start_request", "up", 58, 0x3E),
    (0xA2, "parallel_start_request_ack", "down", 44, 0x30),
    (0xA3, "parallel_remote_start_ack", "up", 33, 0x25),
    (0xA4, "parallel_remote_start", "down", 50, 0x36),
    (0xF0, "qr_prefix_set", "down", 9, 0x0D),
    (0xF1, "qr_prefix_set_ack", "up", 8, 0x0C),
]


def heartbeat_frame(**changes):
    values = {"pile_no": PILE_NO, "gun_no": "01", "gun_status": 0} | changes
    return Heartbeat.make(**values).encode(b"\x05\x00")


def test_tables_agree_with_the_overview():
    declared = [
        (cls.spec.kind, cls.spec.name, cls.spec.direction.value, cls.spec.body_size, cls.spec.body_size + 4)
        for cls in BY_NAME.values()
    ]
    assert sorted(declared) == OVERVIEW


def test_every_code_has_a_decoder_of_its_own():
    known = {kind for kind, decoder in enumerate(DECODE) if decoder is not DECODE[0xFF]}
    assert known == {kind for kind, *_ in OVERVIEW} == set(BY_KIND)


@pytest.mark.parametrize("cls", BY_NAME.values(), ids=lambda cls: cls.spec.name)
@settings(max_examples=25)
@given(data=st.data())
def test_any_message_survives_encoding_and_any_split(cls, data):
    message = data.draw(message_of(cls))
    crc_swapped = data.draw(st.booleans())
    frame = message.encode(crc_swapped=crc_swapped)
    size = body_size(message)
    assert len(frame) == size + 8
    assert frame[:2] == bytes((0x68, size + 4))
    assert frame[4:6] == bytes((0, message.spec.kind))
    assert int.from_bytes(frame[-2:], "big" if crc_swapped else "little") == crc16(frame[2:-2])
    buffer = FrameBuffer()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(frame)), max_size=5)))
    pieces = [frame[a:b] for a, b in zip([0, *cuts], [*cuts, len(frame)], strict=True)]
    [found] = [found for piece in pieces for found in buffer.feed(piece)]
    assert buffer.crc_swapped is crc_swapped or frame[-1] == frame[-2]
    decoded = decode(found)
    assert decoded == message
    assert type(decoded) is cls


@given(any_message(), st.data())
def test_bytes_after_the_declared_body_are_kept(message, data):
    message.extra = data.draw(st.binary(max_size=room_for_extra(message)))
    decoded = decode(message.encode())
    assert decoded == message
    assert decoded.extra == message.extra


@given(any_message(), st.data())
def test_a_body_that_ends_too_early_is_refused(message, data):
    size = data.draw(st.integers(0, least_body(message) - 1))
    frame = seal(message.encode()[2 : 6 + size])
    with pytest.raises(ShortBody) as caught:
        decode(frame)
    assert caught.value.offset == 6 + size
    assert caught.value.frame == frame


@given(st.binary(min_size=8, max_size=259))
def test_no_bytes_make_decode_fail_in_another_way(data):
    try:
        message = decode(data)
    except (UnknownFrame, ShortBody, EncryptedFrame):
        return
    tail = message.spec.tail
    if tail and len(getattr(message, tail.name)) > tail.max_items * tail.item_size:
        with pytest.raises(FieldError, match=" fit one frame, not "):
            message.encode()
    else:
        assert message.encode()[6:-2] == data[6:-2]


def test_unknown_type():
    with pytest.raises(UnknownFrame, match="unknown frame type 0x99 at offset 5"):
        decode(seal(b"\0\0\0\x99abc"))


def test_encrypted_frames_say_so_whether_known_or_not():
    for kind in (0x03, 0x99):
        with pytest.raises(
            EncryptedFrame, match="encryption flag 0x01 and no cipher is configured at offset 4"
        ):
            decode(seal(b"\0\0\x01" + bytes((kind,)) + bytes(9)))


def test_heartbeat_answer_without_an_object():
    frame = heartbeat_frame()
    assert frame.hex().upper() == "680D050000033201060021353301005718"
    expected = HeartbeatAck.make(pile_no=PILE_NO, gun_no=1, response=0).encode(b"\x05\x00")
    assert answer_heartbeat(frame) == expected
    assert answer_heartbeat(seal(frame[2:-2] + b"more than is declared")) == expected


def test_raw_attributes_and_values():
    realtime = Realtime.make(
        transaction_no="1",
        pile_no="123",
        gun_no=10,
        status="charging",
        gun_homed={"value": 2, "name": "unknown"},
        gun_plugged=1,
        output_voltage=Decimal("341.2"),
        output_current="101.6",
        cable_temp=30,
        cable_code="AB",
        soc=40,
        battery_max_temp=None,
        charge_minutes=600,
        remaining_minutes=0,
        energy_kwh=Decimal("1.0000"),
        loss_energy_kwh=1,
        amount="429496.7295",
        hardware_fault="0x0041",
    )
    assert realtime.transaction_no == bytes(15) + b"\x01"
    assert realtime.gun_no == b"\x10"
    assert realtime.output_voltage == 3412
    assert realtime.cable_temp == 80
    assert realtime.battery_max_temp == 0
    assert realtime.energy_kwh == realtime.loss_energy_kwh == 10000
    assert realtime.values() == {
        "transaction_no": "0" * 31 + "1",
        "pile_no": "00000000000123",
        "gun_no": "10",
        "status": GunStatus.CHARGING,
        "gun_homed": 2,
        "gun_plugged": 1,
        "output_voltage": Decimal("341.2"),
        "output_current": Decimal("101.6"),
        "cable_temp": 30,
        "cable_code": "00000000000000AB",
        "soc": 40,
        "battery_max_temp": None,
        "charge_minutes": 600,
        "remaining_minutes": 0,
        "energy_kwh": Decimal("1.0000"),
        "loss_energy_kwh": Decimal("1.0000"),
        "amount": Decimal("429496.7295"),
        "hardware_fault": HardwareFault.EMERGENCY_STOP | HardwareFault.METER_COMMUNICATION,
    }
    assert str(realtime.value("energy_kwh")) == "1.0000"


def test_codes_without_a_name_stay_numbers():
    ack = TransactionRecordAck.make(transaction_no="1", result=7)
    assert ack.value("result") == 7
    assert not isinstance(ack.value("result"), IntEnum)
    assert StopReason(0x45).name == "MANUAL_STOP"
    assert 0x8A not in {reason.value for reason in StopReason}


def test_price_example_of_the_protocol():
    prices = {
        f"{rate_class}_{fee}_price": "1.30000"
        for rate_class in ("sharp", "peak", "flat", "valley")
        for fee in ("electricity", "service")
    }
    model = BillingSet.make(
        pile_no=PILE_NO, billing_model_no="F002", loss_ratio=0, slot_rate_codes=[0] * 14 + [3] * 34, **prices
    )
    frame = model.encode()
    assert frame[15:19].hex().upper() == "D0FB0100"
    assert model.value("slot_rate_codes") == (0,) * 14 + (3,) * 34
    assert model.value("billing_model_no") == "F002"


def test_time_example_of_the_protocol():
    sync = TimeSync.make(pile_no=PILE_NO, time="2020-03-16T17:14:47+08:00")
    assert sync.time.hex().upper() == "98B70E11100314"
    assert sync.value("time") == datetime(2020, 3, 16, 9, 14, 47, tzinfo=UTC)
    assert sync.value("time").utcoffset() == timedelta(hours=8)


def test_time_masks_weekday_summer_time_and_invalid_bits():
    sync = TimeSync(pile_no=bytes(7), time=bytes.fromhex("98B7CEF150F394"))
    assert sync.value("time") == datetime(2020, 3, 16, 17, 14, 47, tzinfo=timezone(timedelta(hours=8)))


def test_bytes_that_are_no_time():
    assert TimeSync(pile_no=bytes(7), time=bytes(7)).value("time") is None
    assert TimeSync(pile_no=bytes(7), time=b"\xff" * 7).value("time") is None


@given(st.integers(0, 127 * 365 * 86_400_000), st.integers(0, 999))
def test_times_survive_to_the_millisecond(milliseconds, microseconds):
    moment = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(
        milliseconds=milliseconds, microseconds=microseconds
    )
    sync = TimeSync.make(pile_no=PILE_NO, time=moment)
    assert sync.value("time") == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def test_texts_lose_only_their_padding():
    login = {
        "pile_no": PILE_NO,
        "pile_type": 0,
        "gun_count": 2,
        "protocol_version": 16,
        "network_type": 0,
        "sim_no": "898604c0102080d0",
        "operator": 0,
    }
    made = Login.make(software_version="V1", **login)
    assert made.software_version == b"V1\0\0\0\0\0\0"
    assert made.value("software_version") == "V1"
    assert made.value("sim_no") == "0000898604C0102080D0"
    made.software_version = b"a\0\\\xe5 b \0"
    assert made.value("software_version") == r"a\x00\x5C\xE5 b"
    assert Login.make(**made.values()).software_version == b"a\0\\\xe5 b\0\0"


REMOTE_START = {
    "transaction_no": "1",
    "pile_no": PILE_NO,
    "gun_no": "01",
    "logical_card_no": "0",
    "physical_card_no": "00",
    "account_balance": "50.00",
}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pile_no": "123456789012345"}, "pile_no: '123456789012345' has more than 14 digits"),
        ({"pile_no": "12 4"}, "pile_no: '12 4' is not a string of hex digits"),
        ({"pile_no": "xyz"}, "pile_no: 'xyz' is not a string of hex digits"),
        ({"gun_no": 100}, "gun_no: '100' has more than 2 digits"),
        ({"gun_no": -1}, "gun_no: -1 is not a string of hex digits"),
        ({"physical_card_no": 5}, "physical_card_no: 5 is not a string of hex digits"),
        ({"account_balance": 50.5}, "account_balance: 50.5 is not an int, Decimal or decimal string"),
        ({"account_balance": True}, "account_balance: True is not an int, Decimal or decimal string"),
        ({"account_balance": "1.005"}, "account_balance: 1.005 has more than 2 decimal places"),
        ({"account_balance": "-0.01"}, "account_balance: -0.01 does not fit 4 bytes"),
        ({"account_balance": "42949672.96"}, "account_balance: 42949672.96 does not fit 4 bytes"),
        ({"account_balance": "1E+999999"}, "account_balance: '1E+999999' is not a number"),
        ({"account_balance": "Infinity"}, "account_balance: Infinity does not fit 4 bytes"),
        ({"account_balance": "NaN"}, "account_balance: 'NaN' is not a number"),
        ({"account_balance": "ten"}, "account_balance: 'ten' is not a number"),
        ({"colour": 1}, "colour: is no field of remote_start"),
    ],
)
def test_values_that_do_not_fit_are_refused(changes, reason):
    with pytest.raises(FieldError) as caught:
        RemoteStart.make(**(REMOTE_START | changes))
    assert str(caught.value) == reason


def test_a_missing_field_is_named():
    with pytest.raises(FieldError, match=r"^gun_no: is missing$"):
        RemoteStop.make(pile_no=PILE_NO)


def test_five_byte_numbers_keep_their_high_byte():
    raw = {
        name: 0 if isinstance(f, Uint) else bytes(f.size) for name, f in TransactionRecord.spec.fields.items()
    }
    record = TransactionRecord(**raw | {"meter_start": 0x0102030405, "meter_end": 0xFFFFFFFFFF})
    frame = record.encode()
    assert frame[108:118].hex() == "0504030201" + "ff" * 5
    assert decode(frame).value("meter_end") == Decimal("109951162.7775")
    record.meter_end = 1 << 40
    with pytest.raises(FieldError):
        record.encode()


@pytest.mark.parametrize(
    "raw", [{"gun_no": b"\1\2"}, {"gun_no": b""}, {"gun_status": 256}, {"gun_status": -1}]
)
def test_raw_values_of_the_wrong_size_are_not_sent(raw):
    heartbeat = Heartbeat(**{"pile_no": bytes(7), "gun_no": b"\1", "gun_status": 0} | raw)
    with pytest.raises(FieldError):
        heartbeat.encode()


def test_sequence_and_extra_have_limits():
    with pytest.raises(FieldError, match=r"^sequence: needs 2 bytes$"):
        decode(heartbeat_frame()).encode(b"\0")
    heartbeat = decode(heartbeat_frame())
    heartbeat.extra = bytes(242)
    assert len(heartbeat.encode()) == 259
    heartbeat.extra = bytes(243)
    with pytest.raises(FieldError, match=r"^extra: body is longer than 251 bytes$"):
        heartbeat.encode()


@pytest.fixture
def registry_restored():
    before = DECODE[0xEE]
    yield
    DECODE[0xEE] = before
    for cls in BY_KIND.pop(0xEE, []):
        del BY_NAME[cls.spec.name]


def test_a_longer_table_for_the_same_code_is_a_variant(registry_restored):
    @message(0xEE, "short_form", Direction.UP)
    class ShortForm(Message, gc=False):
        first: Annotated[int, Uint(3)]

    @message(0xEE, "long_form", Direction.UP)
    class LongForm(ShortForm, gc=False):
        second: Annotated[int, Uint(2)]

    assert decode(seal(b"\0\0\0\xee\1\2\3")) == ShortForm(first=0x030201)
    assert decode(seal(b"\0\0\0\xee\1\2\3\4")) == ShortForm(first=0x030201, extra=b"\4")
    assert decode(seal(b"\0\0\0\xee\1\2\3\4\5")) == LongForm(first=0x030201, second=0x0504)
    assert decode(seal(b"\0\0\0\xee\1\2\3\4\5\6")) == ShortForm(first=0x030201, extra=b"\4\5\6")
    assert LongForm(first=0x030201, second=0x0504).encode() == seal(b"\0\0\0\xee\1\2\3\4\5")
    with pytest.raises(ShortBody, match="short_form needs a body of 3 bytes, got 2 at offset 8"):
        decode(seal(b"\0\0\0\xee\1\2"))
