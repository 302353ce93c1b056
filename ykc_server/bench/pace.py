"""Guns at their real pace (YKC V1.6: a heartbeat every 10 s; while charging 0x13, 0x23 and 0x25 every 15 s)."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

from apps.piles.models import Telemetry
from ykc_server.bench import load
from ykc_server.bench.goals import GOALS, Result, percentile
from ykc_server.bench.load import Fleet, PileClient
from ykc_server.bench.stage import Stage, undisturbed

PILES = 10_000
CYCLE_S = 30.0
IDLE_REPORT_CYCLES = 10
"""An idle gun reports every 5 minutes."""
WINDOW_S = 5.0
CALM_S = 0.3
"""CPU seconds in a second, below which a gateway does no more than answer piles at their pace."""
TABLE = Telemetry._meta.db_table


class Pace:
    """Plays the day of a fleet: each write at its time, and each heartbeat's answer checked and timed.

    `echoed` for a server that sends everything back. `latencies_ms` is emptied by whoever reads it; `rows` counts what
    has to be in the table of telemetry; frames that are no answer go to `on_other`.
    """

    def __init__(self, fleet: Fleet, *, charging: int, echoed: bool = False) -> None:
        self.fleet = fleet
        self.echoed = echoed
        self.latencies_ms: list[float] = []
        self.rows = 0
        self.on_other: Callable[[PileClient, bytes], None] | None = None
        self._cycle = 0
        self._next = 0
        self._running: asyncio.Task[None] | None = None
        events: list[tuple[float, PileClient, int]] = []
        for index, pile in enumerate(fleet.piles):
            pile.on_frame = self._frame
            phase = (index * 0.6180339887) % 1 * 10  # spread evenly, whatever the number of piles
            events += [(phase + 10 * turn, pile, 0x03) for turn in range(3)]
            if index < charging:
                for half in range(2):
                    events += [
                        (0.5 + phase + 15 * half + 1.3 * place, pile, kind)
                        for place, kind in enumerate((0x13, 0x23, 0x25))
                    ]
            else:
                events.append((phase + 5, pile, 0x12))
        self.events = sorted(
            (at % CYCLE_S, index, pile, kind) for index, (at, pile, kind) in enumerate(events)
        )

    def report(self, charging: int) -> None:
        """All guns say at once what they do, as they do when they have logged in."""
        for index, pile in enumerate(self.fleet.piles):
            if index < charging:
                self._send(pile, 0x13)
            else:
                self._idle(pile)

    def start(self) -> None:
        """Send from now on."""
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Send nothing more, and count answers that do not come within a while as missing."""
        if self._running is not None:
            if self._running.done():
                self._running.result()  # it goes on for ever, unless a pile could not send
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        deadline = time.monotonic() + load.ANSWER_TIMEOUT_S
        while time.monotonic() < deadline and any(p.pending for p in self.fleet.piles):  # noqa: ASYNC110 - rare
            await asyncio.sleep(0.05)
        self.fleet.errors.missing += sum(len(pile.pending) for pile in self.fleet.piles)

    async def _run(self) -> None:
        began = time.perf_counter()
        while True:
            passed = time.perf_counter() - began
            while (due := self._cycle * CYCLE_S + self.events[self._next][0]) <= passed:
                _, index, pile, kind = self.events[self._next]
                if kind != 0x12:
                    self._send(pile, kind)
                elif (self._cycle + index) % IDLE_REPORT_CYCLES == 0:
                    self._idle(pile)
                self._next += 1
                if self._next == len(self.events):
                    self._cycle, self._next = self._cycle + 1, 0
            await asyncio.sleep(min(max(due - passed, 0.0), 0.001))

    def _send(self, pile: PileClient, kind: int) -> None:
        sequence = (pile.answered & 0xFFFF).to_bytes(2, "little")
        if kind == 0x03:
            exchange = load.heartbeat(pile.code, sequence)
            pile.pending.append((exchange.request if self.echoed else exchange.answer, time.perf_counter()))
            pile.write(exchange.request)
            return
        if kind == 0x13:
            frame = load.realtime(pile.code, charging=True, energy=pile.answered).encode(sequence)
        else:
            frame = load.battery(pile.code, kind, sequence)
        self.rows += 1
        self._data(pile, frame)

    def _idle(self, pile: PileClient) -> None:
        self._data(pile, load.realtime(pile.code, charging=False).encode(b"\0\0"))

    def _data(self, pile: PileClient, frame: bytes) -> None:
        if self.echoed:
            pile.pending.append((frame, 0.0))
        pile.write(frame)

    def _frame(self, pile: PileClient, frame: bytes) -> None:
        arrived = time.perf_counter()
        if pile.pending and frame == pile.pending[0][0]:
            since = pile.pending.popleft()[1]
            if since:
                pile.answered += 1
                self.latencies_ms.append((arrived - since) * 1e3)
        elif self.on_other is not None:
            self.on_other(pile, frame)
        else:
            self.fleet.errors.wrong += 1


async def pace(stage: Stage) -> list[Result]:
    """Time of heartbeats' answers with all writers on, against an echo beside a process that stores as many rows."""
    p99s: dict[str, list[float]] = {}
    worst: dict[str, float] = {}
    codes = stage.piles(PILES)
    charging = len(codes) // 2
    rows_per_s = charging * 6 / CYCLE_S
    for name in ("echo", "gateway"):
        with stage.echo() if name == "echo" else stage.gateway() as process:
            fleet = stage.fleet(process)
            await fleet.dial(codes)
            if name == "gateway":
                await fleet.log_in()
            play: Any = Pace(fleet, charging=charging, echoed=name == "echo")
            if name == "gateway":
                await asyncio.to_thread(stage.empty, TABLE)
                play.report(charging)
            beside = stage.helper("beside", stage.schema, str(rows_per_s)) if name == "echo" else None
            if beside is not None:
                beside.__enter__()
            try:
                with undisturbed():
                    play.start()
                    await process.quiet(below_s=CALM_S)  # every gun's first report is a change
                    p99s[name], worst[name] = await _windows(stage, play, name)
            finally:
                if beside is not None:
                    beside.__exit__(None, None, None)
            if name == "gateway":
                stored = await stage.settled(TABLE, play.rows)
                stage.errors.missing += abs(play.rows - stored)
                stage.note(f"pace: {stored} of {play.rows} rows stored")
            fleet.close()
    await asyncio.to_thread(stage.empty, TABLE)
    ours, echo = statistics.median(p99s["gateway"]), statistics.median(p99s["echo"])
    limit = GOALS["pace_p99"].limit or 0.0
    return [
        Result("pace_p99", ours, p99s["gateway"], ours=ours, other=echo, goal=max(limit, 3 * echo)),
        Result("pace_worst", worst["gateway"], ours=worst["gateway"], other=worst["echo"]),
    ]


async def _windows(stage: Stage, play: Pace, name: str) -> tuple[list[float], float]:
    """Return the p99 of each round, and the slowest answer of all."""
    p99s, worst = [], 0.0
    for turn in range(stage.rounds):
        play.latencies_ms.clear()
        await asyncio.sleep(WINDOW_S * min(stage.seconds / 2, 1.0))
        some = play.latencies_ms.copy()
        if not some:
            stage.errors.missing += 1
            continue
        p99s.append(percentile(some, 0.99))
        worst = max(worst, *some)
        stage.note(
            f"pace, {name} {turn + 1}: p50 {percentile(some, 0.5):.2f} ms, p99 {p99s[-1]:.2f} ms, "
            f"worst {max(some):.1f} ms of {len(some)} heartbeats"
        )
    await play.stop()
    return p99s or [0.0], worst
