"""Frames captured from real piles and platforms, against the values their collectors state."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from ykc_server.inspector import build, describe_fields
from ykc_server.protocol import FrameBuffer, check_frame, decode
from ykc_server.protocol.fields import Uint

SAMPLES = json.loads(Path(__file__).with_name("frames_sample.json").read_text())


def plain(value):
    """Bring our JSON form and the collector's looser notation to one form."""
    if isinstance(value, dict):
        return value["value"]
    if isinstance(value, str) and value.startswith("0x"):
        return int(value, 16)
    if isinstance(value, str) and value[4:5] == "-":
        return datetime.fromisoformat(value).replace(tzinfo=None)
    return value


@pytest.fixture(params=SAMPLES, ids=lambda sample: f"{sample['frame_type']}-{sample['sequence_hex']}")
def sample(request):
    return request.param


def test_sample_decodes_to_its_stated_values(sample):
    frame = bytes.fromhex(sample["hex"])
    message = decode(frame)
    shown = describe_fields(message)
    assert check_frame(frame) == "ok"
    assert message.sequence.hex().upper() == sample["sequence_hex"]
    assert f"0x{message.spec.kind:02X}" == sample["frame_type"]
    assert message.spec.direction == sample["direction"]
    assert message.spec.body_size == sample["body_length"]
    for name, stated in (sample["decoded_by_collector"] | sample["expected"]).items():
        if name.endswith("_raw"):
            assert getattr(message, name.removesuffix("_raw")) == stated
        elif name == "slot_rate_codes":
            assert bytes(shown[name]).hex() == stated
        elif name in ("result", "fail_reason") and isinstance(stated, str):
            assert plain(shown[name]) == int(stated)
        else:
            assert plain(shown[name]) == plain(stated), name


def test_every_stated_field_is_compared(sample):
    assert set(sample["decoded_by_collector"]) <= set(decode(bytes.fromhex(sample["hex"])).spec.fields)


def test_sample_encodes_back_to_the_same_bytes(sample):
    frame = bytes.fromhex(sample["hex"])
    message = decode(frame)
    assert message.encode() == frame
    assert type(message).make(**message.values(), sequence=message.sequence).encode() == frame
    assert build(message.spec.name, describe_fields(message), sequence=message.sequence) == frame


def test_sample_comes_out_of_the_stream(sample):
    frame = bytes.fromhex(sample["hex"])
    assert FrameBuffer().feed(frame) == [frame]


def test_scaled_values_are_exact_decimals():
    record = decode(bytes.fromhex(next(s["hex"] for s in SAMPLES if s["frame_type"] == "0x3B")))
    assert record.total_kwh == 30067
    assert record.value("total_kwh") == Decimal("3.0067")
    assert record.value("meter_end") == Decimal("3.0077")
    for name, field in record.spec.fields.items():
        if isinstance(field, Uint) and field.places:
            assert -record.value(name).as_tuple().exponent == field.places
