"""The YKC platform protocol V1.5/V1.6, pure: no socket, clock or database.

    buffer = FrameBuffer()
    for frame in buffer.feed(data):            # bytes from anywhere, in any pieces
        m = decode(frame)                      # or DECODE[frame[5]](frame), the same without one call

A message has two faces:

* its attributes are the raw wire form and cost nothing: `m.pile_no` is 7 bytes, `m.energy_kwh` an int in units of
  0.0001 kWh, `m.start_time` 7 bytes, `m.status` an int;
* `m.value("energy_kwh")` is the domain form: Decimal with all its decimal places, str for numbers and texts, aware
  datetime (None if the bytes are no time), enum member of `codes` or a plain int for an unknown code, None for a
  temperature that is not available. `m.values()` gives all of them as a dict.

The way back: `RemoteStart.make(pile_no="32010600213533", account_balance=Decimal("50.00"), …)` takes domain forms
(and the JSON forms of the inspector) for every field of the table; `RemoteStart(pile_no=m.pile_no, …)` takes raw
ones. `m.encode(sequence)` gives the frame; an answer repeats `m.sequence` of what it answers.

`words.words(message)` tells codes and bit fields in words, `dialect` holds what differs from pile to pile.

Field names and tables are those of the specification, one class each in `messages`; errors are in `errors`.
"""

from ykc_server.protocol import messages as _messages  # noqa: F401 -- fills the registry
from ykc_server.protocol.connection import Connection
from ykc_server.protocol.dialect import (
    CIPHERS,
    Cipher,
    Dialect,
    learn,
    open_frame,
    seal_frame,
    seal_message,
)
from ykc_server.protocol.errors import (
    BadLength,
    BadStart,
    EncryptedFrame,
    FieldError,
    ProtocolError,
    ShortBody,
    UnknownFrame,
)
from ykc_server.protocol.frame import FrameBuffer, check_frame
from ykc_server.protocol.message import BY_KIND, BY_NAME, DECODE, Direction, Message, decode

__all__ = [
    "BY_KIND",
    "BY_NAME",
    "CIPHERS",
    "DECODE",
    "BadLength",
    "BadStart",
    "Cipher",
    "Connection",
    "Dialect",
    "Direction",
    "EncryptedFrame",
    "FieldError",
    "FrameBuffer",
    "Message",
    "ProtocolError",
    "ShortBody",
    "UnknownFrame",
    "check_frame",
    "decode",
    "learn",
    "open_frame",
    "seal_frame",
    "seal_message",
]
