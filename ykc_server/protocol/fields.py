"""Field kinds: how a few bytes of a body become a value, and back.

Each field has three forms:

* raw   - what the message object holds: `int` for BIN and bit fields, `bytes` for everything else;
* value - what domain code wants: Decimal, str, aware datetime, enum member, tuple of ints;
* json  - what `manage.py ykc decode` prints.

`Field.raw()` takes the last two forms, so that whatever was printed can be encoded again.
The rules are those of YKC V1.6 and of the captures that correct it.
"""

import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, IntFlag
from typing import Any

from ykc_server.protocol.errors import FieldError

# China has had one zone without summer time since 1992, and the clock of a pile knows no other: a fixed offset
# says the same as the zone database and needs none.
CHINA = timezone(timedelta(hours=8), "Asia/Shanghai")

_INT_FORMATS = {1: "B", 2: "H", 3: "HB", 4: "I", 5: "IB", 8: "Q"}
_HEX = re.compile(r"[0-9A-Fa-f]+")
_ESCAPE = re.compile(r"\\x([0-9A-Fa-f]{2})")


class Field:
    """One field of a body. `size` in bytes; `format` its `struct` code.

    `name`, and `label`, the specification's own word for it, are set by its message. A `secret` field is not shown
    by the inspector.
    """

    name: str = ""
    label: str = ""
    unit: str = ""
    secret: bool = False

    def __init__(self, size: int) -> None:
        self.size = size

    @property
    def format(self) -> str:
        return f"{self.size}s"

    def value(self, raw: Any) -> Any:
        """Turn the raw form into the domain form."""
        raise NotImplementedError

    def json(self, raw: Any) -> Any:
        """Turn the raw form into what JSON can hold."""
        return self.value(raw)

    def raw(self, value: Any) -> Any:
        """Turn a domain or JSON form into the raw form.

        Raises:
            FieldError: the value does not fit.
        """
        raise NotImplementedError

    def fail(self, reason: str) -> FieldError:
        return FieldError(self.name, reason)


class Uint(Field):
    """BIN: unsigned, low byte first.

    `places` decimal digits are implied (225.1 V is 2251 with one place) and make the value a Decimal that keeps
    them all. `offset` is added after that. A raw 0 means "not available" where `zero_is_none` is set.
    """

    def __init__(
        self, size: int, *, places: int = 0, offset: int = 0, zero_is_none: bool = False, unit: str = ""
    ) -> None:
        super().__init__(size)
        self.unit = unit
        self.places = places
        self.offset = offset
        self.zero_is_none = zero_is_none

    @property
    def format(self) -> str:
        return _INT_FORMATS[self.size]

    def value(self, raw: int) -> int | Decimal | None:
        if self.zero_is_none and raw == 0:
            return None
        if self.places:
            scaled = Decimal(raw).scaleb(-self.places)
            return scaled + self.offset if self.offset else scaled
        return raw + self.offset

    def json(self, raw: int) -> int | str | None:
        value = self.value(raw)
        return str(value) if isinstance(value, Decimal) else value

    def raw(self, value: Any) -> int:
        if value is None and self.zero_is_none:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
            raise self.fail(f"{value!r} is not an int, Decimal or decimal string")
        try:
            scaled = (Decimal(value) - self.offset).scaleb(self.places)
            fits = 0 <= scaled < 1 << (8 * self.size)
        except ArithmeticError:
            raise self.fail(f"{value!r} is not a number") from None
        if not fits:
            raise self.fail(f"{value} does not fit {self.size} bytes")
        if scaled != int(scaled):
            raise self.fail(f"{value} has more than {self.places} decimal places")
        return int(scaled)


class Coded(Uint):
    """One byte that stands for a meaning. Codes outside the table stay plain ints (JSON name null)."""

    def __init__(self, codes: type[IntEnum]) -> None:
        super().__init__(1)
        self.codes = codes

    def value(self, raw: int) -> int:
        try:
            return self.codes(raw)
        except ValueError:
            return raw

    def json(self, raw: int) -> dict[str, Any]:  # type: ignore[override]
        value = self.value(raw)
        return {"value": raw, "name": value.name.lower() if isinstance(value, IntEnum) else None}

    def raw(self, value: Any) -> int:
        if isinstance(value, Mapping):
            if "value" not in value:
                raise self.fail('needs {"value": …}')
            value = value["value"]
        if isinstance(value, str):
            if value.upper() not in self.codes.__members__:
                raise self.fail(
                    f"{value!r} is not one of {', '.join(n.lower() for n in self.codes.__members__)}"
                )
            return self.codes[value.upper()].value
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fail(f"{value!r} is not a code")
        return super().raw(value)


class Bits(Uint):
    """Bit field, low byte first; JSON form "0x0000"."""

    def __init__(self, size: int, flags: type[IntFlag] | None = None) -> None:
        super().__init__(size)
        self.flags = flags

    def value(self, raw: int) -> int:
        return self.flags(raw) if self.flags else raw

    def json(self, raw: int) -> str:
        return f"0x{raw:0{2 * self.size}X}"

    def raw(self, value: Any) -> int:
        if isinstance(value, str):
            try:
                value = int(value, 16)
            except ValueError:
                raise self.fail(f"{value!r} is not a hexadecimal number") from None
        return super().raw(value)


@dataclass(frozen=True)
class Group:
    """Some bits of a field: `width` bits from bit `shift` upward.

    `words` says in English what they tell of, `codes` what their values mean, `normal` which value is not worth a
    word. Without codes they are a number with `places` implied decimal digits.
    """

    name: str
    shift: int
    width: int = 2
    words: str = ""
    codes: type[IntEnum] | None = None
    normal: int | None = 0
    places: int = 0

    def value(self, raw: int) -> int | Decimal:
        """Return the group's value out of the whole field: an enum member, int or Decimal."""
        bits = raw >> self.shift & (1 << self.width) - 1
        if self.codes is not None:
            return self.codes(bits) if bits in self.codes._value2member_map_ else bits
        return Decimal(bits).scaleb(-self.places) if self.places else bits


class Groups(Bits):
    """Bit field made of groups of bits; the value is the plain int, `parts` takes it apart."""

    def __init__(self, size: int, *groups: Group) -> None:
        super().__init__(size)
        self.groups = groups

    def parts(self, raw: int) -> dict[str, int | Decimal]:
        """Return the value of every group by its name; reserved bits are left out."""
        return {group.name: group.value(raw) for group in self.groups}


class Hex(Field):
    """RAW: bytes shown as upper-case hex in wire order. Shorter values are padded with zeros on the left."""

    def value(self, raw: bytes) -> str:
        return raw.hex().upper()

    def raw(self, value: Any) -> bytes:
        digits = 2 * self.size
        if not isinstance(value, str) or not _HEX.fullmatch(value):
            raise self.fail(f"{value!r} is not a string of hex digits")
        if len(value) > digits:
            raise self.fail(f"{value!r} has more than {digits} digits")
        return bytes.fromhex(value.zfill(digits))


class Bcd(Hex):
    """Decimal digits, two per byte in reading order, left-padded with zeros.

    Hex digits are let through: real piles send them in SIM numbers and billing model numbers (F002), and a
    number has to be echoed as it came. A plain int is taken too (gun 10 is the byte 0x10).
    """

    def raw(self, value: Any) -> bytes:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            value = str(value)
        return super().raw(value)


def _escaped(raw: bytes) -> str:
    text = raw.decode("latin-1")
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02X}" for byte in raw)


def _unescaped(field: Field, value: Any) -> bytes:
    if not isinstance(value, str):
        raise field.fail(f"{value!r} is not a string")
    try:
        return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), value).encode("latin-1")
    except UnicodeEncodeError:
        raise field.fail(f"{value!r} is not ASCII") from None


class Ascii(Field):
    """Text, right-padded with 00; trailing 00 and spaces are not part of the value.

    Bytes that are not printable ASCII, and the backslash, appear as \\xNN: nothing is lost, and no NUL reaches
    a database column.
    """

    def __init__(self, size: int, *, secret: bool = False) -> None:
        super().__init__(size)
        self.secret = secret

    def value(self, raw: bytes) -> str:
        return _escaped(raw.rstrip(b"\0 "))

    def raw(self, value: Any) -> bytes:
        raw = _unescaped(self, value)
        if len(raw) > self.size:
            raise self.fail(f"{value!r} is longer than {self.size} characters")
        return raw.ljust(self.size, b"\0")


class Vin(Ascii):
    """Vehicle identification number, 17 characters; "" for none, which some piles write as ASCII zeros.

    In some frames (31, A1) the characters come last first; value and JSON have them in reading order.
    """

    def __init__(self, *, last_first: bool = False) -> None:
        super().__init__(17)
        self.last_first = last_first

    def value(self, raw: bytes) -> str:
        text = self.json(raw)
        return text if text.strip("0") else ""

    def json(self, raw: bytes) -> str:
        return super().value(raw[::-1].lstrip(b"\0") if self.last_first else raw)

    def raw(self, value: Any) -> bytes:
        raw = super().raw(value)
        return raw.rstrip(b"\0")[::-1].ljust(self.size, b"\0") if self.last_first else raw


class Time(Field):
    """CP56Time2a in China's local time; the value is an aware datetime, None when the bytes are no time.

    The invalid, summer time and weekday bits are masked: piles fill them in as they like. Written with weekday 0.
    In JSON zeros are null, and other bytes that are no time stay hex, so that nothing is lost.
    """

    def __init__(self) -> None:
        super().__init__(7)

    def value(self, raw: bytes) -> datetime | None:
        second, millisecond = divmod(raw[0] | raw[1] << 8, 1000)
        try:
            return datetime(
                2000 + (raw[6] & 0x7F),
                raw[5] & 0x0F,
                raw[4] & 0x1F,
                raw[3] & 0x1F,
                raw[2] & 0x3F,
                second,
                1000 * millisecond,
                tzinfo=CHINA,
            )
        except ValueError:
            return None

    def json(self, raw: bytes) -> str | None:
        value = self.value(raw)
        if value is not None:
            return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds")
        return raw.hex().upper() if any(raw) else None

    def raw(self, value: Any) -> bytes:
        if value is None:
            return bytes(7)
        if isinstance(value, str):
            if len(value) == 14:
                try:
                    return bytes.fromhex(value)
                except ValueError:
                    pass
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise self.fail(f"{value!r} is not an ISO 8601 time") from None
        if not isinstance(value, datetime) or value.utcoffset() is None:
            raise self.fail(f"{value!r} is not a time with offset")
        local = value.astimezone(CHINA)
        if not 2000 <= local.year <= 2127:
            raise self.fail(f"the year {local.year} cannot be written")
        milliseconds = local.second * 1000 + local.microsecond // 1000
        return milliseconds.to_bytes(2, "little") + bytes(
            (local.minute, local.hour, local.day, local.month, local.year - 2000)
        )


class Bytes(Field):
    """A fixed number of one-byte numbers; the value is a tuple, in JSON a list."""

    def value(self, raw: bytes) -> tuple[int, ...]:
        return tuple(raw)

    def json(self, raw: bytes) -> list[int]:
        return list(raw)

    def raw(self, value: Any) -> bytes:
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise self.fail(f"{value!r} is not a list")
        try:
            raw = bytes(value)
        except (TypeError, ValueError):
            raise self.fail("needs numbers from 0 to 255") from None
        if len(raw) != self.size:
            raise self.fail(f"needs {self.size} numbers, not {len(raw)}")
        return raw


class Tail(Field):
    """The variable end of a body: items of `item_size` bytes, at most `max_items`, `size` counts what is always there.

    With `count` one byte named so says how many follow; it is worked out when the frame is encoded. Without it
    items go on to the end of the body. More items than `max_items` are read, but not sent.
    """

    def __init__(self, item_size: int, max_items: int, count: str = "") -> None:
        super().__init__(1 if count else 0)
        self.item_size = item_size
        self.max_items = max_items
        self.count = count

    def head(self, raw: bytes) -> bytes:
        """Return what stands in front of the items `raw`: their count, or nothing.

        Raises:
            FieldError: half an item, or more than `max_items`.
        """
        items, rest = divmod(len(raw), self.item_size)
        if rest:
            raise self.fail(f"needs {self.item_size} bytes for each item, {rest} are left over")
        if items > self.max_items:
            raise self.fail(f"at most {self.max_items} fit one frame, not {items}")
        return bytes((items,)) if self.count else b""


class Listed(Tail):
    """A list of items with one or several fields.

    The value is a list: of plain values where an item has one field, else of dicts. JSON likewise.
    """

    def __init__(self, max_items: int, items: Mapping[str, Field], count: str = "") -> None:
        super().__init__(sum(field.size for field in items.values()), max_items, count)
        self.items: dict[str, Field] = {}
        for name, field in items.items():
            self.items[name] = copy(field)
            self.items[name].name = name

    def split(self, raw: bytes) -> list[dict[str, Any]]:
        """Return the raw fields of each item: int for BIN fields, bytes for the others."""
        found = []
        for start in range(0, len(raw), self.item_size):
            item: dict[str, Any] = {}
            for name, field in self.items.items():
                part = raw[start : start + field.size]
                item[name] = int.from_bytes(part, "little") if isinstance(field, Uint) else part
                start += field.size  # noqa: PLW2901 -- walks through the item
            found.append(item)
        return found

    def value(self, raw: bytes) -> list[Any]:
        return self._plain(
            [{name: self.items[name].value(part) for name, part in item.items()} for item in self.split(raw)]
        )

    def json(self, raw: bytes) -> list[Any]:
        return self._plain(
            [{name: self.items[name].json(part) for name, part in item.items()} for item in self.split(raw)]
        )

    def _plain(self, found: list[dict[str, Any]]) -> list[Any]:
        return found if len(self.items) > 1 else [next(iter(item.values())) for item in found]

    def raw(self, value: Any) -> bytes:
        if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
            raise self.fail(f"{value!r} is not a list")
        raw = b"".join(self._item(place, item) for place, item in enumerate(value))
        self.head(raw)
        return raw

    def _item(self, place: int, item: Any) -> bytes:
        if len(self.items) == 1 and not isinstance(item, Mapping):
            item = dict.fromkeys(self.items, item)
        if not isinstance(item, Mapping) or item.keys() != self.items.keys():
            raise self.fail(f"item {place} needs {', '.join(self.items)}")
        try:
            parts = [(field, field.raw(item[name])) for name, field in self.items.items()]
        except FieldError as error:
            raise self.fail(f"item {place}: {error}") from None
        return b"".join(
            part.to_bytes(field.size, "little") if isinstance(part, int) else part for field, part in parts
        )


class Text(Tail):
    """ASCII text of a length that the byte `count` in front of it says; escapes as in `Ascii`, but no padding."""

    def __init__(self, max_length: int, count: str) -> None:
        super().__init__(1, max_length, count)

    def value(self, raw: bytes) -> str:
        return _escaped(raw)

    def raw(self, value: Any) -> bytes:
        raw = _unescaped(self, value)
        self.head(raw)
        return raw
