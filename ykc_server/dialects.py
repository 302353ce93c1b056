"""How each pile speaks: from its row to a `Dialect`, and what we send in its manner.

A dialect is set by staff or learnt: the version at login, five prices from a record of five classes, QR codes from an
answer to 0xF0, the order of the checksum's bytes as `Gateway.unheard` says. A wrong checksum is never passed over,
whatever the pile: it is all that tells a torn frame from a bill, and no field behind it can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import structlog

from apps.piles.enums import CrcOrder
from ykc_server.protocol import Cipher, Dialect, FieldError, seal_frame

log = structlog.get_logger(__name__)

COLUMNS = ("five_prices", "takes_qr", "crc_order", "cipher", "cipher_key")
"""Of piles.Pile, in the order of `dialect`'s arguments."""


def dialect(five_prices: bool, takes_qr: bool, crc_order: str, cipher: str, cipher_key: str) -> Dialect:
    """Return the dialect of a pile's columns. A key is hex digits; any other text stands for its UTF-8 bytes."""
    try:
        key = bytes.fromhex(cipher_key)
    except ValueError:
        key = cipher_key.encode()
    return Dialect(
        five_prices=five_prices,
        qr_prefix=takes_qr,
        wants_swapped_crc=crc_order == CrcOrder.HIGH_FIRST,
        cipher=cipher,
        key=key,
    )


def columns(learnt: dict[str, bool]) -> dict[str, bool | str]:
    """Return what a pile showed (fields of Dialect) as columns of its row."""
    found: dict[str, bool | str] = {}
    for name, value in learnt.items():
        if name == "wants_swapped_crc":
            found["crc_order"] = CrcOrder.HIGH_FIRST if value else CrcOrder.LOW_FIRST
        else:
            found["takes_qr" if name == "qr_prefix" else name] = value
    return found


def cipher_of(spoken: Dialect, pile_code: str) -> Cipher | None:
    """Return a pile's cipher; None, and a line in the log, when what staff set names none."""
    try:
        return spoken.open_cipher()
    except FieldError as error:
        log.warning("cipher_not_usable", pile_code=pile_code, error=str(error))
        return None


class Manner(NamedTuple):
    """What is done to the frames for a pile before they leave."""

    crc_swapped: bool
    cipher: Cipher | None

    def apply(self, data: bytes) -> bytes:
        """Return whole frames as the pile wants them. Raises FieldError when a body grows too long."""
        return b"".join(seal_frame(frame, self.cipher, self.crc_swapped) for frame in split(data))


def split(data: bytes) -> Iterator[bytes]:
    """Yield the frames of bytes that we are about to send: whole frames, one after another."""
    start = 0
    while start < len(data):
        stop = start + data[start + 1] + 4
        yield data[start:stop]
        start = stop
