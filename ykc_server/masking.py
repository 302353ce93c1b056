"""What a frame is by its bytes alone, and the same frame without its secrets."""

from __future__ import annotations

from ykc_server.protocol import BY_KIND, Direction, ProtocolError, check_frame
from ykc_server.protocol.crc import crc16
from ykc_server.protocol.message import CRC_SIZE, HEADER_SIZE, Spec


def spec_of(frame: bytes, direction: str = "") -> Spec | None:
    """Return the declaration that a frame's bytes fit best."""
    if len(frame) < HEADER_SIZE:
        return None
    specs = [message.spec for message in BY_KIND.get(frame[5], ())]
    if direction:
        ours = Direction(direction)
        specs = [spec for spec in specs if spec.direction == ours] or specs
    size = len(frame) - HEADER_SIZE - CRC_SIZE
    return next((spec for spec in specs if spec.body_size == size), specs[0] if specs else None)


def secret_places(frame: bytes) -> list[slice]:
    """Return where passwords and user names stand in a frame, also in one that is cut off."""
    places: list[slice] = []
    if len(frame) < HEADER_SIZE:
        return places
    for message in BY_KIND.get(frame[5], ()):
        place = HEADER_SIZE
        for wire in message.spec.fixed.values():
            if wire.secret and place < len(frame):
                places.append(slice(place, min(place + wire.size, len(frame))))
            place += wire.size
    return places


def masked(frame: bytes) -> bytes:
    """Return a frame with zeros in place of its secrets, its CRC again good if it was."""
    places = secret_places(frame)
    if not places:
        return frame
    try:
        crc = check_frame(frame)
    except ProtocolError:
        crc = "bad"
    hidden = bytearray(frame)
    for place in places:
        hidden[place] = bytes(len(hidden[place]))
    if crc != "bad":
        order = "little" if crc == "ok" else "big"
        hidden[-CRC_SIZE:] = crc16(bytes(hidden[2:-CRC_SIZE])).to_bytes(CRC_SIZE, order)  # type: ignore[arg-type]
    return bytes(hidden)
