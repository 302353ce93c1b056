"""What differs from pile to pile: version, CRC order, five prices, QR codes, cipher.

dialect = learn(dialect, message, crc_swapped=buffer.crc_swapped)     after each frame of the pile
message = decode(open_frame(frame, dialect.open_cipher()))
data = seal_message(message, dialect, sequence)
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from ykc_server.protocol.codes import ProtocolVersion
from ykc_server.protocol.errors import EncryptedFrame, FieldError
from ykc_server.protocol.message import CRC_SIZE, HEADER_SIZE, MAX_BODY, Message, seal
from ykc_server.protocol.messages import (
    BillingModel,
    BillingSet,
    BillingSetFivePrices,
    Login,
    QrPrefixSetAck,
    TransactionRecordFivePrices,
)


class Cipher(Protocol):
    """Turns bodies into cipher text and back, with the key it was made with.

    YKC V1.6 names 3DES and says neither mode nor padding: both are the vendor's word. `decrypt` returns the body
    in its exact length, as the length tells layouts apart; it raises ValueError for what it cannot read.
    """

    def encrypt(self, body: bytes) -> bytes: ...

    def decrypt(self, body: bytes) -> bytes: ...


CIPHERS: dict[str, Callable[[bytes], Cipher]] = {}
"""By name: what makes a cipher of a key. Raises ValueError for a key that does not fit."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one pile speaks.

    version             tenfold protocol version of its login; layouts are chosen by length, never by this
    sends_swapped_crc   its last frame had the CRC high byte first
    wants_swapped_crc   staff know that it insists on that order from us too
    five_prices         it knows a deep valley class, so prices go out as 85
    qr_prefix           it answered F0
    cipher, key         name in `CIPHERS` and the vendor's key; "" for none
    """

    version: int = ProtocolVersion.V1_6
    sends_swapped_crc: bool = False
    wants_swapped_crc: bool = False
    five_prices: bool = False
    qr_prefix: bool = False
    cipher: str = ""
    key: bytes = field(default=b"", repr=False)

    @property
    def billing_set(self) -> type[BillingModel]:
        """The frame in which this pile takes new prices."""
        return BillingSetFivePrices if self.five_prices else BillingSet

    def open_cipher(self) -> Cipher | None:
        """Return the pile's cipher, None when it has none.

        Raises:
            FieldError: there is no cipher of that name, or the key does not fit it.
        """
        if not self.cipher:
            return None
        if self.cipher not in CIPHERS:
            raise FieldError("cipher", f"there is no cipher {self.cipher!r}")
        try:
            return CIPHERS[self.cipher](self.key)
        except ValueError as error:
            raise FieldError("key", str(error)) from None


def learn(dialect: Dialect, message: Message, *, crc_swapped: bool = False) -> Dialect:
    """Return the dialect after one more frame from the pile; the same object when there is nothing new.

    What was once seen stays, but version and CRC order are those of the last frame that told them. What staff set
    (`wants_swapped_crc`, cipher) is never touched.
    """
    version = message.protocol_version if isinstance(message, Login) else dialect.version
    learnt = replace(
        dialect,
        version=version,
        sends_swapped_crc=crc_swapped,
        five_prices=dialect.five_prices or isinstance(message, TransactionRecordFivePrices),
        qr_prefix=dialect.qr_prefix or isinstance(message, QrPrefixSetAck),
    )
    return dialect if learnt == dialect else learnt


def open_frame(frame: bytes, cipher: Cipher | None) -> bytes:
    """Return a whole frame in clear, with a CRC that fits; a frame that is in clear comes back as it is.

    The CRC is taken to cover the bytes as they were sent, so it was right before this.

    Raises:
        EncryptedFrame: the flag is not 01, there is no cipher, or it cannot read the body.
    """
    flag = frame[4]
    if not flag:
        return frame
    if flag != 1:
        raise EncryptedFrame(f"encryption flag 0x{flag:02X} is not known", offset=4, frame=frame)
    if cipher is None:
        raise EncryptedFrame("encryption flag 0x01 and no cipher is configured", offset=4, frame=frame)
    try:
        body = cipher.decrypt(frame[HEADER_SIZE:-CRC_SIZE])
    except ValueError as error:
        raise EncryptedFrame(f"body cannot be decrypted ({error})", offset=HEADER_SIZE, frame=frame) from None
    if len(body) > MAX_BODY:
        raise EncryptedFrame("body cannot be decrypted (too long)", offset=HEADER_SIZE, frame=frame)
    return seal(frame[2:4] + b"\0" + frame[5:6] + body)


def seal_message(message: Message, dialect: Dialect, sequence: bytes | None = None) -> bytes:
    """Encode a message for a pile: in its CRC order, and encrypted if it has a cipher.

    Raises:
        FieldError: a value does not fit, the cipher is unknown, or its text is too long.
    """
    return seal_frame(message.encode(sequence), dialect.open_cipher(), dialect.wants_swapped_crc)


def seal_frame(frame: bytes, cipher: Cipher | None, crc_swapped: bool) -> bytes:
    """Return a whole frame in clear as a pile wants it: encrypted if there is a cipher, in its CRC order.

    Raises:
        FieldError: the cipher's text is too long.
    """
    if cipher is None:
        return seal(frame[2:-CRC_SIZE], crc_swapped)
    body = cipher.encrypt(frame[HEADER_SIZE:-CRC_SIZE])
    if len(body) > MAX_BODY:
        raise FieldError("cipher", f"body is longer than {MAX_BODY} bytes")
    return seal(frame[2:4] + b"\1" + frame[5:6] + body, crc_swapped)
