"""What must hold for any bytes whatever. Anything but a ProtocolError that escapes is a finding."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from ykc_server import translate
from ykc_server.ingest import Record, make_row
from ykc_server.inspector import describe, inspect_frame
from ykc_server.protocol import (
    Dialect,
    FrameBuffer,
    Message,
    ProtocolError,
    check_frame,
    decode,
    learn,
    open_frame,
)
from ykc_server.protocol import messages as wire
from ykc_server.protocol.frame import MAX_FRAME
from ykc_server.protocol.message import seal
from ykc_server.protocol.words import words
from ykc_server.session import Gun, Session
from ykc_server.translate import connector_report

PATIENCE_LINES = 1_000
"""Lines of code that any input may cost, be it empty."""
LINES_PER_BYTE = 40
"""Lines of code that one more byte may cost: inspector, decoder and translator together look at it so often."""
STREAM_LINES_PER_BYTE = 12
MOMENT = datetime(2026, 11, 23, 8, tzinfo=UTC)


def a_gun() -> Gun:
    """A gun of a pile that is logged in."""
    session = Session(
        schema="t_alpha", pile_id=1, pile_code="32010600213533", connection_id="1-1",
        connectors=[(1, "01")], prices=None, since=0.0, dialect=Dialect(),
    )  # fmt: skip
    return session.guns[b"\x01"]


def _realtime(m: wire.Realtime) -> None:
    gun = a_gun()
    gun.last = m
    connector_report(gun)


TRANSLATORS: list[tuple[type[Message], Callable[[Any], Any]]] = [
    (wire.Login, translate.login_facts),
    (wire.Realtime, _realtime),
    (wire.RemoteStartAck, translate.start_answer),
    (wire.RemoteStopAck, translate.stop_answer),
    (wire.TimeSyncAck, translate.clock_offset_s),
    (wire.StartRequest, translate.start_request),
    (wire.ParallelRemoteStartAck, translate.parallel_start_answer),
    *(
        (cls, lambda m: translate.battery_report(a_gun(), m))
        for cls in (
            wire.BmsHandshake,
            wire.BmsConfig,
            wire.ChargingEnd,
            wire.BmsError,
            wire.BmsAbort,
            wire.ChargerAbort,
        )
    ),
]
RECORDS = (0x3B, 0x3D)


def try_frame(frame: bytes) -> str:
    """Have everything look at one frame. Returns how it ended: the code of the error, or decoded."""
    inspection = inspect_frame(frame, show_secrets=True)
    place = 0
    for view in inspection.fields:  # every byte once, in order
        assert view.offset == place, (view, place)
        place += view.length
    assert place == len(frame)
    try:
        crc = check_frame(frame)
        if frame[5] in RECORDS and not frame[4]:
            row = make_row(Record(None, a_gun().session, frame, MOMENT, 0.0))
            assert row.state == "stored" or row.reason
        message = decode(open_frame(frame, None))
    except ProtocolError as error:
        return _refused(frame, error, inspection.error)
    assert bool(inspection.error) is (crc == "bad")
    assert list(message.values()) == list(message.spec.fields)
    described = describe(frame)
    assert described["crc"] == crc
    words(message)
    learn(Dialect(), message, crc_swapped=crc == "swapped")
    # Nothing of a frame is lost on its way through a message.
    assert encoded(message) in (None, seal(frame[2:-2]))
    for cls, translator in TRANSLATORS:
        if isinstance(message, cls):
            translator(message)
    return "decoded"


def _refused(frame: bytes, error: ProtocolError, told: str) -> str:
    assert told
    assert 0 <= error.offset <= len(frame)
    assert error.frame == frame
    return error.code


def encoded(message: Message) -> bytes | None:
    """The frame again; None where more items came than may be sent."""
    tail = message.spec.tail
    if tail and len(getattr(message, tail.name)) > tail.max_items * tail.item_size:
        return None
    return message.encode()


def try_stream(pieces: Iterable[bytes]) -> int:
    """Feed a buffer. Returns how many frames came out."""
    buffer = FrameBuffer()
    fed = handed_out = frames = 0
    for piece in pieces:
        fed += len(piece)
        for frame in buffer.feed(piece):
            assert check_frame(frame) != "bad"
            handed_out += len(frame)
            frames += 1
            with contextlib.suppress(ProtocolError):
                decode(frame)
        assert buffer.waiting < MAX_FRAME
        # Every byte is in a frame, thrown away and counted, or waiting.
        assert fed == handed_out + buffer.dropped + buffer.waiting
    return frames


class Lines:
    """Counts the lines of our code that run inside `with`: what work costs, whatever the machine is doing."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Lines:
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_error: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            self.count += 1
        return self._trace if "ykc_server" in frame.f_code.co_filename or event != "call" else None


def fuzz(mutator: Any, frames: int, *, counted_every: int = 500) -> Counter[str]:
    """Try so many frames, a stream for every twenty of them, and count the work of some.

    Raises whatever was found; the frame is in a note of the exception.
    """
    ends: Counter[str] = Counter()
    for number in range(frames):
        frame = mutator.frame()
        try:
            if number % counted_every:
                ends[try_frame(frame)] += 1
            else:
                with Lines() as lines:
                    ends[try_frame(frame)] += 1
                assert lines.count <= PATIENCE_LINES + LINES_PER_BYTE * len(frame), lines.count
        except Exception as error:
            error.add_note(f"frame {frame.hex().upper()}")
            raise
        if number % 20 == 0:
            pieces = list(mutator.stream())
            try:
                if number % (counted_every * 4):
                    ends["framed"] += try_stream(pieces)
                else:
                    with Lines() as lines:
                        ends["framed"] += try_stream(pieces)
                    size = sum(map(len, pieces))
                    allowed = PATIENCE_LINES + STREAM_LINES_PER_BYTE * size
                    assert lines.count <= allowed, (lines.count, size, len(pieces))
            except Exception as error:
                error.add_note(f"pieces {' '.join(piece.hex().upper() for piece in pieces)}")
                raise
    return ends
