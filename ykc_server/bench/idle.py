"""What piles cost that do nothing, and what they cost when all of them come at once."""

from __future__ import annotations

import asyncio

from ykc_server.bench import load
from ykc_server.bench.goals import Result, ratio
from ykc_server.bench.processes import Measured
from ykc_server.bench.speed import echoed, same
from ykc_server.bench.stage import Stage, undisturbed

PILES = 10_000
WARM_PILES = 1_000
WAVE = 500


async def memory(stage: Stage) -> list[Result]:
    """KiB (Pss) that one more idle pile takes, after a first wave has come and gone. New processes each round."""
    measured = []
    for turn in range(stage.rounds):
        figures = {}
        for name, starter in (("echo", stage.echo), ("gateway", stage.gateway)):
            with starter() as process:
                codes = stage.piles(PILES)
                await _connect(stage, process, codes[: stage.some(WARM_PILES)], name)
                await process.quiet()
                before = process.pss_kib()
                fleet = await _connect(stage, process, codes, name, close=False)
                await asyncio.sleep(1.0)
                figures[name] = max(process.pss_kib() - before, 1) / len(codes)
                fleet.close()
        measured.append((figures["gateway"], figures["echo"]))
        stage.note(
            f"memory {turn + 1}: {figures['gateway']:.2f} KiB per idle pile, echo {figures['echo']:.2f}"
        )
    return [ratio("memory", measured)]


async def _connect(
    stage: Stage, process: Measured, codes: list[str], name: str, *, close: bool = True
) -> load.Fleet:
    """Piles come in waves, as they do when they dial at their own time."""
    fleet = stage.fleet(process)
    for start in range(0, len(codes), WAVE):
        wave = stage.fleet(process)
        await wave.dial(codes[start : start + WAVE])
        if name == "gateway":
            await wave.log_in()
            await wave.once(load.heartbeat_exchanges)
        else:
            await wave.once(lambda code: [same(load.login_frame(code), 1)])
            await wave.once(echoed(load.heartbeat_exchanges))
        fleet.piles += wave.piles
    if close:
        fleet.close()
    return fleet


async def logins(stage: Stage) -> list[Result]:
    """Piles dial and log in as fast as they are let: CPU of the process until the last one is in, none lost.

    The stock consumer uses the same batches of look-ups, and adds every pile to a group of its own.
    """
    codes = stage.piles(PILES)
    measured, commands, times = [], [], []
    with stage.gateway() as gateway, stage.helper("stock", "group") as stock, undisturbed():
        await stock.quiet()
        await gateway.quiet()
        for turn in range(stage.rounds):
            used = []
            for process in (stock, gateway):
                fleet = stage.fleet(process)
                cpu, redis = process.cpu_s(), stage.redis_commands()
                began = asyncio.get_running_loop().time()
                await fleet.dial(codes)
                await fleet.log_in()
                lasted = asyncio.get_running_loop().time() - began
                used.append(max(process.cpu_s() - cpu, load.TICK_S))
                redis = stage.redis_commands() - redis
                fleet.close()
                await process.quiet()  # its farewells are not the other's work
                if process is gateway:
                    commands.append(redis / len(codes))
                    times.append(lasted)
                stage.note(
                    f"logins {turn + 1}, {'gateway' if process is gateway else 'stock consumer'}: "
                    f"{used[-1]:.2f} s CPU, all in after {lasted:.1f} s, {redis} Redis commands"
                )
            measured.append((used[1], used[0]))
    commands.sort()
    return [
        ratio("logins", measured, inverse=True, note=f"all in after {sorted(times)[len(times) // 2]:.1f} s"),
        Result("login_redis", commands[len(commands) // 2], commands),
    ]
