"""What is special about single frames: lists, VINs, currents, offsets, layouts."""

from decimal import Decimal

import pytest

from ykc_server.protocol import BY_NAME, FieldError, ShortBody, decode
from ykc_server.protocol.codes import BatteryType, LockStatus, OneIsSuccess
from ykc_server.protocol.message import seal
from ykc_server.protocol.messages import (
    BillingSetFivePrices,
    BmsConfig,
    BmsDemand,
    BmsHandshake,
    BmsInfo,
    GroundLockStatus,
    Heartbeat,
    OfflineCardClear,
    OfflineCardClearAck,
    OfflineCardQuery,
    OfflineCardQueryAck,
    OfflineCardSync,
    ParallelStartRequest,
    QrPrefixSet,
    StartRequest,
    TransactionRecord,
    TransactionRecordFivePrices,
    TransactionRecordV17,
    Update,
    magnitude,
)

PILE_NO = "32010600213533"
VIN = "LSVAM4187C2184841"


def zeros(cls, **raw):
    values = {name: bytes(f.size) if f.format.endswith("s") else 0 for name, f in cls.spec.fields.items()}
    return cls(**values | raw)


def card(number):
    return {"logical_card_no": f"{number:016}", "physical_card_no": f"{number:016X}"}


def test_a_list_of_cards_on_the_wire():
    sync = OfflineCardSync.make(pile_no=PILE_NO, cards=[card(1), card(255)])
    assert sync.encode()[6:-2].hex().upper() == (
        PILE_NO + "02" + "0000000000000001" + "0000000000000001" + "0000000000000255" + "00000000000000FF"
    )
    assert decode(sync.encode()) == sync
    assert sync.value("cards") == [card(1), card(255)]


@pytest.mark.parametrize(
    ("cls", "name", "item", "most"),
    [
        (OfflineCardSync, "cards", card(1), 15),
        (OfflineCardClear, "cards", "00000000D14B0A54", 24),
        (OfflineCardQuery, "cards", "00000000D14B0A54", 26),
        (
            OfflineCardClearAck,
            "results",
            {"physical_card_no": "00000000D14B0A54", "result": OneIsSuccess.SUCCESS, "fail_reason": 2},
            24,
        ),
        (OfflineCardQueryAck, "results", {"physical_card_no": "00000000D14B0A54", "result": 1}, 27),
    ],
)
def test_lists_from_none_to_the_most(cls, name, item, most):
    for number in (0, 1, most - 1, most):
        made = cls.make(pile_no=PILE_NO, **{name: [item] * number})
        frame = made.encode()
        assert frame[1] == len(frame) - 4 <= 255
        assert decode(frame) == made
        assert decode(frame).value(name) == [item] * number
    with pytest.raises(FieldError) as caught:
        cls.make(pile_no=PILE_NO, **{name: [item] * (most + 1)})
    assert str(caught.value) == f"{name}: at most {most} fit one frame, not {most + 1}"
    setattr(made, name, getattr(made, name) + bytes(cls.spec.tail.item_size))
    with pytest.raises(FieldError, match=f"^{name}: at most {most} fit one frame, not {most + 1}$"):
        made.encode()


def test_what_is_no_list_of_cards():
    for cards, reason in (
        ("00", "cards: '00' is not a list"),
        (7, "cards: 7 is not a list"),
        (["0g"], "cards: item 0: physical_card_no: '0g' is not a string of hex digits"),
        (["00", {"card": "1"}], "cards: item 1 needs physical_card_no"),
    ):
        with pytest.raises(FieldError) as caught:
            OfflineCardClear.make(pile_no=PILE_NO, cards=cards)
        assert str(caught.value) == reason
    with pytest.raises(FieldError, match=r"^cards: item 0 needs logical_card_no, physical_card_no$"):
        OfflineCardSync.make(pile_no=PILE_NO, cards=["00"])
    with pytest.raises(FieldError, match=r"^cards: needs 8 bytes for each item, 1 are left over$"):
        OfflineCardClear(pile_no=bytes(7), cards=bytes(9)).encode()


def test_a_count_that_promises_too_much():
    frame = seal(b"\0\0\0\x46" + bytes(7) + b"\x02" + bytes(15))
    with pytest.raises(ShortBody) as caught:
        decode(frame)
    assert str(caught.value) == (
        "offline_card_clear with count 2 needs a body of 24 bytes, got 23 at offset 29"
    )


def test_bytes_behind_a_list():
    assert decode(seal(b"\0\0\0\x46" + bytes(7) + b"\1" + bytes(8) + b"ab")).extra == b"ab"
    assert decode(seal(b"\0\0\0\x47" + bytes(7) + bytes(9) + b"ab")).extra == b"ab"


def test_more_cards_than_may_be_sent_are_still_read():
    assert len(decode(seal(b"\0\0\0\x46" + bytes(7) + b"\x1e" + bytes(240))).value("cards")) == 30


def test_qr_prefix():
    prefix = QrPrefixSet.make(pile_no=PILE_NO, qr_format="pile_and_gun_no", prefix="https://a.cn/?n=")
    assert prefix.encode()[13:-2] == b"\x01\x10https://a.cn/?n="
    assert decode(prefix.encode()).value("prefix") == "https://a.cn/?n="
    QrPrefixSet.make(pile_no=PILE_NO, qr_format=0, prefix="x" * 200).encode()
    with pytest.raises(FieldError, match=r"^prefix: at most 200 fit one frame, not 201$"):
        QrPrefixSet.make(pile_no=PILE_NO, qr_format=0, prefix="x" * 201)
    with pytest.raises(FieldError, match=r"^prefix: '二维码' is not ASCII$"):
        QrPrefixSet.make(pile_no=PILE_NO, qr_format=0, prefix="二维码")


START = {
    "pile_no": PILE_NO,
    "gun_no": "01",
    "start_type": "vin",
    "need_password": "no",
    "account_or_card": "0",
    "password": "",
}


def test_vin_comes_last_first_in_requests():
    request = StartRequest.make(vin=VIN, **START)
    assert request.vin == VIN[::-1].encode()
    assert decode(request.encode()).value("vin") == VIN
    parallel = ParallelStartRequest.make(vin=VIN, gun_role=1, parallel_seq="260302095000", **START)
    assert decode(parallel.encode()).vin == VIN[::-1].encode()
    assert isinstance(parallel, StartRequest)


def test_vin_in_reading_order_elsewhere():
    for cls in (BmsHandshake, TransactionRecord):
        assert zeros(cls, vin=VIN.encode()).value("vin") == VIN


@pytest.mark.parametrize("cls", [StartRequest, TransactionRecord, BmsHandshake])
@pytest.mark.parametrize("raw", [bytes(17), b"0".ljust(17, b"\0"), b"0" * 17, b"000".ljust(17, b"\0")])
def test_no_vin(cls, raw):
    assert zeros(cls, vin=raw).value("vin") == ""


def test_bms_currents():
    demand = zeros(BmsDemand, demand_current=3250, pile_current=3258, max_cell_voltage_group=0x3000 | 398)
    assert demand.value("demand_current") == Decimal("-75.0")
    assert magnitude(demand, "demand_current") == Decimal("75.0")
    assert magnitude(demand, "pile_current") == Decimal("74.2")
    assert magnitude(zeros(BmsConfig, max_current=4742), "max_current") == Decimal("74.2")
    with pytest.raises(FieldError, match=r"^pile_voltage: is no current$"):
        magnitude(demand, "pile_voltage")
    assert demand.parts("max_cell_voltage_group") == {"voltage": Decimal("3.98"), "group": 3}
    with pytest.raises(FieldError, match=r"^soc: has no groups of bits$"):
        demand.parts("soc")


def test_numbers_that_do_not_begin_at_zero():
    handshake = zeros(BmsHandshake, made_year=38, charge_count=0x030201, battery_type=3)
    assert handshake.value("made_year") == 2023
    assert handshake.encode()[49:52].hex() == "010203"
    assert handshake.value("battery_type") is BatteryType.LFP
    info = zeros(BmsInfo, max_cell_no=0, max_battery_temp=81)
    assert (info.value("max_cell_no"), info.value("max_battery_temp"), info.value("min_battery_temp")) == (
        1,
        31,
        None,
    )


def test_ground_lock_has_a_binary_gun_number():
    frame = GroundLockStatus.make(
        pile_no=PILE_NO,
        gun_no=10,
        lock_status="raised",
        space_status=0xFF,
        battery_percent=90,
        alarm="none",
        reserved="0",
    ).encode()
    assert frame[13:-2].hex() == "0a55ff5a0000000000"
    assert decode(frame).value("lock_status") is LockStatus.RAISED


def test_update_fields_have_their_places():
    body = Update.make(
        pile_no=PILE_NO,
        pile_model="ac",
        pile_power=7,
        server="10.0.0.1",
        port=21,
        username="u",
        password="p",
        path="/fw.bin",
        mode="when_idle",
        download_timeout=5,
    ).encode()[6:-2]
    assert (body[7], body[8:10], body[26:28]) == (2, b"\x07\0", b"\x15\0")
    assert (body[28:30], body[44:46], body[60:68], body[92:]) == (b"u\0", b"p\0", b"/fw.bin\0", b"\x02\x05")
    with pytest.raises(FieldError, match=r"^path: '/{33}' is longer than 32 characters$"):
        Update.make(**decode_fields(body) | {"path": "/" * 33})


def decode_fields(body):
    return decode(seal(b"\0\0\0\x94" + body)).values()


def test_the_record_of_v17_has_its_meter_behind_the_end_time():
    record = zeros(TransactionRecordV17, meter_no=b"\x01" * 6, meter_encryption=7, sharp_price=0x04030201)
    body = record.encode()[6:-2]
    assert (body[38:44], body[80], body[81:85].hex()) == (b"\x01" * 6, 7, "01020304")
    assert isinstance(decode(record.encode()), TransactionRecord)


def test_a_fifth_price_stands_behind_valley():
    record = zeros(
        TransactionRecordFivePrices,
        valley_amount=1,
        deep_valley_price=0x04030201,
        deep_valley_amount=2,
        meter_start=3,
    )
    body = record.encode()[6:-2]
    assert (body[98:102].hex(), body[102:106].hex(), body[114:118].hex(), body[118:123].hex()) == (
        "01000000",
        "01020304",
        "02000000",
        "0300000000",
    )
    decoded = decode(record.encode())
    assert type(decoded) is TransactionRecordFivePrices
    assert decoded == record
    model = zeros(
        BillingSetFivePrices,
        valley_service_price=1,
        deep_valley_electricity_price=2,
        deep_valley_service_price=3,
    )
    assert model.encode()[6:-2][37:49].hex() == "010000000200000003000000"


@pytest.mark.parametrize("more", [1, 15, 17, 90])
def test_only_its_own_length_makes_a_record_a_five_price_one(more):
    record = zeros(TransactionRecord)
    record.extra = bytes(more)
    decoded = decode(record.encode())
    assert type(decoded) is TransactionRecord
    assert len(decoded.extra) == more


def test_frames_quote_the_words_of_the_specification():
    assert Heartbeat.spec.label == "充电桩心跳包"
    assert {name: field.label for name, field in Heartbeat.spec.fields.items()} == {
        "pile_no": "桩编号",
        "gun_no": "枪号",
        "gun_status": "枪状态",
    }


def test_every_frame_and_field_has_its_label():
    missing = [cls.spec.name for cls in BY_NAME.values() if not cls.spec.label]
    missing += [
        f"{cls.spec.name}.{f.name}"
        for cls in BY_NAME.values()
        for f in cls.spec.fields.values()
        if not f.label
    ]
    assert missing == []
