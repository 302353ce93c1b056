import io
import json
import sys
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given

from tests.ykc_server.protocol.strategies import any_message
from ykc_server.inspector import BadHex, build, describe, parse_hex
from ykc_server.protocol import FieldError, UnknownFrame
from ykc_server.protocol.message import seal
from ykc_server.protocol.messages import Heartbeat, Realtime, TimeSync

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
