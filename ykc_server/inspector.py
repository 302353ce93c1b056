"""Frames as people read them: bytes ↔ the JSON form of `manage.py ykc`.

    {"type": "0x13", "name": "realtime", "direction": "up", "crc": "ok|swapped|bad", "sequence": "97CF",
     "fields": {…}}

Fields: scaled values are decimal strings with all their places, codes {"value": 3, "name": "charging"} (name null
when the code has none), bit fields "0x0000", RAW and BCD hex digits, lists JSON lists, times ISO 8601 at +08:00.
Bytes after the declared body appear as "extra" (hex) beside "fields", only when there are some.
"""

from collections.abc import Mapping
from typing import Any

from ykc_server.protocol import BY_NAME, FieldError, Message, check_frame, decode


class BadHex(ValueError):
    """The text is not hex; `offset` is the byte where it goes wrong."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} at offset {offset}")
        self.reason = reason
        self.offset = offset


def parse_hex(text: str) -> bytes:
    """Read hex digits, in upper or lower case, with or without blanks.

    Raises:
        BadHex: another character, or a digit without its partner.
    """
    digits = "".join(text.split())
    for position, digit in enumerate(digits):
        if digit not in "0123456789abcdefABCDEF":
            raise BadHex(f"{digit!r} is not a hex digit", position // 2)
    if len(digits) % 2:
        raise BadHex("half a byte", len(digits) // 2)
    return bytes.fromhex(digits)


def describe_fields(message: Message) -> dict[str, Any]:
    """Return the fields of a decoded message in their JSON form, in wire order."""
    return {name: field.json(getattr(message, name)) for name, field in message.spec.fields.items()}


def describe(frame: bytes) -> dict[str, Any]:
    """Return the JSON form of one whole frame. A wrong CRC is reported in it, anything else raises.

    Raises:
        ProtocolError: with reason and offset.
    """
    crc = check_frame(frame)
    message = decode(frame)
    description = {
        "type": f"0x{message.spec.kind:02X}",
        "name": message.spec.name,
        "direction": message.spec.direction.value,
        "crc": crc,
        "sequence": message.sequence.hex().upper(),
        "fields": describe_fields(message),
    }
    if message.extra:
        description["extra"] = message.extra.hex().upper()
    return description


def build(
    name: str,
    fields: Mapping[str, Any],
    *,
    sequence: bytes = b"\0\0",
    extra: bytes = b"",
    crc_swapped: bool = False,
) -> bytes:
    """Return the frame that `describe` would show with these fields.

    Codes may also be given as plain numbers or names.

    Raises:
        FieldError: unknown name, a field missing, unknown, or with a value that does not fit.
    """
    if name not in BY_NAME:
        raise FieldError("name", f"{name!r} is not one of {', '.join(sorted(BY_NAME))}")
    reserved = {"sequence", "extra"} & fields.keys()
    if reserved:
        raise FieldError(min(reserved), f"is no field of {name}")
    return BY_NAME[name].make(**fields, sequence=sequence, extra=extra).encode(crc_swapped=crc_swapped)
