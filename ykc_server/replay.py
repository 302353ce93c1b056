"""Play the pile's side of an exported conversation to a gateway again, and compare what it answers.

Frames of the platform in the export are not sent: they are what the answers are compared with, kind by kind and in
order, without sequences and times, which are new every time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ykc_server.inspector import describe, parse_hex
from ykc_server.masking import spec_of
from ykc_server.protocol import FrameBuffer, ProtocolError, check_frame
from ykc_server.protocol.crc import crc16
from ykc_server.protocol.message import CRC_SIZE, HEADER_SIZE

LONGEST_PAUSE_S = 60.0
PILE_SIZE = 7


class BadExport(ValueError):
    """A line of the file is not one of an export; the text says which and why."""


@dataclass(frozen=True)
class Line:
    """One frame of an export."""

    at: datetime
    is_down: bool
    pile_code: str
    frame: bytes
    masked: bool = False


@dataclass
class Played:
    """What came of it: frames sent, those that the gateway sent, and the differences in words."""

    sent: int = 0
    received: list[bytes] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    closed: bool = False


def read_export(lines: Iterable[str]) -> list[Line]:
    """Read an export of JSON lines, oldest first. Raises BadExport."""
    found = []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
            found.append(
                Line(
                    at=datetime.fromisoformat(row["at"]),
                    is_down={"up": False, "down": True}[row["direction"]],
                    pile_code=str(row["pile_code"]),
                    frame=parse_hex(row["hex"]),
                    masked=bool(row.get("masked")),
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadExport(f"line {number}: {error or type(error).__name__}") from None
    if not any(not line.is_down for line in found):
        raise BadExport("no frame of a pile in it")
    return sorted(found, key=lambda line: line.at)


def restamp(frame: bytes, old: str, new: str) -> bytes:
    """Return a frame with another pile code, also at the head of transaction numbers; its CRC as good as before."""
    spec = spec_of(frame)
    if spec is None or old == new:
        return frame
    before, after = bytes.fromhex(old), bytes.fromhex(new)
    changed = bytearray(frame)
    place = HEADER_SIZE
    for wire in spec.fixed.values():
        if bytes(changed[place : place + PILE_SIZE]) == before and wire.size >= PILE_SIZE:
            changed[place : place + PILE_SIZE] = after
        place += wire.size
    try:
        crc = check_frame(frame)
    except ProtocolError:
        return bytes(changed)
    if crc != "bad":
        order: Any = "little" if crc == "ok" else "big"
        changed[-CRC_SIZE:] = crc16(bytes(changed[2:-CRC_SIZE])).to_bytes(CRC_SIZE, order)
    return bytes(changed)


async def play(
    lines: list[Line],
    *,
    host: str,
    port: int,
    speed: float = 1.0,
    wait_s: float = 3.0,
    pile_code: str = "",
    told: Callable[[str], None] = lambda text: None,
) -> Played:
    """Send the pile's frames over a socket at their own pace (`speed` times as fast; 0: at once).

    Pauses are a minute at most. Afterwards answers are awaited until all recorded ones are there, `wait_s` at most.
    A gateway that closes the connection ends it. Raises OSError when none listens.
    """
    played = Played()
    ups = [line for line in lines if not line.is_down]
    downs = [_stamped(line, pile_code) for line in lines if line.is_down]
    reader, writer = await asyncio.open_connection(host, port)
    listener = asyncio.create_task(_listen(reader, played, told))
    try:
        before = ups[0].at
        for line in ups:
            pause = (line.at - before).total_seconds() / speed if speed else 0.0
            before = line.at
            if pause > 0:
                await asyncio.wait([listener], timeout=min(pause, LONGEST_PAUSE_S))
            if listener.done():
                break
            frame = _stamped(line, pile_code)
            told(f"-> {name_of(frame, 'up')}{'  (secrets were taken out)' if line.masked else ''}")
            writer.write(frame)
            await writer.drain()
            played.sent += 1
            if not speed and played.sent == 1:  # a gateway lets only so many frames wait behind the login
                await _until(listener, lambda: bool(played.received), wait_s)
        await _until(listener, lambda: len(played.received) >= len(downs), wait_s)
    except ConnectionError:
        played.closed = True
    finally:
        played.closed = played.closed or listener.done()
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        writer.close()
    played.differences = compare(downs, played.received)
    return played


def compare(recorded: list[bytes], received: list[bytes]) -> list[str]:
    """Return the differences between recorded and received frames of the platform, in words; none if alike."""
    found = []
    for kind in sorted({frame[5] for frame in [*recorded, *received] if len(frame) >= HEADER_SIZE}):
        then, now = ([frame for frame in frames if frame[5] == kind] for frames in (recorded, received))
        name = name_of((then or now)[0], "down")
        for number, (old, new) in enumerate(zip(then, now, strict=False), 1):
            if changes := _changes(old, new):
                found.append(f"{name} number {number}: {changes}")
        if len(then) != len(now):
            found.append(f"{name}: {len(then)} recorded, {len(now)} received")
    return found


def name_of(frame: bytes, direction: str) -> str:
    """Return the type and name of a frame, such as "0x13 realtime"."""
    if len(frame) < HEADER_SIZE:
        return "bytes too short for a frame"
    spec = spec_of(frame, direction)
    return f"0x{frame[5]:02X} {spec.name if spec else 'unknown'}"


def _stamped(line: Line, pile_code: str) -> bytes:
    return restamp(line.frame, line.pile_code, pile_code) if pile_code else line.frame


async def _until(listener: asyncio.Task[None], done: Callable[[], bool], wait_s: float) -> None:
    end = asyncio.get_running_loop().time() + wait_s
    while not done() and not listener.done() and asyncio.get_running_loop().time() < end:
        await asyncio.wait([listener], timeout=0.02)


async def _listen(reader: asyncio.StreamReader, played: Played, told: Callable[[str], None]) -> None:
    buffer = FrameBuffer()
    while data := await reader.read(65536):
        for frame in buffer.feed(data):
            played.received.append(frame)
            told(f"<- {name_of(frame, 'down')}")


def _changes(old: bytes, new: bytes) -> str:
    try:
        then, now = describe(old)["fields"], describe(new)["fields"]
    except ProtocolError:
        return "" if old == new else f"{old.hex()} → {new.hex()}"
    return ", ".join(
        f"{name} {then.get(name)} → {value}"
        for name, value in now.items()
        if value != then.get(name) and not name.endswith("time")
    )
