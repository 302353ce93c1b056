"""One end of a YKC connection without a socket: bytes in, frames out; messages in, bytes out.

Both roles use it: the gateway as platform, the simulator as pile.
"""

from ykc_server.protocol.frame import FrameBuffer
from ykc_server.protocol.message import Message


class Connection:
    """Frame buffer and sequence counter of one TCP connection.

    The counter starts at 0 with every connection and starts over after FFFF, low byte first (YKC V1.6).
    Answers repeat the sequence of what they answer, as opaque bytes. Set `crc_swapped` for a peer known to insist
    on the CRC with its high byte first; by default the low byte goes first whatever the peer does.
    """

    __slots__ = ("_next", "buffer", "crc_swapped")

    def __init__(self, *, crc_swapped: bool = False) -> None:
        self.buffer = FrameBuffer()
        self.crc_swapped = crc_swapped
        self._next = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames completed by `data`; decode them with `decode` or `DECODE[frame[5]]`."""
        return self.buffer.feed(data)

    def next_sequence(self) -> bytes:
        """Return the sequence for the next frame that this side starts."""
        sequence = self._next.to_bytes(2, "little")
        self._next = self._next + 1 & 0xFFFF
        return sequence

    def send(self, message: Message) -> bytes:
        """Encode a frame that this side starts."""
        return message.encode(self.next_sequence(), self.crc_swapped)

    def answer(self, message: Message, request: Message) -> bytes:
        """Encode the answer to `request`."""
        return message.encode(request.sequence, self.crc_swapped)
