"""Frames as people read them: bytes ↔ the JSON form of `manage.py ykc`.

    {"type": "0x13", "name": "realtime", "direction": "up", "crc": "ok|swapped|bad", "sequence": "97CF",
     "fields": {…}}

Fields: scaled values are decimal strings with all their places, codes {"value": 3, "name": "charging"} (name null
when the code has none), bit fields "0x0000", RAW and BCD hex digits, lists JSON lists, times ISO 8601 at +08:00.
Bytes after the declared body appear as "extra" (hex) beside "fields", only when there are some.

`inspect_frame` shows every byte of whatever was pasted, in order and none twice, with what it is,
also when the frame is cut off, of an unknown type, or wrong.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ykc_server.protocol import (
    BY_KIND,
    BY_NAME,
    Cipher,
    FieldError,
    Message,
    ProtocolError,
    check_frame,
    decode,
    open_frame,
)
from ykc_server.protocol.crc import crc16
from ykc_server.protocol.fields import Coded, Field, Groups, Listed, Tail, Time, Uint, Vin
from ykc_server.protocol.frame import MIN_LENGTH, CrcOrder
from ykc_server.protocol.message import CRC_SIZE, HEADER_SIZE, START, Spec
from ykc_server.protocol.words import field_words


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


# --- Byte by byte -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldView:
    """Some bytes of a frame: where they are, what they are called, what they say.

    `part` is header, body, extra (after the declared body), crc or after (after the frame). `label` quotes the
    specification. `value` is the field's JSON form, of a code its number; `meaning` are English words. `raw` is
    hex; of a secret both `raw` and `value` are left out.
    """

    part: str
    offset: int
    length: int
    name: str
    label: str
    raw: str
    value: Any = None
    unit: str = ""
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A frame taken apart. `name`, `label`, `direction` are "" for an unknown type; `error` "" for a good frame.

    `crc` is None when the frame ends before it; `crc_expected` is what it should be, in hex as on the wire.
    """

    name: str
    label: str
    direction: str
    crc: CrcOrder | None
    crc_expected: str
    error: str
    fields: tuple[FieldView, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def annotate(frame: bytes, *, cipher: Cipher | None = None, show_secrets: bool = False) -> list[FieldView]:
    """Return what every byte of `frame` is, see `inspect_frame`."""
    return list(inspect_frame(frame, cipher=cipher, show_secrets=show_secrets).fields)


def inspect_frame(frame: bytes, *, cipher: Cipher | None = None, show_secrets: bool = False) -> Inspection:
    """Take apart one frame, whole or not, as far as it goes. Never raises.

    With a `cipher` the body of an encrypted frame is shown as it is in clear; its offsets are then those of the
    clear body, while the header and the CRC are shown as they were sent.
    """
    error = _error(frame, cipher)
    end = _end_of_frame(frame)
    body_end = max(HEADER_SIZE, end - CRC_SIZE)
    body, sent = frame[HEADER_SIZE:body_end], frame[body_end:end]
    encrypted = len(frame) > 4 and frame[4] != 0
    if encrypted and not error:
        body, encrypted = open_frame(frame[:end], cipher)[HEADER_SIZE:-CRC_SIZE], False
    spec = _spec(frame[5], len(body)) if len(frame) >= HEADER_SIZE else None
    views = list(_header(frame, spec))
    if encrypted or spec is None:
        if body:
            views.append(
                _view("body", HEADER_SIZE, body, "body", "消息体", meaning="encrypted" if encrypted else "")
            )
    else:
        views += _body(spec, body)
    crc: CrcOrder | None = None
    expected = b""
    if len(sent) == CRC_SIZE:
        expected = crc16(frame[2:body_end]).to_bytes(CRC_SIZE, "little")
        crc = "ok" if sent == expected else "swapped" if sent == expected[::-1] else "bad"
    if sent:
        verdicts = {"ok": "ok", "swapped": "high byte first", "bad": f"should be {expected.hex().upper()}"}
        verdict = verdicts[crc] if crc else "cut off"
        views.append(_view("crc", body_end, sent, "crc", "帧校验域", meaning=verdict))
    if frame[end:]:
        views.append(_view("after", end, frame[end:], "after_frame", ""))
    if not show_secrets and spec:
        secrets = {name for name, field in spec.fields.items() if field.secret}
        views = [replace(v, raw="", value=None, meaning="secret") if v.name in secrets else v for v in views]
    return Inspection(
        name=spec.name if spec else "",
        label=spec.label if spec else "",
        direction=spec.direction.value if spec else "",
        crc=crc,
        crc_expected=expected.hex().upper(),
        error=error,
        fields=tuple(views),
    )


def _error(frame: bytes, cipher: Cipher | None) -> str:
    try:
        if check_frame(frame) == "bad":
            return f"wrong CRC at offset {len(frame) - CRC_SIZE}"
        decode(open_frame(frame, cipher))
    except ProtocolError as error:
        return str(error)
    return ""


def _end_of_frame(frame: bytes) -> int:
    """Return where the frame should end by its length byte; with its bytes if that is impossible."""
    if len(frame) < 2 or frame[0] != START or frame[1] < MIN_LENGTH:
        return len(frame)
    return frame[1] + 4


def _spec(kind: int, body_size: int) -> Spec | None:
    tables = [cls.spec for cls in BY_KIND.get(kind, ())]
    return next((spec for spec in tables if spec.body_size == body_size), tables[0] if tables else None)


def _view(part: str, offset: int, raw: bytes, name: str, label: str, **more: Any) -> FieldView:
    return FieldView(part, offset, len(raw), name, label, raw.hex().upper(), **more)


def _header(frame: bytes, spec: Spec | None) -> Iterator[FieldView]:
    for offset, size, name, label in (
        (0, 1, "start", "起始标志"),
        (1, 1, "length", "数据长度"),
        (2, 2, "sequence", "序列号域"),
        (4, 1, "encryption", "加密标志"),
        (5, 1, "type", "帧类型标志"),
    ):
        raw = frame[offset : offset + size]
        if not raw:
            return
        value: Any = raw.hex().upper() if name in ("start", "sequence") else raw[0]
        meaning = ""
        if name == "start":
            meaning = "" if raw[0] == START else "not a start byte"
        elif name == "length":
            found = len(frame) - 4
            meaning = "" if raw[0] == found else f"{found} would fit the bytes that are here"
        elif name == "encryption":
            meaning = {0: "plain", 1: "3DES"}.get(raw[0], "unknown")
        elif name == "type":
            value, meaning = f"0x{raw[0]:02X}", spec.name if spec else "unknown"
        if len(raw) < size:
            meaning = "cut off"
        yield _view("header", offset, raw, name, label, value=value, meaning=meaning)


def _body(spec: Spec, body: bytes) -> Iterator[FieldView]:
    place = 0
    for field in spec.fixed.values():
        raw = body[place : place + field.size]
        if not raw:
            return
        yield _field_view(field, field.name, HEADER_SIZE + place, raw)
        place += field.size
    if spec.tail:
        for view in _tail(spec.tail, HEADER_SIZE + place, body[place:]):
            yield view
            place = view.offset + view.length - HEADER_SIZE
    if body[place:]:
        yield _view("extra", HEADER_SIZE + place, body[place:], "extra", "")


def _tail(tail: Tail, offset: int, body: bytes) -> Iterator[FieldView]:
    size = len(body) // tail.item_size * tail.item_size
    if tail.count:
        if not body:
            return
        yield _view("body", offset, body[:1], tail.count, "", value=body[0])
        size = body[0] * tail.item_size
        offset, body = offset + 1, body[1:]
    body = body[:size]
    if not isinstance(tail, Listed):
        if body:
            yield _field_view(tail, tail.name, offset, body)
        return
    for start in range(0, len(body), tail.item_size):
        place = start
        for name, field in tail.items.items():
            raw = body[place : place + field.size]
            if not raw:
                return
            named = f"{tail.name}[{start // tail.item_size}].{name}"
            yield replace(_field_view(field, named, offset + place, raw), label=tail.label)
            place += field.size


def _field_view(field: Field, name: str, offset: int, raw: bytes) -> FieldView:
    if not isinstance(field, Tail) and len(raw) < field.size:
        return _view(
            "body", offset, raw, name, field.label, meaning=f"cut off: {len(raw)} of {field.size} bytes"
        )
    held = int.from_bytes(raw, "little") if isinstance(field, Uint) else raw
    value = held if isinstance(field, Coded) else field.json(held)
    return _view(
        "body", offset, raw, name, field.label, value=value, unit=field.unit, meaning=_meaning(field, held)
    )


def _meaning(field: Field, held: Any) -> str:
    """Return what a value says beyond itself."""
    if isinstance(field, Groups):
        told = [str(word) for word in field_words(field, held)]
        numbers = [f"{g.name} {g.value(held)}" for g in field.groups if g.codes is None and not g.words]
        return "; ".join(told + numbers)
    if isinstance(field, Uint):
        if field.zero_is_none and held == 0:
            return "not available"
        return "; ".join(str(word) for word in field_words(field, held))
    if isinstance(field, Vin):
        return "" if field.value(held) else "none"
    if isinstance(field, Time):
        return "" if field.value(held) else "no time"
    return ""
