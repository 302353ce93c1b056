"""`make bench`: speed and memory of the gateway, nearly all as ratios of two figures of the same run."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop
from django.core.management.base import BaseCommand

from chargeplat import embedded
from ykc_server.bench import codec, idle, pace, speed, starts, storage
from ykc_server.bench.business import make_business
from ykc_server.bench.driver import live
from ykc_server.bench.goals import GOALS, Result
from ykc_server.bench.load import Errors
from ykc_server.bench.money import measures
from ykc_server.bench.stage import Stage

ROUNDS = 5
SECONDS = 2.0
MEASURES: dict[str, tuple[int, Callable[[Stage], Awaitable[list[Result]]]]] = {
    "heartbeat": (speed.PILES, lambda stage: speed.against_echo(stage, {"heartbeat"})),
    "charging": (speed.PILES, lambda stage: speed.against_echo(stage, {"charging"})),
    "stock": (2 * speed.PILES, speed.against_stock),
    "memory": (idle.PILES, idle.memory),
    "scale": (speed.MANY + speed.FEW, speed.scale),
    "pace": (pace.PILES, pace.pace),
    "start": (starts.API_PILES, starts.from_api),
    "command": (starts.PILES, starts.from_command),
    "records": (2 * storage.PILES, storage.records),
    "telemetry": (speed.PILES, storage.telemetry),
    "logins": (idle.PILES, idle.logins),
    "codec": (0, codec.codec),
    "books": (0, measures.pages),
    "pages": (0, measures.office),
    "near": (0, measures.near),
    "live": (live.PILES, live.live),
    "settlements": (measures.PILES, measures.settlements),
    "reconcile": (0, measures.reconcile),
}
"""What can be measured, and how many piles have to be registered for it."""


class Command(BaseCommand):
    help = "Measure the gateway. Exit code 1: a goal was missed; 2: an answer or a row was wrong or missing."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--only", choices=list(MEASURES), nargs="+", default=list(MEASURES), help="measure only these"
        )
        parser.add_argument(
            "--rounds", type=int, default=ROUNDS, help=f"rounds of each figure, default {ROUNDS}"
        )
        parser.add_argument(
            "--seconds", type=float, default=SECONDS, help=f"length of one run, default {SECONDS:g}"
        )
        parser.add_argument(
            "--chop",
            action="store_true",
            help="piles send every write in two segments; only the answers are judged, not the figures",
        )
        parser.add_argument(
            "--share", type=float, default=1.0, help="share of all numbers of piles, to try the command out"
        )
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
            numbers = {name: options[name] for name in ("rounds", "seconds", "share", "chop")}
            stage = Stage(state, self.stdout.write, **numbers)
            stage.pin(services)
            results = uvloop.run(measure(stage, options["only"]))
        finally:
            services.stop()
        self.report(results, stage.errors, options["json"] or state / "bench.json", chop=options["chop"])

    def report(self, results: list[Result], errors: Errors, path: Path, *, chop: bool) -> None:
        """Print the table, write the figures and leave with the exit code."""
        self.stdout.write(f"\n{'measure':<70}{'value':>9} {'goal':>9} {'':<7}{'ours':>12}{'other':>12}")
        for result in results:
            self.stdout.write(row(result))
        judged = [] if chop else [result for result in results if result.limit is not None]
        met = sum(result.is_met for result in judged)
        figures = {
            "results": [
                asdict(result) | {"goal": result.limit, "unit": GOALS[result.name].unit} for result in results
            ],
            "errors": asdict(errors),
            "chop": chop,
            "met": met,
            "of": len(judged),
        }
        path.write_text(json.dumps(figures, indent=1))
        self.stdout.write(json.dumps(figures))
        self.stdout.write(f"answers and rows: {errors.wrong} wrong, {errors.missing} missing")
        self.stdout.write(f"{met} of {len(judged)} goals met")
        self.stdout.flush()
        sys.exit(2 if errors.total else int(met < len(judged)))


async def measure(stage: Stage, wanted: list[str]) -> list[Result]:
    """Measure what was asked for."""
    stage.note("preparing tenant, piles and drivers")
    count = stage.some(max(MEASURES[name][0] for name in wanted))
    stage.codes, stage.tokens = await asyncio.to_thread(
        make_business,
        piles=max(count, 2),
        drivers=max(
            starts.DRIVERS if {"start", "settlements"} & set(wanted) else 1,
            stage.some(live.PILES) if "live" in wanted else 1,
        ),
    )
    results = []
    if {"heartbeat", "charging"} <= set(wanted):
        results += await speed.against_echo(stage, {"heartbeat", "charging"})
        wanted = [name for name in wanted if name not in ("heartbeat", "charging")]
    for name in MEASURES:
        if name in wanted:
            results += await MEASURES[name][1](stage)
    return results


def row(result: Result) -> str:
    """Return a result's line of the table."""
    goal = GOALS[result.name]
    parts = "".join(
        f"{part:>12,.2f}" if part is not None else f"{'':>12}" for part in (result.ours, result.other)
    )
    sign = ">=" if goal.at_least else "<="
    limit = f"{sign}{result.limit:>7.2f}" if result.limit is not None else f"{'':>9}"
    mark = "" if result.limit is None else "met" if result.is_met else "MISSED"
    note = f"  ({result.note})" if result.note else ""
    return f"{goal.text:<70}{result.value:>9.3g} {limit} {goal.unit:<7}{parts}  {mark}{note}"
