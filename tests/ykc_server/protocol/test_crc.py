from hypothesis import given
from hypothesis import strategies as st

from ykc_server.protocol.crc import crc16, crc16_python


def test_check_value_of_crc16_modbus():
    assert crc16(b"123456789") == 0x4B37
    assert crc16_python(b"123456789") == 0x4B37


def test_worked_example():
    assert crc16(bytes.fromhex("05000003320106002135330100")) == 0x1857


@given(st.binary(max_size=300))
def test_compiled_and_python_crc_agree(data):
    assert crc16(data) == crc16_python(data)
