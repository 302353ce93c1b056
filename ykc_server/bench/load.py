"""The load generator: piles that send, and compare every answer byte for byte."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

from ykc_server.protocol import FrameBuffer
from ykc_server.protocol.message import seal
from ykc_server.protocol.messages import Heartbeat, Login, Realtime, answer_heartbeat

GUN = b"\x01"
VARIANTS = 16
"""Different payloads of each pile: sequence numbers and energies move on as they do in the field."""
ANSWER_TIMEOUT_S = 20.0
DIAL_AT_ONCE = 200
BURST_EVERY_S = 0.01
TICK_S = 0.01
"""CPU time is counted in steps of this; nothing costs none of it."""


@dataclass(frozen=True)
class Exchange:
    """Bytes to send in one write, the bytes that must come back, and how many frames were sent."""

    request: bytes
    answer: bytes
    frames: int


@dataclass
class Errors:
    """What went wrong in a run; both must be 0."""

    wrong: int = 0
    missing: int = 0

    @property
    def total(self) -> int:
        return self.wrong + self.missing


def login_frame(code: str) -> bytes:
    """0x01 of a pile."""
    return Login.make(
        pile_no=code,
        pile_type="dc",
        gun_count=1,
        protocol_version=0x10,
        software_version="V1.0.0",
        network_type=1,
        sim_no="0",
        operator=4,
    ).encode(b"\0\0")


def heartbeat(code: str, sequence: bytes) -> Exchange:
    """One 0x03 in a write, one 0x04 back."""
    gun = bytes.fromhex(code) + GUN
    request = Heartbeat(pile_no=gun[:7], gun_no=GUN, gun_status=0).encode(sequence)
    return Exchange(request, answer_heartbeat(request), 1)


def heartbeat_exchanges(code: str) -> list[Exchange]:
    """Heartbeats one by one."""
    return [heartbeat(code, index.to_bytes(2, "little")) for index in range(VARIANTS)]


def charging_exchanges(code: str) -> list[Exchange]:
    """Half a minute of a charging gun in one write: three 0x03, twice 0x13, 0x23 and 0x25; three 0x04 come back."""
    exchanges = []
    for index in range(VARIANTS):
        heartbeats = [heartbeat_exchanges(code)[(3 * index + n) % VARIANTS] for n in range(3)]
        data = []
        for half in range(2):
            sequence = (2 * index + half).to_bytes(2, "little")
            data.append(realtime(code, charging=True, energy=1_000 * index + half).encode(sequence))
            data += [battery(code, kind, sequence) for kind in (0x23, 0x25)]
        request = b"".join(
            (heartbeats[0].request, *data[:3], heartbeats[1].request, *data[3:], heartbeats[2].request)
        )
        exchanges.append(Exchange(request, b"".join(one.answer for one in heartbeats), 9))
    return exchanges


def battery(code: str, kind: int, sequence: bytes, *, number: str = "") -> bytes:
    """0x23 or 0x25 of a pile's gun, in the charge of a transaction number (default: `transaction_no`)."""
    size = {0x23: 20, 0x25: 7}[kind]
    charge = bytes.fromhex(number or transaction_no(code))
    return seal(sequence + bytes((0, kind)) + charge + bytes.fromhex(code) + GUN + bytes(size))


def transaction_no(code: str) -> str:
    """The transaction number that a pile's gun reports while it charges."""
    return f"{code}012611010000000001"[:32].ljust(32, "0")


def realtime(code: str, *, charging: bool, energy: int = 0, number: str = "") -> Realtime:
    """0x13 of a pile's gun, plugged in; `energy` in 0.0001 kWh, `number` of its charge (default: `transaction_no`)."""
    return Realtime(
        transaction_no=bytes.fromhex(number or transaction_no(code)) if charging else bytes(16),
        pile_no=bytes.fromhex(code),
        gun_no=GUN,
        status=3 if charging else 2,
        gun_homed=1,
        gun_plugged=1,
        output_voltage=4_000 if charging else 0,
        output_current=1_000 if charging else 0,
        cable_temp=70,
        cable_code=bytes(8),
        soc=40,
        battery_max_temp=80,
        charge_minutes=5,
        remaining_minutes=30,
        energy_kwh=energy,
        loss_energy_kwh=energy,
        amount=energy,
        hardware_fault=0,
    )


class PileClient(asyncio.Protocol):
    """One pile: first a login, then exchanges in a closed loop, one in flight."""

    __slots__ = (
        "answered",
        "buffer",
        "chop",
        "code",
        "current",
        "errors",
        "exchanges",
        "got",
        "on_frame",
        "on_quiet",
        "pending",
        "transport",
        "writes",
    )

    def __init__(self, code: str, errors: Errors, *, chop: bool = False) -> None:
        self.code = code
        self.errors = errors
        self.chop = chop
        self.writes = 0
        self.pending: deque[tuple[bytes, float]] = deque()  # answers that must come, and since when
        self.current: Exchange | None = None
        self.exchanges: cycle[Exchange] | None = None
        self.on_quiet: Callable[[], None] | None = None
        self.on_frame: Callable[[PileClient, bytes], None] | None = None
        self.buffer: FrameBuffer | None = None
        self.got = b""
        self.answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def begin(self, exchanges: Sequence[Exchange]) -> None:
        """Send for ever, from now on."""
        self.exchanges = cycle(exchanges)
        self._send()

    def write(self, data: bytes) -> None:
        """Send; with `chop` in two segments, torn at another place each time."""
        if not self.chop:
            self.transport.write(data)
            return
        self.writes += 1
        cut = 1 + self.writes % (len(data) - 1)
        self.transport.write(data[:cut])
        # uvloop sends what was written at the end of a turn of its loop, so the rest is a segment of its own.
        asyncio.get_running_loop().call_soon(self.transport.write, data[cut:])

    def _send(self) -> None:
        self.current = next(self.exchanges)  # type: ignore[arg-type]
        self.write(self.current.request)

    def data_received(self, data: bytes) -> None:
        if self.on_frame is not None:
            self._frames(data)
            return
        current = self.current
        if current is None:
            self.errors.wrong += 1
            return
        if self.got:
            data = self.got + data
        if len(data) < len(current.answer):
            self.got = data
            return
        self.got = b""
        if data != current.answer:
            self.errors.wrong += 1
        self.answered += current.frames
        if self.exchanges is not None:
            self._send()
        else:
            self.current = None
            if self.on_quiet is not None:
                self.on_quiet()

    def _frames(self, data: bytes) -> None:
        if self.buffer is None:
            self.buffer = FrameBuffer()
        for frame in self.buffer.feed(data):
            assert self.on_frame is not None
            self.on_frame(self, frame)


class Fleet:
    """Piles of the generator on one server."""

    def __init__(self, port: int, errors: Errors, *, chop: bool = False) -> None:
        self.port = port
        self.errors = errors
        self.chop = chop
        self.piles: list[PileClient] = []

    async def dial(self, codes: Sequence[str]) -> None:
        """Open a connection for each code, some hundred at a time."""
        loop = asyncio.get_running_loop()

        async def one(code: str) -> None:
            _, pile = await loop.create_connection(
                lambda: PileClient(code, self.errors, chop=self.chop), "127.0.0.1", self.port
            )
            self.piles.append(pile)

        for start in range(0, len(codes), DIAL_AT_ONCE):
            await asyncio.gather(*(one(code) for code in codes[start : start + DIAL_AT_ONCE]))

    async def log_in(self) -> None:
        """Log every pile in: 02 with result 00, then 56. Missing answers are counted."""
        waiting = set(self.piles)
        done = asyncio.Event()

        def frame(pile: PileClient, data: bytes) -> None:
            if data[5] == 0x02 and (data[6:13] != bytes.fromhex(pile.code) or data[13] != 0):
                self.errors.wrong += 1
            if data[5] == 0x56:
                waiting.discard(pile)
                if not waiting:
                    done.set()

        for pile in self.piles:
            pile.on_frame = frame
            pile.write(login_frame(pile.code))
        await self._all(waiting, done)
        for pile in self.piles:
            pile.on_frame = pile.buffer = None

    async def once(self, exchanges: Callable[[str], Sequence[Exchange]]) -> None:
        """One exchange of every pile."""
        for pile in self.piles:
            pile.begin(exchanges(pile.code)[:1])
        await self._stop()

    async def saturate(
        self, exchanges: Callable[[str], Sequence[Exchange]], seconds: float, cpu: Callable[[], float]
    ) -> tuple[float, float]:
        """Keep one exchange of every pile in flight. Returns CPU µs per frame sent, and frames per second."""
        for pile in self.piles:
            pile.begin(exchanges(pile.code))
        await asyncio.sleep(seconds / 4)
        frames, used, began = self.answered(), cpu(), time.perf_counter()
        await asyncio.sleep(seconds)
        frames, used, lasted = self.answered() - frames, cpu() - used, time.perf_counter() - began
        await self._stop()
        return max(used, TICK_S) * 1e6 / max(frames, 1), frames / lasted

    async def in_bursts(
        self,
        exchanges: Callable[[str], Sequence[Exchange]],
        frames_per_s: float,
        seconds: float,
        cpu: Callable[[], float],
    ) -> tuple[float, int]:
        """Send exchanges at a pace, some piles every few milliseconds. Returns CPU µs per frame, and exchanges sent.

        A pile that has not been answered since its last turn is passed over and its turn is made up for later.
        """
        made = {pile: cycle(exchanges(pile.code)) for pile in self.piles}
        turns = cycle(self.piles)
        frames = exchanges(self.piles[0].code)[0].frames
        before, sent, began = self.answered(), 0, time.perf_counter()
        used = cpu()
        while (passed := time.perf_counter() - began) < seconds:
            owed = int(passed * frames_per_s / frames) - sent
            for _ in range(min(owed, len(self.piles))):
                pile = next(turns)
                if pile.current is None:
                    pile.current = next(made[pile])
                    pile.write(pile.current.request)
                    sent += 1
            await asyncio.sleep(BURST_EVERY_S)
        await self._stop()
        used = cpu() - used
        self.errors.missing += sent * frames - (self.answered() - before)
        return max(used, TICK_S) * 1e6 / max(sent * frames, 1), sent

    def close(self) -> None:
        """End all connections."""
        for pile in self.piles:
            pile.transport.abort()
        self.piles.clear()

    def answered(self) -> int:
        """Frames whose exchange was answered."""
        return sum(pile.answered for pile in self.piles)

    async def _stop(self) -> None:
        done = asyncio.Event()
        waiting = {pile for pile in self.piles if pile.current is not None}
        if not waiting:
            return

        def quiet(pile: PileClient) -> Callable[[], None]:
            def end() -> None:
                waiting.discard(pile)
                if not waiting:
                    done.set()

            return end

        for pile in self.piles:
            pile.on_quiet = quiet(pile)
            pile.exchanges = None
        await self._all(waiting, done)

    async def _all(self, waiting: set[PileClient], done: asyncio.Event) -> None:
        try:
            await asyncio.wait_for(done.wait(), ANSWER_TIMEOUT_S)
        except TimeoutError:
            self.errors.missing += len(waiting)
