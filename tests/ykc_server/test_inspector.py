import io
import json
import sys
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ykc_server.protocol.strategies import any_message, message_of
from ykc_server.inspector import BadHex, annotate, build, describe, inspect_frame, parse_hex
from ykc_server.protocol import BY_NAME, FieldError, UnknownFrame
from ykc_server.protocol.message import seal
from ykc_server.protocol.messages import (
    BmsAbort,
    BmsDemand,
    Heartbeat,
    OfflineCardSync,
    Realtime,
    StartRequest,
    TimeSync,
    TransactionRecord,
    Update,
)

HEARTBEAT = "680D050000033201060021353301005718"
REALTIME = (
    "6840E9540013202507031706010126072610350589852025070317060101030201540DF8035000000000000000002851000032"
    "000000000000000000000000000000E12D"
)
HEARTBEAT_FIELDS = {
    "pile_no": "32010600213533",
    "gun_no": "01",
    "gun_status": {"value": 0, "name": "normal"},
}


def test_json_form_of_a_captured_frame():
    assert describe(parse_hex(REALTIME)) == {
        "type": "0x13",
        "name": "realtime",
        "direction": "up",
        "crc": "ok",
        "sequence": "E954",
        "fields": {
            "transaction_no": "20250703170601012607261035058985",
            "pile_no": "20250703170601",
            "gun_no": "01",
            "status": {"value": 3, "name": "charging"},
            "gun_homed": {"value": 2, "name": "unknown"},
            "gun_plugged": {"value": 1, "name": "yes"},
            "output_voltage": "341.2",
            "output_current": "101.6",
            "cable_temp": 30,
            "cable_code": "0000000000000000",
            "soc": 40,
            "battery_max_temp": 31,
            "charge_minutes": 0,
            "remaining_minutes": 50,
            "energy_kwh": "0.0000",
            "loss_energy_kwh": "0.0000",
            "amount": "0.0000",
            "hardware_fault": "0x0000",
        },
    }


def test_order_of_the_crc():
    assert describe(bytes.fromhex(HEARTBEAT))["crc"] == "ok"
    assert describe(bytes.fromhex(HEARTBEAT[:-4] + "1857"))["crc"] == "swapped"
    assert describe(bytes.fromhex(HEARTBEAT[:-4] + "0000"))["crc"] == "bad"


def test_values_that_are_not_there():
    realtime = describe(bytes.fromhex(REALTIME))["fields"] | {"cable_temp": None, "status": 9}
    shown = describe(build("realtime", realtime))["fields"]
    assert shown["cable_temp"] is None
    assert shown["status"] == {"value": 9, "name": None}
    assert isinstance(Realtime.make(**shown).status, int)


def test_times_of_all_sorts():
    def shown(time):
        return describe(TimeSync(pile_no=bytes(7), time=bytes.fromhex(time)).encode())["fields"]["time"]

    assert shown("98B70E11100314") == "2020-03-16T17:14:47+08:00"
    assert shown("99B70E11100314") == "2020-03-16T17:14:47.001+08:00"
    assert shown("00000000000000") is None
    assert shown("FFFFFFFFFFFFFF") == "FFFFFFFFFFFFFF"


def test_extra_bytes_are_shown_and_can_be_sent():
    frame = seal(bytes.fromhex(HEARTBEAT)[2:-2] + b"\xab\xcd")
    shown = describe(frame)
    assert shown["extra"] == "ABCD"
    assert build("heartbeat", shown["fields"], sequence=b"\5\0", extra=b"\xab\xcd") == frame
    assert "extra" not in describe(bytes.fromhex(HEARTBEAT))


@given(any_message())
def test_what_is_shown_can_be_encoded_and_is_shown_the_same(message):
    shown = describe(message.encode())
    printed = json.loads(json.dumps(shown))
    again = build(printed["name"], printed["fields"], sequence=bytes.fromhex(printed["sequence"]))
    assert describe(again) == shown


def test_hex_in_any_dress():
    assert parse_hex(" 68 0d\n05 ") == b"\x68\x0d\x05"
    with pytest.raises(BadHex, match="'g' is not a hex digit at offset 1"):
        parse_hex("68g0")
    with pytest.raises(BadHex, match="half a byte at offset 1"):
        parse_hex("680")


def test_build_refuses_what_it_does_not_know():
    with pytest.raises(FieldError, match=r"'heartbeet' is not one of "):
        build("heartbeet", {})
    with pytest.raises(FieldError, match=r"^sequence: is no field of heartbeat$"):
        build("heartbeat", HEARTBEAT_FIELDS | {"sequence": "0500"})


def test_describe_refuses_with_reason_and_offset():
    with pytest.raises(UnknownFrame) as caught:
        describe(seal(b"\0\0\0\x99"))
    assert (caught.value.reason, caught.value.offset) == ("unknown frame type 0x99", 5)


def run(*arguments, stdin=None, monkeypatch=None):
    out = io.StringIO()
    if stdin is not None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
    call_command("ykc", *arguments, stdout=out)
    return out.getvalue()


def test_command_decodes_one_frame():
    printed = run("decode", HEARTBEAT)
    assert json.loads(printed) == {
        "type": "0x03",
        "name": "heartbeat",
        "direction": "up",
        "crc": "ok",
        "sequence": "0500",
        "fields": HEARTBEAT_FIELDS,
    }
    assert printed.count("\n") == 1
    assert run("decode", HEARTBEAT[:8], HEARTBEAT[8:].lower()) == printed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("680", "half a byte at offset 1"),
        ("00", "no start byte 68 at offset 0"),
        (HEARTBEAT[:-2], "frame ends after 16 bytes, its length byte says 17 at offset 16"),
        (seal(b"\0\0\0\x03" + bytes(8)).hex(), "heartbeat needs a body of 9 bytes, got 8 at offset 14"),
        (
            seal(b"\0\0\x01\x03" + bytes(9)).hex(),
            "encryption flag 0x01 and no cipher is configured at offset 4",
        ),
    ],
)
def test_command_names_reason_and_offset(text, reason):
    with pytest.raises(CommandError) as caught:
        run("decode", text)
    assert str(caught.value) == reason
    assert caught.value.returncode == 1


def test_command_decodes_a_stream_of_lines(monkeypatch):
    lines = f"{HEARTBEAT}\n\n{HEARTBEAT}00\nzz\n{REALTIME}"
    printed = [
        json.loads(line) for line in run("decode", "-", stdin=lines, monkeypatch=monkeypatch).splitlines()
    ]
    assert [line.get("name") for line in printed] == ["heartbeat", None, None, "realtime"]
    assert printed[1] == {"error": "1 bytes after the end of the frame at offset 17", "offset": 17}
    assert printed[2] == {"error": "'z' is not a hex digit at offset 0", "offset": 0}


def test_command_encodes_what_it_decoded():
    shown = json.loads(run("decode", REALTIME))
    arguments = (
        "encode",
        shown["name"],
        "--fields",
        json.dumps(shown["fields"]),
        "--sequence",
        shown["sequence"],
    )
    assert run(*arguments) == REALTIME + "\n"
    swapped = run(*arguments, "--crc", "swapped").strip()
    assert swapped == REALTIME[:-4] + REALTIME[-2:] + REALTIME[-4:-2]


def test_command_takes_plain_numbers_exactly():
    fields = {
        "transaction_no": "1",
        "pile_no": "1",
        "gun_no": 2,
        "logical_card_no": "0",
        "physical_card_no": "0",
        "account_balance": 0,
    }
    text = json.dumps(fields).replace('"account_balance": 0', '"account_balance": 1.10')
    frame = run("encode", "remote_start", "--fields", text).strip()
    assert describe(bytes.fromhex(frame))["fields"]["account_balance"] == str(Decimal("1.10"))


@pytest.mark.parametrize("cls", BY_NAME.values(), ids=lambda cls: cls.spec.name)
@settings(max_examples=3)
@given(data=st.data())
def test_command_round_trip_of_every_frame(cls, data):
    shown = json.loads(run("decode", data.draw(message_of(cls)).encode().hex()))
    assert shown["name"] == cls.spec.name
    fields = json.dumps(shown["fields"])
    again = run("encode", shown["name"], "--fields", fields, "--sequence", shown["sequence"])
    assert json.loads(run("decode", again)) == shown


@pytest.mark.parametrize(
    ("name", "fields", "sequence", "reason"),
    [
        ("heartbeat", "[]", "0000", "--fields must be a JSON object"),
        ("heartbeat", "{", "0000", "--fields is not JSON"),
        ("heartbeat", "{}", "0000", "pile_no: is missing"),
        ("heartbeat", json.dumps(HEARTBEAT_FIELDS), "00", "sequence: needs 2 bytes"),
        ("heartbeat", json.dumps(HEARTBEAT_FIELDS), "0x", "'x' is not a hex digit at offset 0"),
        ("nothing", "{}", "0000", "name: 'nothing' is not one of "),
    ],
)
def test_command_refuses_bad_input(name, fields, sequence, reason):
    with pytest.raises(CommandError) as caught:
        run("encode", name, "--fields", fields, "--sequence", sequence)
    assert str(caught.value).startswith(reason)


def test_heartbeat_constant():
    assert Heartbeat.make(**HEARTBEAT_FIELDS).encode(b"\5\0").hex().upper() == HEARTBEAT


def by_name(views):
    return {view.name: view for view in views}


def tiles(views, size):
    """Whether the views cover `size` bytes, in order and none twice."""
    ends = [0]
    for view in views:
        if view.offset != ends[-1] or view.length < 1:
            return False
        ends.append(view.offset + view.length)
    return ends[-1] == size


def test_every_byte_of_a_captured_frame():
    inspection = inspect_frame(parse_hex(REALTIME))
    assert (inspection.name, inspection.label, inspection.direction) == ("realtime", "上传实时监测数据", "up")
    assert (inspection.crc, inspection.crc_expected, inspection.error) == ("ok", "E12D", "")
    views = by_name(inspection.fields)
    assert tiles(inspection.fields, 68)
    assert views["length"].value == 64
    status = views["status"]
    assert (status.part, status.offset, status.length, status.raw) == ("body", 30, 1, "03")
    assert (status.value, status.meaning, status.label) == (3, "charging", "状态")
    voltage = views["output_voltage"]
    assert (voltage.offset, voltage.raw, voltage.value, voltage.unit) == (33, "540D", "341.2", "V")
    assert json.loads(json.dumps(inspection.to_json()))["fields"][-1]["meaning"] == "ok"


@settings(max_examples=200)
@given(any_message(), st.binary(max_size=12), st.data())
def test_any_frame_is_shown_whole_cut_or_damaged(message, extra, data):
    frame = message.encode() + extra
    frame = frame[: data.draw(st.integers(0, len(frame)))]
    damage = data.draw(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=3))
    damaged = bytearray(frame)
    for place, byte in damage:
        if place < len(damaged):
            damaged[place] = byte
    views = annotate(bytes(damaged), show_secrets=True)
    assert tiles(views, len(damaged))
    assert "".join(view.raw for view in views) == damaged.hex().upper()


@given(st.binary(max_size=270))
def test_any_bytes_can_be_inspected(data):
    inspection = inspect_frame(data)
    assert tiles(inspection.fields, len(data))
    json.dumps(inspection.to_json())


@given(any_message())
def test_a_good_frame_has_no_error_and_its_values_are_the_described_ones(message):
    frame = message.encode()
    inspection = inspect_frame(frame, show_secrets=True)
    assert (inspection.error, inspection.crc) == ("", "ok")
    views = by_name(inspection.fields)
    for name, shown in describe(frame)["fields"].items():
        if name in views:
            assert views[name].value == (shown["value"] if isinstance(shown, dict) else shown)
        else:
            assert shown in ([], "") or f"{name}[0]." in "".join(views)


def test_a_frame_that_is_cut_off():
    inspection = inspect_frame(bytes.fromhex(REALTIME)[:36])
    assert inspection.error == "frame ends after 36 bytes, its length byte says 68 at offset 36"
    assert (inspection.crc, inspection.crc_expected) == (None, "")
    last = inspection.fields[-1]
    assert (last.name, last.raw, last.value, last.meaning) == (
        "output_current",
        "F8",
        None,
        "cut off: 1 of 2 bytes",
    )
    assert by_name(inspection.fields)["length"].meaning == "32 would fit the bytes that are here"


def test_verdicts_on_the_crc():
    bad = inspect_frame(bytes.fromhex(HEARTBEAT[:-4] + "0000"))
    assert (bad.crc, bad.crc_expected, bad.error) == ("bad", "5718", "wrong CRC at offset 15")
    assert by_name(bad.fields)["crc"].meaning == "should be 5718"
    swapped = inspect_frame(bytes.fromhex(HEARTBEAT[:-4] + "1857"))
    assert (swapped.crc, swapped.error) == ("swapped", "")
    assert by_name(swapped.fields)["crc"].meaning == "high byte first"


def test_frames_that_cannot_be_read():
    unknown = inspect_frame(seal(b"\0\0\0\x99\1\2"))
    assert (unknown.name, unknown.error) == ("", "unknown frame type 0x99 at offset 5")
    assert by_name(unknown.fields)["body"].raw == "0102"
    sealed = inspect_frame(seal(b"\0\0\1\x03" + bytes(9)))
    assert sealed.error == "encryption flag 0x01 and no cipher is configured at offset 4"
    assert by_name(sealed.fields)["body"].meaning == "encrypted"
    assert inspect_frame(b"").fields == ()
    assert inspect_frame(b"").error == "no bytes at offset 0"


def test_lists_are_shown_item_by_item():
    cards = [{"logical_card_no": "1", "physical_card_no": f"AB0{number}"} for number in (1, 2)]
    frame = OfflineCardSync.make(pile_no="1", cards=cards, extra=b"\xee").encode()
    views = by_name(annotate(frame))
    assert [(views[name].offset, views[name].value) for name in list(views)[6:]] == [
        (13, 2),
        (14, "0000000000000001"),
        (22, "000000000000AB01"),
        (30, "0000000000000001"),
        (38, "000000000000AB02"),
        (46, None),
        (47, None),
    ]
    assert list(views)[6:] == [
        "count",
        "cards[0].logical_card_no",
        "cards[0].physical_card_no",
        "cards[1].logical_card_no",
        "cards[1].physical_card_no",
        "extra",
        "crc",
    ]


def zeros(cls, **raw):
    values = {name: bytes(f.size) if f.format.endswith("s") else 0 for name, f in cls.spec.fields.items()}
    return cls(**values | raw).encode()


def test_meanings():
    record = by_name(annotate(zeros(TransactionRecord, stop_reason=0x6E, vin=b"0" * 17)))
    assert record["stop_reason"].meaning == "balance used up"
    assert (record["vin"].value, record["vin"].meaning) == ("0" * 17, "none")
    assert record["start_time"].meaning == "no time"
    assert by_name(annotate(zeros(TransactionRecord, stop_reason=0x8A)))["stop_reason"].meaning == "0x8A"
    abort = by_name(annotate(zeros(BmsAbort, abort_reason=0b0000_0001, abort_fault=0x0102)))
    assert abort["abort_reason"].meaning == "state of charge reached"
    assert abort["abort_fault"].meaning == "insulation fault: untrusted; battery too hot"
    demand = by_name(annotate(zeros(BmsDemand, max_cell_voltage_group=0x3000 | 398, pile_current=3258)))
    assert demand["max_cell_voltage_group"].meaning == "voltage 3.98; group 3"
    assert (demand["pile_current"].value, demand["pile_current"].unit) == ("-74.2", "A")
    realtime = by_name(annotate(zeros(Realtime, hardware_fault=0x2041)))
    assert realtime["hardware_fault"].meaning == (
        "emergency stop button; energy meter does not answer; 0x2000"
    )
    assert (realtime["cable_temp"].value, realtime["cable_temp"].meaning) == (None, "not available")


def test_secrets_are_hidden_unless_asked_for():
    update = zeros(Update, username=b"operator".ljust(16, b"\0"), password=b"topsecret".ljust(16, b"\0"))
    start = zeros(StartRequest, password=b"49ba59abbe56e057")
    for frame, names in ((update, ["username", "password"]), (start, ["password"])):
        hidden, shown = by_name(annotate(frame)), by_name(annotate(frame, show_secrets=True))
        for name in names:
            assert (hidden[name].raw, hidden[name].value, hidden[name].meaning) == ("", None, "secret")
            assert shown[name].value
            assert shown[name].value not in str(hidden)
            assert shown[name].raw not in str(hidden)


def test_command_inspects():
    printed = run("inspect", HEARTBEAT[:-2])
    assert printed.startswith("heartbeat 充电桩心跳包 up\nCRC missing\nerror: frame ends after 16 bytes")
    assert "  14 00                                 gun_status 枪状态: 0 (normal)\n" in printed
    shown = json.loads(run("inspect", HEARTBEAT, "--json"))
    assert (shown["crc"], shown["error"], len(shown["fields"])) == ("ok", "", 9)
    update = zeros(Update, password=b"topsecret".ljust(16, b"\0")).hex()
    assert "topsecret" not in run("inspect", update)
    assert "topsecret" in run("inspect", update, "--show-secrets")
    with pytest.raises(CommandError, match=r"^half a byte at offset 1$"):
        run("inspect", "680")
