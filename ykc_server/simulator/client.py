"""A simulated pile on a TCP connection: connects, reconnects with growing pauses, and lets the pile tick."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

from ykc_server.simulator.pile import SimulatedPile

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
SPLIT_PAUSE_S = 0.005
HOOK_EVERY_S = 1.0

Hook = Callable[[SimulatedPile, datetime], None]


def utc_now() -> datetime:
    """Return the present time; the only clock of the simulator."""
    return datetime.now(UTC)


class PileClient(asyncio.Protocol):
    """Runs one pile against `host`:`port` until `run()` is cancelled.

    `hook` is called before every tick, at least every second: autonomous behaviour goes there (plug, unplug,
    press_stop, set_fault). Who acts on the pile from elsewhere calls `flush()` afterwards.
    """

    def __init__(self, pile: SimulatedPile, host: str, port: int, *, hook: Hook | None = None) -> None:
        self.pile = pile
        self.host = host
        self.port = port
        self.hook = hook
        self.attempts = 0
        self._transport: asyncio.Transport | None = None
        self._lost: asyncio.Future[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pieces: deque[bytes] = deque()

    async def run(self) -> None:
        """Stay connected; the pause before a new try doubles up to 30 s and is short again after a login."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE_S
        try:
            self._work()
            while True:
                self._lost = loop.create_future()
                self.attempts += 1
                try:
                    await loop.create_connection(lambda: self, self.host, self.port)
                except OSError:
                    was_online = False
                else:
                    was_online = await self._lost
                if was_online:
                    pause = FIRST_PAUSE_S
                # Chance spreads a fleet that lost its platform in one moment.
                await asyncio.sleep(pause * self.pile.random.uniform(0.5, 1.0))
                pause = min(2 * pause, LONGEST_PAUSE_S)
        finally:
            if self._timer:
                self._timer.cancel()
            if self._transport:
                self._transport.abort()

    def flush(self) -> None:
        """Write what the pile has to say, and set the timer for its next tick."""
        self._write(self.pile.take_output())
        if self.pile.wants_close and self._transport and not self._pieces:
            self._transport.close()
        now = utc_now()
        due = self.pile.next_tick(now)
        delay_s = max(0.0, (due - now).total_seconds()) if due else None
        if self.hook:
            delay_s = HOOK_EVERY_S if delay_s is None else min(delay_s, HOOK_EVERY_S)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if delay_s is not None:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._work)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.pile.connected(utc_now())
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.pile.receive(data, utc_now())
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        was_online = self.pile.is_online
        self._transport = None
        self._pieces.clear()
        self.pile.disconnected(utc_now())
        if self._lost and not self._lost.done():
            self._lost.set_result(was_online)

    def _work(self) -> None:
        now = utc_now()
        if self.hook:
            self.hook(self.pile, now)
        self.pile.tick(now)
        self.flush()

    def _write(self, data: bytes) -> None:
        if not data or self._transport is None or self._transport.is_closing():
            return
        size = self.pile.faults.split_writes
        if not size:
            self._transport.write(data)
            return
        idle = not self._pieces
        self._pieces.extend(data[start : start + size] for start in range(0, len(data), size))
        if idle:
            self._write_piece()

    def _write_piece(self) -> None:
        """Write one piece; the pause before the next one makes the kernel send them apart."""
        if self._transport is None or not self._pieces:
            return
        self._transport.write(self._pieces.popleft())
        if self._pieces:
            asyncio.get_running_loop().call_later(SPLIT_PAUSE_S, self._write_piece)
        elif self.pile.wants_close:
            self._transport.close()
