"""What can be wrong with a frame (the peer's mistake) and with a value to be sent (our own)."""


class ProtocolError(ValueError):
    """A frame that cannot be decoded.

    `offset` is the position in `frame` (the raw bytes, start byte included) where decoding failed; `code` is a
    stable word for counters.
    """

    code = "protocol"

    def __init__(self, reason: str, *, offset: int, frame: bytes) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset
        self.frame = frame

    def __str__(self) -> str:
        return f"{self.reason} at offset {self.offset}"


class BadStart(ProtocolError):
    """The first byte is not 0x68."""

    code = "bad_start"


class BadLength(ProtocolError):
    """The length byte is impossible (below 4) or does not fit the bytes that are there."""

    code = "bad_length"


class UnknownFrame(ProtocolError):
    """A well-formed frame of a type that has no table here."""

    code = "unknown_frame"


class ShortBody(ProtocolError):
    """A well-formed frame of a known type whose body ends before its last field."""

    code = "short_body"


class EncryptedFrame(ProtocolError):
    """Encryption flag other than 0. YKC names 3DES for 01, but no key, mode or padding; nothing can be read."""

    code = "encrypted"


class FieldError(ValueError):
    """A value that does not fit the field it was meant for; nothing was encoded."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
