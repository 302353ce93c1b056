"""Declared messages: a class is the table of its body, in wire order.

    @message(0x35, "remote_stop_ack", Direction.UP)
    class RemoteStopAck(Message, gc=False):
        pile_no: PileNo
        gun_no: GunNo
        result: Annotated[int, Coded(Success)]
        fail_reason: Annotated[int, Coded(StopFailure)]

At import the decorator turns the table into one `struct.Struct` with a generated decoder and encoder, which costs
what code written by hand would. The object is a `msgspec.Struct` outside the garbage collector's sight; its
attributes hold the raw form, and `value()` / `values()` / `make()` speak the domain form (see `fields`).

A last field that is a `Tail` (a list, a text with its length) makes the body variable. A second class for the same
code is a variant: it is taken when the body has exactly its length, the first class in all other cases.

`@message(…, label)` and strings among a field's annotations are the specification's own words, shown as quotations.
"""

import struct
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, ClassVar, Self, TypeVar, get_type_hints

import msgspec

from ykc_server.protocol.crc import crc16
from ykc_server.protocol.errors import EncryptedFrame, FieldError, ShortBody, UnknownFrame
from ykc_server.protocol.fields import Field, Groups, Tail

START = 0x68
HEADER_SIZE = 6
CRC_SIZE = 2
MAX_BODY = 255 - 4

_HEADS = [bytes((START, length)) for length in range(256)]
pack_crc = struct.Struct("<H").pack
_pack_swapped_crc = struct.Struct(">H").pack


class Direction(StrEnum):
    UP = "up"  # pile to platform
    DOWN = "down"


@dataclass(frozen=True)
class Spec:
    """What the decorator knows of a message class; `body_size` in bytes, with an empty `tail`."""

    kind: int
    name: str
    direction: Direction
    fields: Mapping[str, Field]
    body_size: int
    label: str = ""

    @property
    def fixed(self) -> dict[str, Field]:
        """The fields with a place of their own."""
        return {name: field for name, field in self.fields.items() if not isinstance(field, Tail)}

    @property
    def tail(self) -> Tail | None:
        """The field of variable length, always the last one."""
        last = list(self.fields.values())[-1]
        return last if isinstance(last, Tail) else None


class Message(msgspec.Struct, gc=False, kw_only=True):
    """A decoded frame: raw fields of the body, its sequence number, and bytes after the declared body."""

    spec: ClassVar[Spec]
    _exact: ClassVar[Callable[[bytes], "Message"]]
    _pack: ClassVar[Callable[["Message", bytes], bytes]]

    sequence: bytes = b"\0\0"
    extra: bytes = b""

    @classmethod
    def make(cls, **values: Any) -> Self:
        """Build a message from domain or JSON forms of all its fields (`sequence` and `extra` as bytes).

        Raises:
            FieldError: a field is missing, unknown, or its value does not fit.
        """
        raw: dict[str, Any] = {name: values.pop(name) for name in ("sequence", "extra") if name in values}
        for name, field in cls.spec.fields.items():
            if name not in values:
                raise FieldError(name, "is missing")
            raw[name] = field.raw(values.pop(name))
        if values:
            raise FieldError(next(iter(values)), f"is no field of {cls.spec.name}")
        return cls(**raw)

    def value(self, name: str) -> Any:
        """Return one field in its domain form."""
        return self.spec.fields[name].value(getattr(self, name))

    def values(self) -> dict[str, Any]:
        """Return all fields in their domain forms, in wire order."""
        return {name: field.value(getattr(self, name)) for name, field in self.spec.fields.items()}

    def parts(self, name: str) -> dict[str, Any]:
        """Return the groups of bits of one field, by their names, in their domain forms."""
        field = self.spec.fields[name]
        if not isinstance(field, Groups):
            raise FieldError(name, "has no groups of bits")
        return field.parts(getattr(self, name))

    def encode(self, sequence: bytes | None = None, crc_swapped: bool = False) -> bytes:
        """Return the whole frame; `sequence` (2 bytes) defaults to the message's own.

        Raises:
            FieldError: a raw attribute was set to something that does not fit.
        """
        sequence = self.sequence if sequence is None else sequence
        if len(sequence) != 2:
            raise FieldError("sequence", "needs 2 bytes")
        try:
            core = self._pack(sequence)
        except (struct.error, OverflowError, TypeError, AttributeError) as error:
            raise FieldError(self.spec.name, str(error)) from None
        if self.extra:
            core += self.extra
        if len(core) > 255:
            raise FieldError("extra", f"body is longer than {MAX_BODY} bytes")
        return seal(core, crc_swapped)


def seal(core: bytes, crc_swapped: bool = False) -> bytes:
    """Put start byte, length and CRC around `core` (sequence to end of body) (YKC V1.6)."""
    crc = crc16(core)
    return _HEADS[len(core)] + core + (_pack_swapped_crc(crc) if crc_swapped else pack_crc(crc))


Decoder = Callable[[bytes], Message]
MessageType = TypeVar("MessageType", bound=type[Message])

BY_KIND: dict[int, list[type[Message]]] = {}
BY_NAME: dict[str, type[Message]] = {}


def _refuse_encrypted(frame: bytes) -> None:
    if frame[4]:
        reason = "and no cipher is configured" if frame[4] == 1 else "is not known"
        raise EncryptedFrame(f"encryption flag 0x{frame[4]:02X} {reason}", offset=4, frame=frame)


def _refuse_unknown(frame: bytes) -> Message:
    _refuse_encrypted(frame)
    raise UnknownFrame(f"unknown frame type 0x{frame[5]:02X}", offset=5, frame=frame)


DECODE: list[Decoder] = [_refuse_unknown] * 256


def decode(frame: bytes) -> Message:
    """Decode one whole frame as `FrameBuffer` hands it out (start, length and CRC already checked).

    Raises:
        UnknownFrame: the type has no table.
        ShortBody: the body ends before the last field.
        EncryptedFrame: the encryption flag is not 0.
    """
    return DECODE[frame[5]](frame)


def message(
    kind: int, name: str, direction: Direction, label: str = "", *, after: str = ""
) -> Callable[[MessageType], MessageType]:
    """Register a table of fields for frame type `kind` and compile it.

    The fields of a class that extends another table follow those on the wire, or stand behind the field `after`.
    """

    def register(cls: MessageType) -> MessageType:
        fields = _read_table(cls, after)
        body_size = sum(field.size for field in fields.values())
        if body_size > MAX_BODY or name in BY_NAME:
            raise TypeError(f"{cls.__name__}: body too long, or the name {name} is taken")
        cls.spec = Spec(kind, name, direction, fields, body_size, label)
        cls._exact, cls._pack = _compile(cls)
        variants = BY_KIND.setdefault(kind, [])
        variants.append(cls)
        BY_NAME[name] = cls
        DECODE[kind] = cls._exact if len(variants) == 1 else _choose(variants)
        return cls

    return register


def _read_table(cls: type[Message], after: str) -> dict[str, Field]:
    fields = {}
    for name, hint in get_type_hints(cls, include_extras=True).items():
        notes = getattr(hint, "__metadata__", ())
        for note in notes:
            if isinstance(note, Field):
                # One kind of field serves many tables; the copy knows its name for errors.
                fields[name] = copy(note)
                fields[name].name = name
                fields[name].label = next((text for text in reversed(notes) if isinstance(text, str)), "")
    wire_order = [name for name in cls.__struct_fields__ if name not in ("sequence", "extra")]
    if set(wire_order) != set(fields):
        raise TypeError(f"{cls.__name__}: every field needs Annotated[…, Field]")
    if after:
        own = [name for name in wire_order if name in cls.__annotations__]
        others = [name for name in wire_order if name not in own]
        place = others.index(after) + 1
        wire_order = others[:place] + own + others[place:]
    if any(isinstance(fields[name], Tail) for name in wire_order[:-1]):
        raise TypeError(f"{cls.__name__}: only the last field can have a variable length")
    return {name: fields[name] for name in wire_order}


def _compile(cls: type[Message]) -> tuple[Decoder, Callable[[Message, bytes], bytes]]:
    """Generate decoder and packer as source text, as `dataclasses` and `namedtuple` do."""
    fields = cls.spec.fixed
    tail = cls.spec.tail
    formats = "".join(field.format for field in fields.values())
    texts = [name for name, field in fields.items() if field.format.endswith("s")]
    # Integers of 3 and 5 bytes, which struct does not know, travel as a low and a high part.
    low_bits = {
        name: 8 * (field.size - 1)
        for name, field in fields.items()
        if len(field.format) == 2 and name not in texts
    }
    unpacked = ", ".join(f"{name}, {name}_high" if name in low_bits else name for name in fields)
    # Arguments go by position, which is the class's order, not always that of the wire.
    taken = ", ".join(
        f"{name} | {name}_high << {low_bits[name]}" if name in low_bits else name
        for name in cls.__struct_fields__
        if name in fields
    )
    given = ", ".join(
        f"self.{name} & {(1 << low_bits[name]) - 1}, self.{name} >> {low_bits[name]}"
        if name in low_bits
        else f"self.{name}"
        for name in fields
    )
    # struct cuts and pads byte strings silently, so their sizes are checked here.
    wrong_size = " or ".join(f"len(self.{name}) != {fields[name].size}" for name in texts) or "False"
    if tail:
        comparison, unpack, tail_bytes = "<", "unpack_from", ""
        taken += ", **_take(frame)"
        end = f" + _tail.head(self.{tail.name}) + self.{tail.name}"
    else:
        comparison, unpack, tail_bytes, end = "!=", "unpack", "2x", ""
    source = f"""
def decode(frame):
    if len(frame) {comparison} {HEADER_SIZE + cls.spec.body_size + CRC_SIZE} or frame[4]:
        return _odd(decode, frame)
    sequence, {unpacked} = _unpack(frame)
    return _cls({taken}, sequence=sequence)

def pack(self, sequence):
    if {wrong_size}:
        _refuse_sizes(self)
    return _pack(sequence, _head, {given}){end}
"""
    scope: dict[str, Any] = {
        "_cls": cls,
        "_unpack": getattr(struct.Struct(f"<2x2s2x{formats}{tail_bytes}"), unpack),
        "_pack": struct.Struct(f"<2s2s{formats}").pack,
        "_head": bytes((0, cls.spec.kind)),
        "_odd": partial(_decode_odd, cls.spec),
        "_tail": tail,
        "_take": partial(_take_tail, cls.spec),
        "_refuse_sizes": _refuse_sizes,
    }
    exec(source, scope)  # noqa: S102 -- built from the table above, from nothing that came over a wire
    return scope["decode"], scope["pack"]


def _decode_odd(spec: Spec, exact: Decoder, frame: bytes) -> Message:
    """Decode a frame that is encrypted or of another length: keep what is more, refuse what is less."""
    _refuse_encrypted(frame)
    end = HEADER_SIZE + spec.body_size
    if len(frame) - CRC_SIZE < end:
        raise ShortBody(
            f"{spec.name} needs a body of {spec.body_size} bytes, got {len(frame) - HEADER_SIZE - CRC_SIZE}",
            offset=len(frame) - CRC_SIZE,
            frame=frame,
        )
    decoded = exact(frame[:end] + bytes(CRC_SIZE))
    decoded.extra = frame[end:-CRC_SIZE]
    return decoded


def _take_tail(spec: Spec, frame: bytes) -> dict[str, bytes]:
    """Return the items of a body of variable length, and what follows them."""
    tail = spec.tail
    assert tail is not None
    start, end = HEADER_SIZE + spec.body_size, len(frame) - CRC_SIZE
    size = (end - start) // tail.item_size * tail.item_size
    if tail.count:
        size = frame[start - 1] * tail.item_size
        if start + size > end:
            needed = spec.body_size + size
            raise ShortBody(
                f"{spec.name} with {tail.count} {frame[start - 1]} needs a body of {needed} bytes, "
                f"got {end - HEADER_SIZE}",
                offset=end,
                frame=frame,
            )
    return {tail.name: frame[start : start + size], "extra": frame[start + size : end]}


def _refuse_sizes(raw: Message) -> None:
    for name, field in raw.spec.fixed.items():
        held = getattr(raw, name)
        if isinstance(held, bytes) and len(held) != field.size:
            raise FieldError(name, f"needs {field.size} bytes")
    raise FieldError(raw.spec.name, "a field has the wrong size")


def _choose(variants: list[type[Message]]) -> Decoder:
    """Return a decoder that takes the table with exactly the frame's length, else the first one declared.

    Taking any longer table that fits would read the unknown bytes of a vendor's derived frame as another layout,
    which in a record means another bill.
    """
    by_length = {HEADER_SIZE + cls.spec.body_size + CRC_SIZE: cls._exact for cls in variants}
    first = by_length[HEADER_SIZE + variants[0].spec.body_size + CRC_SIZE]
    return lambda frame: by_length.get(len(frame), first)(frame)
