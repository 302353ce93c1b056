"""A simulated pile on a TCP connection: connects, reconnects with growing pauses, and lets the pile tick.

A client has no task: the loop calls it when bytes come or when its pile has something to do, and thousands of them
cost what their timers and buffers cost.
"""

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
    """Runs one pile against `host`:`port` from `start()` to `stop()`.

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
        self._dialling: asyncio.Task[None] | None = None
        self._redial: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pieces: deque[bytes] = deque()
        self._held: list[bytes] = []
        self._pause_s = FIRST_PAUSE_S
        self._away_s: float | None = None
        self._stopped = True

    async def run(self) -> None:
        """Start, and stop when cancelled."""
        self.start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.stop()

    def start(self) -> None:
        """Stay connected from now on; the pause before a new try doubles up to 30 s and is short after a login."""
        self._stopped = False
        self._work()
        self._dial()

    def stop(self) -> None:
        """End the connection and all plans for another."""
        self._stopped = True
        for plan in (self._timer, self._redial, self._dialling):
            if plan:
                plan.cancel()
        if self._transport:
            self._transport.abort()

    def cut(self, away_s: float) -> None:
        """Break the line and dial again after `away_s` seconds."""
        if self._transport:
            self._away_s = away_s
            self._transport.abort()

    def flush(self) -> None:
        """Write what the pile has to say, and set the timer for its next tick."""
        self._write(self.pile.take_output())
        if self.pile.wants_close and self._transport and not self._pieces and not self._held:
            self._transport.close()
        now = utc_now()
        due = self.pile.next_tick(now)
        delay_s = max(0.0, (due - now).total_seconds()) if due else None
        if self.hook:
            delay_s = HOOK_EVERY_S if delay_s is None else min(delay_s, HOOK_EVERY_S)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if delay_s is not None and not self._stopped:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._work)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.pile.connected(utc_now())
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.pile.receive(data, utc_now())
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        if self.pile.is_online:
            self._pause_s = FIRST_PAUSE_S
        self._transport = None
        self._pieces.clear()
        self._held.clear()
        self.pile.disconnected(utc_now())
        self._dial_later()

    def _dial(self) -> None:
        self._redial = None
        self.attempts += 1
        self._dialling = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, self.host, self.port)
        except OSError:
            self._dial_later()
        finally:
            self._dialling = None

    def _dial_later(self) -> None:
        if self._stopped:
            return
        # Chance spreads a fleet that lost its platform in one moment.
        pause_s = self._pause_s * self.pile.random.uniform(0.5, 1.0)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        if self._away_s is not None:
            pause_s, self._away_s = self._away_s, None
        self._redial = asyncio.get_running_loop().call_later(pause_s, self._dial)

    def _work(self) -> None:
        now = utc_now()
        if self.hook:
            self.hook(self.pile, now)
        self.pile.tick(now)
        self.flush()

    def _write(self, data: bytes) -> None:
        if not data or self._transport is None or self._transport.is_closing():
            return
        hold_s = self.pile.faults.hold_writes_s
        if hold_s and not self._held:
            asyncio.get_running_loop().call_later(hold_s, self._let_go)
        if hold_s or self._held:
            self._held.append(data)
        else:
            self._put(data)

    def _let_go(self) -> None:
        """Write all that was kept, in one go."""
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            self._put(data)
            self.flush()

    def _put(self, data: bytes) -> None:
        if self._transport is None:
            return
        size = self.pile.faults.split_writes
        if not size:
            if self._pieces:  # a torn write is still on its way
                self._pieces.append(data)
            else:
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
        elif self.pile.wants_close and not self._held:
            self._transport.close()
