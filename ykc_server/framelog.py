"""Raw frames kept for the inspector: all of a pile for as long as staff want, and some of what is wrong of any other.

Kept as they went over the wire, so an encrypted body is stored encrypted.
"""

from __future__ import annotations

import struct
import time
from collections import Counter
from typing import TYPE_CHECKING

from apps.piles.models import RawFrame
from ykc_server.dialects import split
from ykc_server.masking import masked
from ykc_server.protocol import DECODE, ProtocolError, UnknownFrame, open_frame
from ykc_server.telemetry import EPOCH_US, CopyWriter

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer
    from ykc_server.gateway import Gateway
    from ykc_server.session import Session

COLUMNS = ("at", "pile_code", "number", "connection_id", "is_down", "verdict", "frame")
FINE = "ok"
VERDICT_LENGTH = 16
UPDATE = 0x94
HEAD = struct.Struct(">hiqi14siq").pack
FLAG = struct.Struct(">i?").pack
LENGTH = struct.Struct(">i").pack


class FrameLog(CopyWriter):
    """Rows of raw frames. Bounded like telemetry, and samples by number per minute too."""

    LIMIT = 20_000
    SAMPLES = 200
    """In a minute, of all piles together."""
    SAMPLES_OF_ONE = 10
    """In a minute, of one pile and for one reason."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway, "frames", RawFrame._meta.db_table, COLUMNS)
        self._number = 0
        self._sampled: Counter[tuple[Session, str]] = Counter()
        self._sampled_since = gateway.now

    def up(self, pile: PileConsumer, frames: list[bytes]) -> None:
        """Keep what a pile sent whose frames are all kept; ends when their time is over."""
        session = pile.session
        if session is not None and self._is_on(pile):
            for frame in frames:
                self._put(session, frame, is_down=False, verdict=_verdict(pile, session, frame))

    def down(self, pile: PileConsumer, data: bytes) -> None:
        """Keep what such a pile was sent: whole frames. An update server's credentials are kept nowhere."""
        session = pile.session
        if session is not None and self._is_on(pile):
            for frame in split(data):
                kept = masked(frame) if frame[5] == UPDATE else frame
                self._put(session, kept, is_down=True, verdict=FINE)

    def sample(self, pile: PileConsumer, data: bytes, verdict: str) -> None:
        """Keep something wrong of any pile that is logged in, a few times a minute."""
        session = pile.session
        if session is None:
            return
        now = self._gateway.now
        if now - self._sampled_since > 60:
            self._sampled.clear()
            self._sampled_since = now
        # One of these sessions that has ended waits at most a minute for its memory to be given back.
        key = (session, verdict)
        if self._sampled.total() < self.SAMPLES and self._sampled[key] < self.SAMPLES_OF_ONE:
            self._sampled[key] += 1
            self._put(session, data, is_down=False, verdict=verdict)

    def _is_on(self, pile: PileConsumer) -> bool:
        if time.time() < pile.frames_kept_until:
            return True
        pile.frames_kept_until = 0.0
        return False

    def _put(self, session: Session, frame: bytes, *, is_down: bool, verdict: str) -> None:
        self._number += 1
        at = int(time.time() * 1e6) - EPOCH_US
        texts = (session.connection_id.encode(), verdict[:VERDICT_LENGTH].encode())
        self.rows[session.schema].append(
            b"".join(
                (
                    HEAD(len(COLUMNS), 8, at, 14, session.pile_code.encode(), 8, self._number),
                    LENGTH(len(texts[0])), texts[0],
                    FLAG(1, is_down),
                    LENGTH(len(texts[1])), texts[1],
                    LENGTH(len(frame)), frame,
                )
            )
        )  # fmt: skip


def _verdict(pile: PileConsumer, session: Session, frame: bytes) -> str:
    """What the gateway thinks of a frame from this pile, in the words of its counters."""
    try:
        message = DECODE[frame[5]](open_frame(frame, pile.cipher))
    except UnknownFrame:
        return "unknown_type"
    except ProtocolError as error:
        return error.code
    if getattr(message, "pile_no", session.pile_no) != session.pile_no:
        return "foreign_pile"
    return FINE
