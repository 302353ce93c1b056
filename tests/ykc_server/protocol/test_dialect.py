import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ykc_server.protocol.strategies import any_message
from ykc_server.inspector import inspect_frame
from ykc_server.protocol import (
    CIPHERS,
    Dialect,
    EncryptedFrame,
    FieldError,
    check_frame,
    decode,
    learn,
    open_frame,
    seal_message,
)
from ykc_server.protocol.message import seal
from ykc_server.protocol.messages import (
    BillingSet,
    BillingSetFivePrices,
    Heartbeat,
    Login,
    QrPrefixSetAck,
    TransactionRecord,
    TransactionRecordFivePrices,
)

BEAT = Heartbeat.make(pile_no="32010600213533", gun_no="01", gun_status=0)


class Shift:
    """Adds the key to every byte: enough to tell whether, and on what, a cipher was used."""

    def __init__(self, key):
        if len(key) != 1:
            raise ValueError("needs a key of 1 byte")
        self.key = key[0]

    def encrypt(self, body):
        return bytes((byte + self.key) % 256 for byte in body)

    def decrypt(self, body):
        if not body:
            raise ValueError("nothing to read")
        return bytes((byte - self.key) % 256 for byte in body)


@pytest.fixture
def shift():
    CIPHERS["shift"] = Shift
    yield Dialect(cipher="shift", key=b"\x07")
    del CIPHERS["shift"]


def zeros(cls, **raw):
    values = {name: bytes(f.size) if f.format.endswith("s") else 0 for name, f in cls.spec.fields.items()}
    return cls(**values | raw)


def test_what_is_learnt():
    known = Dialect()
    assert learn(known, BEAT) is known
    fifteen = learn(known, zeros(Login, protocol_version=0x0F))
    assert fifteen.version == 0x0F
    assert learn(fifteen, zeros(Login, protocol_version=0x11)).version == 0x11
    assert learn(known, zeros(TransactionRecord)) is known
    five = learn(known, zeros(TransactionRecordFivePrices))
    assert (known.billing_set, five.billing_set) == (BillingSet, BillingSetFivePrices)
    assert learn(five, zeros(TransactionRecord)) is five
    assert learn(known, zeros(QrPrefixSetAck)).qr_prefix


def test_the_order_of_the_crc_is_noted_but_not_copied():
    swapped = learn(Dialect(), BEAT, crc_swapped=True)
    assert (swapped.sends_swapped_crc, swapped.wants_swapped_crc) == (True, False)
    assert check_frame(seal_message(BEAT, swapped)) == "ok"
    assert learn(swapped, BEAT).sends_swapped_crc is False
    assert check_frame(seal_message(BEAT, Dialect(wants_swapped_crc=True))) == "swapped"


def test_what_staff_set_is_kept(shift):
    set_by_staff = Dialect(wants_swapped_crc=True, cipher="shift", key=b"\x07")
    learnt = learn(set_by_staff, zeros(Login, protocol_version=0x11), crc_swapped=True)
    assert (learnt.wants_swapped_crc, learnt.cipher, learnt.key) == (True, "shift", b"\x07")


def test_the_key_is_not_printed(shift):
    assert "key" not in repr(shift)


@given(any_message(), st.booleans())
def test_any_message_survives_a_cipher(message, wants_swapped_crc):
    CIPHERS["shift"] = Shift
    try:
        dialect = Dialect(cipher="shift", key=b"\x07", wants_swapped_crc=wants_swapped_crc)
        frame = seal_message(message, dialect)
        assert frame[4] == 1
        assert frame[6:-2] == Shift(b"\x07").encrypt(message.encode()[6:-2])
        assert check_frame(frame) in (("swapped", "ok") if wants_swapped_crc else ("ok",))
        assert decode(open_frame(frame, dialect.open_cipher())) == message
    finally:
        del CIPHERS["shift"]


def test_frames_in_clear_pass_a_pile_with_a_cipher(shift):
    frame = BEAT.encode()
    assert open_frame(frame, shift.open_cipher()) is frame
    assert open_frame(frame, None) is frame


@pytest.mark.parametrize(
    ("frame", "has_cipher", "reason"),
    [
        (seal(b"\0\0\1\x03abc"), False, "encryption flag 0x01 and no cipher is configured at offset 4"),
        (seal(b"\0\0\2\x03abc"), True, "encryption flag 0x02 is not known at offset 4"),
        (seal(b"\0\0\1\x03"), True, "body cannot be decrypted (nothing to read) at offset 6"),
    ],
)
def test_what_cannot_be_opened(shift, frame, has_cipher, reason):
    with pytest.raises(EncryptedFrame) as caught:
        open_frame(frame, shift.open_cipher() if has_cipher else None)
    assert str(caught.value) == reason
    assert caught.value.frame == frame


def test_a_cipher_that_is_not_there():
    with pytest.raises(FieldError, match=r"^cipher: there is no cipher 'des'$"):
        Dialect(cipher="des").open_cipher()
    assert Dialect().open_cipher() is None


def test_a_key_that_does_not_fit(shift):
    with pytest.raises(FieldError, match=r"^key: needs a key of 1 byte$"):
        Dialect(cipher="shift").open_cipher()


def test_the_inspector_opens_with_a_cipher(shift):
    frame = seal_message(BEAT, shift, b"\5\0")
    assert inspect_frame(frame).fields[-2].meaning == "encrypted"
    inspection = inspect_frame(frame, cipher=shift.open_cipher())
    assert (inspection.error, inspection.crc) == ("", "ok")
    assert [view.value for view in inspection.fields[5:8]] == ["32010600213533", "01", 0]
    assert inspection.fields[3].meaning == "3DES"
