"""CPU per frame: against an echo, against a stock consumer, and with many piles against few."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from apps.piles.models import Telemetry
from ykc_server.bench import load
from ykc_server.bench.business import charging_in_database
from ykc_server.bench.goals import Result, ratio
from ykc_server.bench.load import Exchange, Fleet
from ykc_server.bench.processes import Measured
from ykc_server.bench.stage import Stage, undisturbed

PILES = 200
PACE_FRAMES_PER_S = 40_000
ROWS_PER_FRAME = 6 / 9
"""Of the charging mix: two each of 0x13, 0x23 and 0x25 become rows."""
FEW, MANY = 500, 18_000
SCALE_FRAMES_PER_S = 2_000
TABLE = Telemetry._meta.db_table

Make = Callable[[str], Sequence[Exchange]]
MIXES: dict[str, Make] = {"heartbeat": load.heartbeat_exchanges, "charging": load.charging_exchanges}


def echoed(make: Make) -> Make:
    """Return the same exchanges as an echo answers them."""
    return lambda code: [same(one.request, one.frames) for one in make(code)]


def same(data: bytes, frames: int) -> Exchange:
    """Return the exchange of an echo."""
    return Exchange(data, data, frames)


async def introduce(fleet: Fleet, process: Measured, stage: Stage) -> None:
    """Log in and say once that the guns charge: that is a change, which costs more than the reports after it."""
    await fleet.log_in()
    for make in MIXES.values():
        await fleet.once(make)
    await process.quiet()
    await stage.settled(TABLE, -1)


async def against_echo(stage: Stage, wanted: set[str]) -> list[Result]:
    """CPU per frame, gateway and echo in turns, the median ratio of all rounds.

    Heartbeats one by one as fast as they are answered; the charging mix at a pace at which every row of telemetry has
    to be stored, and as fast as it goes, where rows may be dropped.
    """
    codes = stage.piles(PILES)
    figures: dict[str, list[tuple[float, float]]] = {
        "heartbeat": [],
        "charging": [],
        "charging_saturated": [],
    }
    rates: list[float] = []
    dropped = rows = 0
    with stage.gateway() as gateway, stage.echo() as echo:
        ours, theirs = stage.fleet(gateway), stage.fleet(echo)
        await ours.dial(codes)
        await theirs.dial(codes)
        await introduce(ours, gateway, stage)
        with undisturbed():
            for turn in range(stage.rounds):
                if "heartbeat" in wanted:
                    make = MIXES["heartbeat"]
                    echo_us, _ = await theirs.saturate(echoed(make), stage.seconds, echo.cpu_s)
                    own_us, _ = await ours.saturate(make, stage.seconds, gateway.cpu_s)
                    figures["heartbeat"].append((own_us, echo_us))
                    tell(stage, "heartbeat", turn, own_us, echo_us)
                if "charging" in wanted:
                    make = MIXES["charging"]
                    pace = PACE_FRAMES_PER_S * stage.share
                    await asyncio.to_thread(stage.empty, TABLE)
                    echo_us, _ = await theirs.in_bursts(echoed(make), pace, stage.seconds, echo.cpu_s)
                    own_us, sent = await ours.in_bursts(make, pace, stage.seconds, gateway.cpu_s)
                    rates.append(sent * 9 / stage.seconds)
                    stage.errors.missing += abs(sent * 6 - await stage.settled(TABLE, sent * 6))
                    figures["charging"].append((own_us, echo_us))
                    tell(
                        stage,
                        "charging",
                        turn,
                        own_us,
                        echo_us,
                        f"{rates[-1]:,.0f} frames/s, {sent * 6} rows",
                    )

                    await asyncio.to_thread(stage.empty, TABLE)
                    echo_us, _ = await theirs.saturate(echoed(make), stage.seconds, echo.cpu_s)
                    before = ours.answered()
                    own_us, per_s = await ours.saturate(make, stage.seconds, gateway.cpu_s)
                    sent = round((ours.answered() - before) * ROWS_PER_FRAME)
                    missing = sent - await stage.settled(TABLE, sent)
                    dropped, rows = dropped + missing, rows + sent
                    figures["charging_saturated"].append((own_us, echo_us))
                    text = f"{per_s:,.0f} frames/s, {missing} of {sent} rows dropped"
                    tell(stage, "charging, saturated", turn, own_us, echo_us, text)
        if "charging" in wanted:
            stored = await asyncio.to_thread(charging_in_database, codes)
            stage.errors.missing += len(codes) - stored
            await asyncio.to_thread(stage.empty, TABLE)
        ours.close()
        theirs.close()
    notes = {
        "charging": f"{statistics.median(rates):,.0f} frames/s" if rates else "",
        "charging_saturated": f"{dropped / max(rows, 1):.1%} of the rows dropped",
    }
    return [ratio(name, pairs, note=notes.get(name, "")) for name, pairs in figures.items() if pairs]


async def against_stock(stage: Stage) -> list[Result]:
    """CPU per frame, gateway and the same handlers on a stock Channels consumer in turns, saturated."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in MIXES}
    with stage.gateway() as gateway, stage.helper("stock") as stock:
        ours, theirs = stage.fleet(gateway), stage.fleet(stock)
        await ours.dial(stage.piles(PILES))
        await theirs.dial(stage.piles(PILES, after=PILES))
        await introduce(ours, gateway, stage)
        await introduce(theirs, stock, stage)
        with undisturbed():
            for turn in range(stage.rounds):
                for name, make in MIXES.items():
                    stock_us, _ = await theirs.saturate(make, stage.seconds, stock.cpu_s)
                    own_us, _ = await ours.saturate(make, stage.seconds, gateway.cpu_s)
                    figures[name].append((own_us, stock_us))
                    tell(stage, f"{name}, stock consumer", turn, own_us, stock_us)
        ours.close()
        theirs.close()
    await asyncio.to_thread(stage.empty, TABLE)
    return [ratio(f"stock_{name}", pairs, inverse=True) for name, pairs in figures.items()]


async def scale(stage: Stage) -> list[Result]:
    """CPU per heartbeat at the same heartbeats/s in all, spread over many piles or over few."""
    pace = SCALE_FRAMES_PER_S * min(stage.share * 10, 1.0)
    measured = []
    with ExitStack() as stack:
        sides = []
        for count, after in ((MANY, 0), (FEW, MANY)):
            process = stack.enter_context(stage.gateway())
            fleet = stage.fleet(process)
            await fleet.dial(stage.piles(count, after=after))
            await fleet.log_in()
            for pile in fleet.piles:  # else it is asked for one 10 s later
                pile.write(load.realtime(pile.code, charging=False).encode(b"\1\0"))
            sides.append((fleet, process))
        for _, process in sides:
            await process.quiet()
        with undisturbed():
            for turn in range(stage.rounds):
                used = []
                for fleet, process in sides:
                    us, _ = await fleet.in_bursts(
                        load.heartbeat_exchanges, pace, stage.seconds, process.cpu_s
                    )
                    used.append(us)
                measured.append((used[0], used[1]))
                tell(stage, "scale", turn, used[0], used[1])
        for fleet, _ in sides:
            fleet.close()
    return [ratio("scale", measured)]


def tell(stage: Stage, name: str, turn: int, ours: float, other: float, more: str = "") -> None:  # noqa: PLR0917
    """Note one round."""
    stage.note(
        f"{name} {turn + 1}: {ours:.2f} µs against {other:.2f}, {ours / other:.2f} x or {other / ours:.2f} x less"
        f"{f' ({more})' if more else ''}"
    )
