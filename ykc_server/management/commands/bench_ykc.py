"""`make bench`: speed and memory of the gateway as ratios to a bare echo, and the way of a start from API to pile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import sys
import time
import uuid
from argparse import ArgumentParser
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import uvloop
from django.core.management.base import BaseCommand

from chargeplat import embedded
from ykc_server.bench import load
from ykc_server.bench.load import Errors, Exchange, Fleet
from ykc_server.bench.processes import Measured, free_port, server
from ykc_server.protocol.messages import RemoteStart, RemoteStartAck, RemoteStop

ROUNDS = 5
PILES = 200
IDLE_PILES = 10_000
WARM_PILES = 1_000
WAVE = 500
API_PILES = 1_000
API_CALLS = 200
DRIVERS = 200
START_TIMEOUT_S = 10.0
GOALS = {
    "heartbeat": (2.0, "x echo", "CPU per heartbeat, one in a write"),
    "charging": (8.0, "x echo", "CPU per frame of the charging mix, nine in a write"),
    "memory": (4.0, "x echo", "memory per idle logged-in pile"),
    "start": (25.0, "ms", "API call to 0x34 on the wire, p50, 1,000 piles connected"),
}


@dataclass
class Result:
    """One measure against its goal; `ours` and `echo` are what the ratio was made of (µs or KiB)."""

    name: str
    value: float
    values: list[float]
    ours: float | None = None
    echo: float | None = None

    @property
    def is_met(self) -> bool:
        return self.value <= GOALS[self.name][0]


class Command(BaseCommand):
    help = "Measure the gateway. Exit code 1: a goal was missed; 2: an answer was wrong or missing."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--only", choices=list(GOALS), nargs="+", default=list(GOALS), help="measure only these"
        )
        parser.add_argument(
            "--rounds", type=int, default=ROUNDS, help=f"rounds of each ratio, default {ROUNDS}"
        )
        parser.add_argument("--seconds", type=float, default=2.0, help="length of one saturated run")
        parser.add_argument(
            "--json", type=Path, default=None, help="where the figures go, default the state directory"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        state = embedded.state_dir()
        if state.name != "bench":
            # Embedded servers of its own: neither the demo's data nor somebody's real database are for this.
            environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
            environment |= {"CHARGEPLAT_STATE": str(state / "bench"), "LOG_LEVEL": "WARNING"}
            os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606
        services = embedded.services()
        services.start()
        try:
            services.ensure_database()
            errors = Errors()
            bench = Bench(state, options, errors, self.stdout.write)
            bench.pin(services)
            results = uvloop.run(bench.run())
        finally:
            services.stop()
        self.report(results, errors, options["json"] or state / "bench.json")

    def report(self, results: list[Result], errors: Errors, path: Path) -> None:
        """Print the table, write the figures and leave with the exit code."""
        self.stdout.write(f"\n{'measure':<58}{'value':>9} {'goal':>7} {'':<7}{'ours':>9}{'echo':>9}")
        for result in results:
            goal, unit, text = GOALS[result.name]
            parts = "".join(
                f"{part:>9.2f}" if part is not None else f"{'':>9}" for part in (result.ours, result.echo)
            )
            mark = "met" if result.is_met else "MISSED"
            self.stdout.write(f"{text:<58}{result.value:>9.2f} {goal:>7.2f} {unit:<7}{parts}  {mark}")
        met = sum(result.is_met for result in results)
        figures = {
            "results": [asdict(r) | {"goal": GOALS[r.name][0], "unit": GOALS[r.name][1]} for r in results],
            "errors": asdict(errors),
            "met": met,
            "of": len(results),
        }
        path.write_text(json.dumps(figures, indent=1))
        self.stdout.write(json.dumps(figures))
        self.stdout.write(f"answers: {errors.wrong} wrong, {errors.missing} missing")
        self.stdout.write(f"{met} of {len(results)} goals met")
        self.stdout.flush()
        sys.exit(2 if errors.total else int(met < len(results)))


class Bench:
    """The whole run, inside the generator's process and event loop."""

    def __init__(self, state: Path, options: dict[str, Any], errors: Errors, say: Any) -> None:
        self.state = state
        self.options = options
        self.errors = errors
        self.say = say
        cores = sorted(os.sched_getaffinity(0))
        self.server_core: int | None = cores[0] if len(cores) > 1 else None
        self.own_core: int | None = cores[1] if len(cores) > 1 else None
        self.began = time.monotonic()

    def pin(self, services: embedded.Services) -> None:
        """Keep this process and the database off the core of the servers under measurement."""
        if self.own_core is None:
            self.note("one core only: generator and server share it")
            return
        for pid in (0, *(process.pid for process in services.owned.values())):
            os.sched_setaffinity(pid, {self.own_core})

    def note(self, text: str) -> None:
        """Show progress."""
        self.say(f"[{time.monotonic() - self.began:5.1f} s] {text}")

    async def run(self) -> list[Result]:
        """Measure what was asked for."""
        from ykc_server.bench.business import make_business

        self.note("preparing tenant, piles and drivers")
        wanted = set(self.options["only"])
        count = IDLE_PILES if "memory" in wanted else API_PILES
        self.codes, self.tokens = await asyncio.to_thread(make_business, piles=count, drivers=DRIVERS)
        results = []
        if wanted & {"heartbeat", "charging"}:
            results += await self.speed(wanted)
        if "memory" in wanted:
            results.append(await self.memory())
        if "start" in wanted:
            results.append(await self.start())
        return results

    def gateway(self) -> Any:
        """Start a gateway on the servers' core."""
        port = free_port()
        command = ["manage.py", "run_ykc_server", "--host", "127.0.0.1", "--port", str(port)]
        return server(command, port, core=self.server_core, log=self.state / "gateway.log")

    def echo(self) -> Any:
        """Start an echo on the servers' core."""
        port = free_port()
        command = ["-m", "ykc_server.bench.echo", str(port)]
        return server(command, port, core=self.server_core, log=self.state / "echo.log")

    # -- CPU

    async def speed(self, wanted: set[str]) -> list[Result]:
        """CPU per frame, gateway and echo in turns, the median ratio of all rounds."""
        from ykc_server.bench.business import charging_in_database

        codes = self.codes[:PILES]
        mixes = {"heartbeat": load.heartbeat_exchanges, "charging": load.charging_exchanges}
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in mixes if name in wanted}
        with self.gateway() as gateway, self.echo() as echo:
            ours, theirs = Fleet(gateway.port, self.errors), Fleet(echo.port, self.errors)
            await ours.dial(codes)
            await theirs.dial(codes)
            await ours.log_in()
            for (
                make
            ) in mixes.values():  # also tells the gateway that every gun charges: a change, which costs more
                await ours.once(make)
            await gateway.quiet()
            for turn in range(self.options["rounds"]):
                for name, measured in figures.items():
                    make = mixes[name]
                    echo_us, echo_fps = await self._saturate(
                        theirs, lambda code, m=make: _echoed(m(code)), echo
                    )
                    own_us, own_fps = await self._saturate(ours, make, gateway)
                    measured.append((own_us, echo_us))
                    self.note(
                        f"{name} {turn + 1}: {own_us:.2f} µs against {echo_us:.2f} = {own_us / echo_us:.2f} x"
                        f" ({own_fps:,.0f} and {echo_fps:,.0f} frames/s)"
                    )
            if "charging" in wanted:
                stored = await asyncio.to_thread(charging_in_database, codes)
                self.errors.missing += len(codes) - stored
            ours.close()
            theirs.close()
        return [_ratio(name, measured) for name, measured in figures.items()]

    async def _saturate(self, fleet: Fleet, make: Any, process: Measured) -> tuple[float, float]:
        return await fleet.saturate(make, self.options["seconds"], process.cpu_s)

    # -- memory

    async def memory(self) -> Result:
        """KiB (Pss) that one more idle pile takes, after a first wave has come and gone."""
        figures = {}
        for name, starter in (("echo", self.echo), ("gateway", self.gateway)):
            with starter() as process:
                fleet = Fleet(process.port, self.errors)
                await self._connect(fleet, self.codes[:WARM_PILES], name)
                fleet.close()
                await process.quiet()
                before = process.pss_kib()
                await self._connect(fleet, self.codes, name)
                await asyncio.sleep(1.0)
                figures[name] = (process.pss_kib() - before) / len(self.codes)
                self.note(f"{name}: {figures[name]:.2f} KiB per idle pile ({len(self.codes):,} piles)")
                fleet.close()
        return Result(
            "memory", figures["gateway"] / figures["echo"], [], ours=figures["gateway"], echo=figures["echo"]
        )

    async def _connect(self, fleet: Fleet, codes: list[str], name: str) -> None:
        """Piles come in waves, as they do when they dial at their own time."""
        for start in range(0, len(codes), WAVE):
            wave = Fleet(fleet.port, self.errors)
            await wave.dial(codes[start : start + WAVE])
            if name == "gateway":
                await wave.log_in()
                await wave.once(load.heartbeat_exchanges)
            else:
                await wave.once(lambda code: [_same(load.login_frame(code), 1)])
                await wave.once(lambda code: _echoed(load.heartbeat_exchanges(code)))
            fleet.piles += wave.piles

    # -- a start

    async def start(self) -> Result:
        """Milliseconds from the API call until the pile has 0x34, one call after another."""
        codes = self.codes[:API_PILES]
        port = free_port()
        web = ["-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "chargeplat.asgi:application"]
        os.environ["DB_POOL"] = "true"
        with server(web, port, core=None, log=self.state / "web.log") as daphne:
            del os.environ["DB_POOL"]
            with self.gateway() as gateway:
                fleet = Fleet(gateway.port, self.errors)
                await fleet.dial(codes)
                await fleet.log_in()
                self.started: dict[str, asyncio.Future[tuple[float, bytes]]] = {}
                self.ended: dict[str, asyncio.Future[None]] = {}
                for pile in fleet.piles:
                    pile.on_frame = self._pile_frame
                    pile.transport.write(load.realtime(pile.code, charging=False).encode(b"\1\0"))
                await gateway.quiet()
                beating = asyncio.create_task(self._beat(fleet))
                delays = []
                used = daphne.cpu_s()
                for index in range(API_CALLS + 10):
                    delay_ms = await self._call(
                        daphne, codes[index % len(codes)], self.tokens[index % DRIVERS]
                    )
                    if index >= 10:  # the first ones load code
                        delays.append(delay_ms)
                web_ms = (daphne.cpu_s() - used) * 1e3 / (API_CALLS + 10)
                beating.cancel()
                await gateway.quiet()
                fleet.close()
        delays.sort()
        p99 = delays[int(len(delays) * 0.99)]
        p50 = statistics.median(delays)
        self.note(
            f"start: p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(delays)} calls; web {web_ms:.1f} ms CPU each"
        )
        return Result("start", p50, delays)

    async def _beat(self, fleet: Fleet) -> None:
        """Keep the piles online, a part of them every tenth of their interval."""
        beats = [(pile, load.heartbeat_exchanges(pile.code)[0].request) for pile in fleet.piles]
        for part in cycle(range(10)):
            for pile, frame in beats[part::10]:
                pile.transport.write(frame)
            await asyncio.sleep(1)

    def _pile_frame(self, pile: load.PileClient, frame: bytes) -> None:
        if frame[5] == RemoteStop.spec.kind and (ended := self.ended.get(pile.code)) is not None:
            if not ended.done():
                ended.set_result(None)
        elif frame[5] == RemoteStart.spec.kind and (waiting := self.started.get(pile.code)) is not None:
            if waiting.done():
                self.errors.wrong += 1  # one call, one start
                return
            waiting.set_result((time.perf_counter(), frame))
            # Refused, so that the order ends and the driver's money is free for the next run.
            refusal = RemoteStartAck(
                transaction_no=frame[6:22], pile_no=frame[22:29], gun_no=frame[29:30], result=0, fail_reason=3
            )
            pile.transport.write(refusal.encode(frame[2:4]))

    async def _call(self, daphne: Measured, code: str, token: str) -> float:
        loop = asyncio.get_running_loop()
        waiting = self.started[code] = loop.create_future()
        self.ended[code] = loop.create_future()
        body = json.dumps({"connector_code": f"{code}01", "preset_amount": "20.00"}).encode()
        head = (
            f"POST /api/v1/charges HTTP/1.1\r\nHost: bench.localhost:{daphne.port}\r\nAuthorization: Bearer {token}\r\n"
            f"Idempotency-Key: {uuid.uuid4().hex}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", daphne.port)
        began = time.perf_counter()
        writer.write(head.encode() + body)
        try:
            arrived, frame = await asyncio.wait_for(asyncio.shield(waiting), START_TIMEOUT_S)
        except TimeoutError:
            self.errors.missing += 1
            answer = await asyncio.wait_for(reader.read(), START_TIMEOUT_S)
            self.note(f"no 0x34 for {code}: {answer[:12]!r} … {answer[-120:]!r}")
            writer.close()
            return START_TIMEOUT_S * 1e3
        answer = await reader.read()
        writer.close()
        with contextlib.suppress(TimeoutError):
            # The refused start is given up with a stop: until then its own work would slow the next call down.
            await asyncio.wait_for(asyncio.shield(self.ended[code]), START_TIMEOUT_S)
        right = frame[22:29] == bytes.fromhex(code) and int.from_bytes(frame[46:50], "little") == 2_000
        if not right or not answer.startswith(b"HTTP/1.1 201"):
            self.errors.wrong += 1
        return (arrived - began) * 1e3


def _same(data: bytes, frames: int) -> Exchange:
    return Exchange(data, data, frames)


def _echoed(exchanges: list[Exchange]) -> list[Exchange]:
    return [_same(one.request, one.frames) for one in exchanges]


def _ratio(name: str, measured: list[tuple[float, float]]) -> Result:
    ratios = [ours / echo for ours, echo in measured]
    return Result(
        name,
        statistics.median(ratios),
        ratios,
        ours=statistics.median(ours for ours, _ in measured),
        echo=statistics.median(echo for _, echo in measured),
    )
