"""Frames out of a byte stream (YKC V1.6), and the strict check of a single frame.

68 | length | sequence (2) | encryption | type | body | crc (2)    length = 4 + len(body), crc over sequence … body
"""

from typing import Literal

from ykc_server.protocol.crc import crc16
from ykc_server.protocol.errors import BadLength, BadStart
from ykc_server.protocol.message import START

CrcOrder = Literal["ok", "swapped", "bad"]

MIN_LENGTH = 4
MIN_FRAME = MIN_LENGTH + 4
MAX_FRAME = 255 + 4


class FrameBuffer:
    """Cut a stream into frames and find the way back after rubbish.

    A frame is handed out when its CRC is right in either byte order; its type, encryption and body are the
    consumer's to judge (`decode` raises UnknownFrame, EncryptedFrame or ShortBody). After a wrong CRC only the
    one start byte is dropped, because a 68 may stand inside a body. At most `MAX_FRAME` - 1 bytes wait for more.

    crc_swapped      the last good frame had its CRC high byte first
    swapped_crc      frames with the CRC high byte first
    bad_crc          start bytes given up because of the CRC
    bad_length       start bytes given up because of a length below 4
    dropped          bytes thrown away while looking for a start
    refused          the last bytes that began like a frame and were none; whoever looks at them empties it
    """

    __slots__ = ("_rest", "bad_crc", "bad_length", "crc_swapped", "dropped", "refused", "swapped_crc")

    def __init__(self) -> None:
        self._rest = b""
        self.crc_swapped = False
        self.swapped_crc = 0
        self.bad_crc = 0
        self.bad_length = 0
        self.dropped = 0
        self.refused = b""

    @property
    def waiting(self) -> int:
        """Bytes held back as the start of a frame."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read and return the frames that are complete now, as `bytes`, oldest first."""
        if self._rest:
            data = self._rest + data
        elif (
            len(data) >= MIN_FRAME and data[0] == START and data[1] + 4 == len(data) and not crc16(data[2:])
        ):  # one whole frame: nearly all that piles send
            self.crc_swapped = False
            return [data]
        frames = []
        start, end = 0, len(data)
        while end - start >= MIN_FRAME:
            if data[start] == START:
                stop = start + data[start + 1] + 4
                if stop - start < MIN_FRAME:
                    self.bad_length += 1
                    self.refused = data[start : start + MIN_FRAME]
                elif stop > end:
                    break
                elif not crc16(data[start + 2 : stop]):
                    # The CRC of anything followed by its own CRC, low byte first, is zero.
                    self.crc_swapped = False
                    frames.append(data[start:stop])
                    start = stop
                    continue
                elif crc16(data[start + 2 : stop - 2]) == data[stop - 2] << 8 | data[stop - 1]:
                    self.crc_swapped = True
                    self.swapped_crc += 1
                    frames.append(data[start:stop])
                    start = stop
                    continue
                else:
                    self.bad_crc += 1
                    self.refused = data[start:stop]
            start = self._skip(data, start, start + 1)
        if start < end and data[start] != START:
            start = self._skip(data, start, start)
        self._rest = data[start:] if start < end else b""
        return frames

    def _skip(self, data: bytes, start: int, look_from: int) -> int:
        """Drop bytes from `start` up to the next start byte at or after `look_from`; return its place."""
        following = data.find(START, look_from)
        if following < 0:
            following = len(data)
        self.dropped += following - start
        return following


def check_frame(frame: bytes) -> CrcOrder:
    """Check that `frame` is exactly one frame and say how its CRC fits.

    Raises:
        BadStart: the first byte is not 68.
        BadLength: cut off, too long, or a length byte below 4.
    """
    if not frame or frame[0] != START:
        raise BadStart("no start byte 68" if frame else "no bytes", offset=0, frame=frame)
    if len(frame) < 2:
        raise BadLength("frame ends before its length byte", offset=1, frame=frame)
    length = frame[1]
    if length < MIN_LENGTH:
        raise BadLength(f"length byte {length} is below {MIN_LENGTH}", offset=1, frame=frame)
    if len(frame) < length + 4:
        raise BadLength(
            f"frame ends after {len(frame)} bytes, its length byte says {length + 4}",
            offset=len(frame),
            frame=frame,
        )
    if len(frame) > length + 4:
        raise BadLength(
            f"{len(frame) - length - 4} bytes after the end of the frame", offset=length + 4, frame=frame
        )
    crc = crc16(frame[2:-2])
    if crc == int.from_bytes(frame[-2:], "little"):
        return "ok"
    return "swapped" if crc == int.from_bytes(frame[-2:], "big") else "bad"
