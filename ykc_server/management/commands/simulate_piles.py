"""Run simulated piles in the place of a tenant's registered ones."""

import asyncio
import json
import signal
from argparse import ArgumentParser
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.common.management.base import BadArguments
from apps.common.schema import schema_context
from apps.piles.enums import PileKind
from apps.piles.selectors import piles_to_play
from apps.tenancy.models import Tenant
from ykc_server.simulator import Fleet, Habits, SimulatedPile
from ykc_server.simulator.profiles import PLAIN, choose
from ykc_server.simulator.scenario import BadScenario, Run, Scenario, load

SHOW_EVERY_S = 0.5


class Command(BaseCommand):
    help = "Connect simulated piles: the first N registered YKC piles of a tenant, until interrupted or for a scenario."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", required=True, help="the tenant's code")
        parser.add_argument("--count", type=int, help="how many piles, by pile code; all without it")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=9988)
        parser.add_argument("--speed", type=float, default=1, help="simulated seconds of charging per second")
        parser.add_argument("--plug-after", type=float, default=3, help="seconds until a missing plug comes")
        parser.add_argument(
            "--unplug-after", type=float, default=20, help="seconds until the plug goes after a charge"
        )
        parser.add_argument("--state", type=Path, help="JSON file that keeps unconfirmed records and meters")

        parser.add_argument(
            "--scenario", type=Path, help="TOML file that says what goes wrong, and ends the run"
        )
        parser.add_argument(
            "--seconds", type=float, help="how long the faults last, instead of what the file says"
        )
        parser.add_argument(
            "--summary", type=Path, help="JSON file for the summary and the numbers of all records"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["speed"] <= 0:
            raise BadArguments("--speed must be positive")
        if options["scenario"]:
            self.play(options)
        else:
            asyncio.run(self.run(registered_piles(options), options))

    def play(self, options: dict[str, Any]) -> None:
        """Run a scenario to its end. Exit code 1 if a record stayed unconfirmed."""
        try:
            scenario = load(options["scenario"])
        except BadScenario as error:
            raise BadArguments(str(error)) from None
        if options["seconds"]:
            scenario = replace(scenario, seconds=options["seconds"])
        count = options["count"] or scenario.piles
        before = _resident_kib()
        piles = registered_piles(options | {"speed": scenario.speed, "count": count}, scenario)
        fleet = Fleet(piles, options["host"], options["port"], state_path=options["state"])
        summary = asyncio.run(self.watch(Run(scenario, fleet, self.say)))
        summary["kib_per_pile"] = round((_resident_kib() - before) / len(piles), 1)
        if options["summary"]:
            options["summary"].write_text(json.dumps(summary))
        self.say(json.dumps(summary | {"transactions": len(summary["transactions"])}))
        if summary["records_waiting"]:
            raise CommandError(f"{summary['records_waiting']} records were never confirmed")

    async def watch(self, run: Run) -> dict[str, Any]:
        """Run a scenario; at a signal it ends early, with a summary."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run.end_now)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, run.end_now)
        return await run.run()

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    async def run(self, piles: list[SimulatedPile], options: dict[str, Any]) -> None:
        fleet = Fleet(piles, options["host"], options["port"], state_path=options["state"])
        work = asyncio.ensure_future(fleet.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, work.cancel)
        shown = -1
        while not work.done():
            if fleet.online != shown:
                shown = fleet.online
                self.stdout.write(f"{shown} of {len(piles)} piles online")
                self.stdout.flush()
            await asyncio.wait([work], timeout=SHOW_EVERY_S)
        if not work.cancelled():
            work.result()


def _resident_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def registered_piles(options: dict[str, Any], scenario: Scenario | None = None) -> list[SimulatedPile]:
    """Return simulated piles for the registered ones, of the makes that a scenario wants.

    Raises:
        BadArguments: the tenant is unknown or has none.
    """
    tenant = Tenant.objects.filter(code=options["tenant"]).first()
    if tenant is None:
        raise BadArguments(f"no tenant {options['tenant']!r}")
    habits = Habits(timedelta(seconds=options["plug_after"]), timedelta(seconds=options["unplug_after"]))
    random = Random(scenario.seed if scenario else 0)
    with schema_context(tenant.schema_name):
        piles = [
            SimulatedPile(
                row.pile_code,
                guns={gun.connector_no: int(gun.power_kw * 1000) for gun in row.connectors.all()},
                is_ac=row.kind == PileKind.AC,
                time_scale=options["speed"],
                habits=habits,
                profile=choose(scenario.profiles, is_ac=row.kind == PileKind.AC, random=random)
                if scenario
                else PLAIN,
            )
            for row in piles_to_play(count=options["count"]).prefetch_related("connectors")
        ]
    if not piles:
        raise BadArguments(f"tenant {options['tenant']!r} has no YKC piles: create_piles makes some")
    return piles
