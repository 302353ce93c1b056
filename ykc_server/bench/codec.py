"""The codec against what one would write by hand for the very same frames, and against `construct`.

Hand-written code cuts and checks one frame and fills the same objects, a frame type at a time. What it leaves out is
what a stream needs besides: a frame in two reads, two frames in one, rubbish between.
"""

from __future__ import annotations

import statistics
import struct
import time
from collections.abc import Callable
from typing import Any

from ykc_server.bench import load
from ykc_server.bench.goals import Result
from ykc_server.bench.stage import Stage
from ykc_server.protocol import DECODE, FrameBuffer
from ykc_server.protocol.crc import crc16
from ykc_server.protocol.messages import Heartbeat, Realtime, answer_heartbeat

CODE = "32990000000001"
CALLS = 40_000
CALLS_AT_ONCE = 200
HEARTBEAT = load.heartbeat(CODE, b"\x07\x08").request
REALTIME = load.realtime(CODE, charging=True, energy=100_000).encode(b"\x07\x08")

# --- By hand ----------------------------------------------------------------------------------------------

unpack_heartbeat = struct.Struct("<2x2s2x7ssB2x").unpack
unpack_realtime = struct.Struct("<2x2s2x16s7ssBBBHHB8sBBHHIIIH2x").unpack
pack_crc = struct.Struct("<H").pack


def heartbeat_by_hand(data: bytes) -> tuple[Heartbeat, bytes]:
    """Return a 0x03 as an object, and its 0x04."""
    if len(data) != 17 or data[0] != 0x68 or data[1] != 13 or data[4] or crc16(data[2:]):
        raise ValueError("no heartbeat")
    sequence, pile_no, gun_no, status = unpack_heartbeat(data)
    m = Heartbeat(pile_no, gun_no, status, sequence=sequence)
    core = sequence + b"\0\x04" + pile_no + gun_no + b"\0"
    return m, b"\x68\x0d" + core + pack_crc(crc16(core))


def realtime_by_hand(data: bytes) -> Realtime:
    """Return a 0x13 as an object."""
    if len(data) != 68 or data[0] != 0x68 or data[1] != 64 or data[4] or crc16(data[2:]):
        raise ValueError("no realtime data")
    sequence, *fields = unpack_realtime(data)
    return Realtime(*fields, sequence=sequence)


# --- Ours -------------------------------------------------------------------------------------------------


def heartbeat_of_ours(buffer: FrameBuffer) -> Callable[[bytes], tuple[Any, bytes]]:
    """Return the way of a 0x03 through buffer, decoder and answer."""

    def run(data: bytes) -> tuple[Any, bytes]:
        for frame in buffer.feed(data):
            m = DECODE[frame[5]](frame)
            return m, answer_heartbeat(frame)
        raise ValueError("no frame")

    return run


def realtime_of_ours(buffer: FrameBuffer) -> Callable[[bytes], Any]:
    """Return the way of a 0x13 through buffer and decoder."""

    def run(data: bytes) -> Any:
        for frame in buffer.feed(data):
            return DECODE[frame[5]](frame)
        raise ValueError("no frame")

    return run


# --- construct --------------------------------------------------------------------------------------------


def by_construct() -> tuple[Callable[[bytes], Any], Callable[[bytes], Any]]:
    """Return construct's parsers of 0x03 and 0x13, with the checksum checked."""
    import construct as c

    def frame(**fields: Any) -> Callable[[bytes], Any]:
        checked = c.RawCopy(
            c.Struct("sequence" / c.Bytes(2), "encryption" / c.Const(b"\0"), "kind" / c.Byte, **fields)
        )
        whole = c.Struct(
            "start" / c.Const(b"\x68"),
            "length" / c.Byte,
            "checked" / checked,
            "crc" / c.Checksum(c.Int16ul, crc16, c.this.checked.data),
        )
        return whole.parse

    u8, u16, u32 = c.Byte, c.Int16ul, c.Int32ul
    heartbeat = frame(pile_no=c.Bytes(7), gun_no=c.Bytes(1), gun_status=u8)
    realtime = frame(
        transaction_no=c.Bytes(16), pile_no=c.Bytes(7), gun_no=c.Bytes(1), status=u8, gun_homed=u8, gun_plugged=u8,
        output_voltage=u16, output_current=u16, cable_temp=u8, cable_code=c.Bytes(8), soc=u8, battery_max_temp=u8,
        charge_minutes=u16, remaining_minutes=u16, energy_kwh=u32, loss_energy_kwh=u32, amount=u32, hardware_fault=u16,
    )  # fmt: skip
    return heartbeat, realtime


# --- The measure ------------------------------------------------------------------------------------------


def time_us(function: Callable[[bytes], Any], data: bytes, calls: int) -> float:
    """Return microseconds per call: the best of many short runs, so that nobody else's work is in it."""
    best, some = float("inf"), range(CALLS_AT_ONCE)
    for _ in range(max(calls // CALLS_AT_ONCE, 5)):
        began = time.perf_counter()
        for _ in some:
            function(data)
        best = min(best, time.perf_counter() - began)
    return best * 1e6 / CALLS_AT_ONCE


async def codec(stage: Stage) -> list[Result]:
    """Cut, check, decode 0x03 (and answer it) and 0x13. The frame that fares worse counts."""
    calls = max(int(CALLS * min(stage.seconds / 2, 1.0)), 100)
    by_hand, by_library = await stage.on_server_core(
        lambda: [_rounds(stage, calls, which) for which in (0, 1)]
    )
    hand = max(by_hand.items(), key=lambda item: statistics.median(item[1][0]))
    library = min(by_library.items(), key=lambda item: statistics.median(item[1][0]))
    results = []
    for name, (frame, (ratios, ours, other)) in (("codec", hand), ("codec_construct", library)):
        value = statistics.median(ratios)
        results.append(Result(name, value, ratios, ours=ours, other=other, note=f"0x{frame:02x}, µs"))
    return results


def _rounds(stage: Stage, calls: int, against: int) -> dict[int, tuple[list[float], float, float]]:
    ours = {0x03: heartbeat_of_ours(FrameBuffer()), 0x13: realtime_of_ours(FrameBuffer())}
    frames = {0x03: HEARTBEAT, 0x13: REALTIME}
    if against:
        others: dict[int, Callable[[bytes], Any]] = dict(zip(frames, by_construct(), strict=True))
        ours = {0x03: realtime_of_ours(FrameBuffer()), 0x13: ours[0x13]}  # construct does not answer
        other_calls = calls // 5
    else:
        others = {0x03: heartbeat_by_hand, 0x13: realtime_by_hand}
        other_calls = calls
    figures = {}
    for kind, frame in frames.items():
        pairs = [
            (time_us(ours[kind], frame, calls), time_us(others[kind], frame, other_calls))
            for _ in range(stage.rounds)
        ]
        ratios = [other / own if against else own / other for own, other in pairs]
        own_us, other_us = (statistics.median(side) for side in zip(*pairs, strict=True))
        figures[kind] = (ratios, own_us, other_us)
        stage.note(
            f"codec 0x{kind:02x}: {own_us:.2f} µs against {'construct' if against else 'struct by hand'} {other_us:.2f}"
        )
    return figures
