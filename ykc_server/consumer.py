"""PileConsumer: one pile connection as a Channels consumer.

Our own server attaches it once and then calls `feed` from `data_received`: no task, queue or channel per connection.
Any other ASGI host (`ApplicationCommunicator` in tests) drives it by the events ykc.connect, ykc.receive {"bytes"},
ykc.disconnect; answers are ykc.send {"bytes"} and ykc.close. The scope carries the process's Gateway as "gateway".
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog
from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer

from ykc_server.dialects import Manner, cipher_of
from ykc_server.handlers import GATE, HOT, SLOW
from ykc_server.masking import masked
from ykc_server.protocol import (
    DECODE,
    Cipher,
    EncryptedFrame,
    FieldError,
    FrameBuffer,
    Message,
    ProtocolError,
    open_frame,
)

if TYPE_CHECKING:
    from ykc_server.gateway import Gateway
    from ykc_server.session import Session

log = structlog.get_logger(__name__)

WAITING_LIMIT = 64
STRIKES = 20
"""Wrong checksums and impossible lengths in one minute, after which a connection is closed."""
STRIKES_FADE_S = 60.0
RUBBISH_LIMIT = 4_096
"""Bytes that belong to no frame, in one minute, after which a connection is closed."""


class PileConsumer(AsyncConsumer):
    """One connection: bytes in, at most one write per read out."""

    __slots__ = (
        "_sequence",
        "buffer",
        "challenge",
        "cipher",
        "closed",
        "frames_kept_until",
        "gate",
        "gateway",
        "manner",
        "rubbish",
        "seen",
        "session",
        "strikes",
        "struck_at",
        "task",
        "transport",
        "waiting",
    )

    def __init__(self) -> None:
        self.buffer = FrameBuffer()
        self.session: Session | None = None
        self.closed = False
        self.gate = False
        self.waiting: list[bytes] | None = None
        self.task: asyncio.Task[None] | None = None
        self.strikes = 0
        self.rubbish = 0
        self.struck_at = 0.0
        self._sequence = 0
        self.cipher: Cipher | None = None
        self.manner: Manner | None = None  # None for a pile that takes frames as they are
        self.frames_kept_until = 0.0  # seconds since the epoch
        self.challenge: asyncio.Future[bool] | None = None  # whether this connection still answers

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Attach to our own server and return at once, or live as long as the host sends events."""
        self.gateway: Gateway = scope["gateway"]
        self.seen = self.gateway.now
        if attach := scope.get("attach"):
            self.transport = attach(self)
            self.gateway.connected(self)
            return
        self.transport = EventTransport(send)
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            pass
        finally:
            self.lost()

    # -- events of an ASGI host that is not our server

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Work on one event, without Channels' database clean-up, which takes a thread hop for every message."""
        match message["type"]:
            case "ykc.connect":
                self.gateway.connected(self)
            case "ykc.receive":
                self.feed(message["bytes"])
            case "ykc.disconnect":
                raise StopConsumer
            case other:
                raise ValueError(f"no handler for message type {other}")

    # -- bytes

    def feed(self, data: bytes) -> None:
        """Take what one read brought."""
        frames = self.buffer.feed(data)
        if self.buffer.dropped:
            self._strike()
        if frames and not self.closed:
            if self.session is not None:  # before login, nothing but the login puts off the time-out
                self.seen = self.gateway.now
                if self.challenge is not None and not self.challenge.done():
                    self.challenge.set_result(True)
                if self.frames_kept_until:
                    self.gateway.frames.up(self, frames)
            self.handle(frames)

    def handle(self, frames: list[bytes]) -> None:
        """Answer plain frames at once, queue the others; one write for all answers."""
        if self.cipher is not None and not self.gate:
            frames = self._open(frames, self.cipher)
        if self.gate:
            self._keep(frames)
            return
        answers = []
        logged_in = self.session is not None
        for index, frame in enumerate(frames):
            kind = frame[5]
            if logged_in and (hot := HOT[kind]) is not None:
                try:
                    answer = hot(self, frame)
                except ProtocolError as error:
                    self._refuse(frame, error)
                    continue
                except Exception:
                    self.gateway.count("handler_errors")
                    log.exception("handler_failed", pile_code=self.pile_code, frame=masked(frame).hex())
                    continue
                if answer is not None:
                    answers.append(answer)
            elif GATE[kind] is not None:
                self.gate = True
                self._keep(frames[index:])
                break
            elif logged_in and SLOW[kind] is not None:
                self._keep([frame])
            else:
                self.pass_over(frame, "unknown_type" if logged_in else "before_login")
        if answers and not self.closed:
            data = answers[0] if len(answers) == 1 else b"".join(answers)
            self._send(data if self.manner is None else self.manner.apply(data))

    def _open(self, frames: list[bytes], cipher: Cipher) -> list[bytes]:
        """Decrypt what came encrypted. From its first encrypted frame on, a pile is answered so."""
        opened = []
        for frame in frames:
            if frame[4] and (self.manner is None or self.manner.cipher is None):
                self.manner = Manner(self.manner is not None and self.manner.crc_swapped, cipher)
            try:
                opened.append(open_frame(frame, cipher))
            except EncryptedFrame as error:
                self._refuse(frame, error)
                break
        return opened

    def _keep(self, frames: list[bytes]) -> None:
        if self.waiting is None:
            self.waiting = []
        if len(self.waiting) + len(frames) > WAITING_LIMIT:
            log.warning("too_many_frames_waiting", pile_code=self.pile_code, peer=self.peer)
            self.gateway.count("closed_waiting")
            self.abort()
            return
        self.waiting.extend(frames)
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        """Work off what waits, in order. Frames that were received before the connection ended still count."""
        try:
            while self.waiting:
                frame = self.waiting.pop(0)
                gate = GATE[frame[5]]
                try:
                    await self._call(gate or SLOW[frame[5]], frame)  # type: ignore[arg-type]
                except ProtocolError as error:
                    self._refuse(frame, error)
                except Exception:
                    self.gateway.count("handler_errors")
                    log.exception("handler_failed", pile_code=self.pile_code, frame=masked(frame).hex())
                    if gate:
                        self.close()  # never a pile that is connected but deaf
                if gate:
                    self.gate = False
                    behind, self.waiting = self.waiting, []
                    if behind and not self.closed:
                        if self.frames_kept_until:
                            self.gateway.frames.up(self, behind)
                        self.handle(behind)
        finally:
            self.task = self.waiting = None
            if self.closed and self.session is not None:
                self.session.end()

    async def _call(self, handler: Callable[[PileConsumer, Message], Awaitable[None]], frame: bytes) -> None:
        message = DECODE[frame[5]](frame)
        number = message.pile_no  # type: ignore[attr-defined]
        if self.session is not None and not self.gate and number != self.session.pile_no:
            self.foreign(frame)
        else:
            await handler(self, message)

    # -- what handlers use

    def write(self, data: bytes) -> None:
        """Send whole frames in the pile's manner, unless the connection has ended."""
        if self.closed:
            return
        if self.manner is not None:
            try:
                data = self.manner.apply(data)
            except FieldError as error:
                log.error("frame_not_sent", pile_code=self.pile_code, error=str(error))
                return
        self._send(data)

    def _send(self, data: bytes) -> None:
        if self.frames_kept_until:
            self.gateway.frames.down(self, data)
        self.transport.write(data)

    def speak(self, session: Session) -> None:
        """From now on speak the session's dialect. A cipher is used once the pile has used it."""
        self.cipher = cipher_of(session.dialect, session.pile_code) if session.dialect.cipher else None
        swapped = session.dialect.wants_swapped_crc
        self.manner = Manner(swapped, None) if swapped else None

    def next_sequence(self) -> bytes:
        """Return the sequence number of the next frame that we start: from 0 upward, low byte first."""
        sequence = self._sequence.to_bytes(2, "little")
        self._sequence = (self._sequence + 1) & 0xFFFF
        return sequence

    def foreign(self, frame: bytes) -> None:
        """Pass over a frame that names another pile than the login."""
        self.pass_over(frame, "foreign_pile")

    def pass_over(self, frame: bytes, why: str) -> None:
        """Count a frame that is not answered; some are logged."""
        if frame[4]:
            reason = f"encryption flag {frame[4]:02X} and no cipher is configured for the pile"
            self._refuse(frame, EncryptedFrame(reason, offset=4, frame=frame))
            return
        self.gateway.count(why)
        self._sample(frame, why)
        self.gateway.sampled(
            "frame_passed_over", why=why, pile_code=self.pile_code, frame=masked(frame).hex()
        )

    def _refuse(self, frame: bytes, error: ProtocolError) -> None:
        self.gateway.count(error.code)
        self._sample(frame, error.code)
        self.gateway.sampled(
            "frame_refused", error=str(error), pile_code=self.pile_code, frame=masked(frame).hex()
        )
        if isinstance(error, EncryptedFrame):
            log.warning(
                "encrypted_connection_closed", pile_code=self.pile_code, peer=self.peer, error=str(error)
            )
            self.close()

    def _sample(self, frame: bytes, verdict: str) -> None:
        if not self.frames_kept_until:  # else it is kept already
            self.gateway.frames.sample(self, frame, verdict)

    def _strike(self) -> None:
        """Bytes were dropped: too many of them, or of the frames they were meant to be, end the connection."""
        buffer, gateway = self.buffer, self.gateway
        if gateway.now - self.struck_at > STRIKES_FADE_S:
            self.strikes = self.rubbish = 0
            self.struck_at = gateway.now
        self.strikes += buffer.bad_crc + buffer.bad_length
        self.rubbish += buffer.dropped
        gateway.count("bad_crc", buffer.bad_crc)
        gateway.count("bad_length", buffer.bad_length)
        gateway.count("dropped_bytes", buffer.dropped)
        if buffer.refused:
            gateway.frames.sample(self, buffer.refused, "bad_crc" if buffer.bad_crc else "bad_length")
            buffer.refused = b""
        buffer.bad_crc = buffer.bad_length = buffer.dropped = 0
        if self.strikes > STRIKES or self.rubbish > RUBBISH_LIMIT:
            gateway.count("closed_garbage")
            gateway.sampled("garbage_connection_closed", pile_code=self.pile_code, peer=self.peer)
            self.abort()

    @property
    def pile_code(self) -> str:
        """Code of the pile, "" before login."""
        return self.session.pile_code if self.session else ""

    @property
    def address(self) -> str:
        """IP address of the other end, "" where there is none."""
        peer = self.transport.get_extra_info("peername")
        return str(peer[0]).removeprefix("::ffff:") if peer else ""

    @property
    def peer(self) -> str:
        """Address of the other end, for logs."""
        peer = self.transport.get_extra_info("peername")
        return f"{peer[0]}:{peer[1]}" if peer else ""

    # -- the end

    def close(self) -> None:
        """End the connection after what was written has left."""
        self.transport.close()
        self.lost()

    def abort(self) -> None:
        """End the connection now."""
        self.transport.abort()
        self.lost()

    def lost(self) -> None:
        """Forget the connection; called at least once, by whoever notices first that it has ended."""
        if not self.closed:
            self.closed = True
            self.gateway.disconnected(self)
            if self.task is None and self.session is not None:
                self.session.end()


class EventTransport:
    """Answers as events for an ASGI host, in the order they were written."""

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        self._send = send
        self._events: deque[dict[str, Any]] = deque()
        self._task: asyncio.Task[None] | None = None

    def write(self, data: bytes) -> None:
        self._put({"type": "ykc.send", "bytes": data})

    def close(self) -> None:
        self._put({"type": "ykc.close"})

    abort = close

    def get_extra_info(self, name: str) -> None:
        return None

    def _put(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._pump())

    async def _pump(self) -> None:
        while self._events:
            await self._send(self._events.popleft())
        self._task = None
