"""Run simulated piles in the place of a tenant's registered ones."""

import asyncio
import signal
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.common.schema import schema_context
from apps.piles.enums import PileKind, PileState
from apps.piles.models import Pile
from apps.tenancy.models import Tenant
from ykc_server.simulator import Fleet, Habits, SimulatedPile

SHOW_EVERY_S = 0.5


class Command(BaseCommand):
    help = "Connect simulated piles: the first N registered YKC piles of a tenant, until interrupted."

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

    def handle(self, *args: Any, **options: Any) -> None:
        if options["speed"] <= 0:
            raise CommandError("--speed must be positive")
        asyncio.run(self.run(registered_piles(options), options))

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


def registered_piles(options: dict[str, Any]) -> list[SimulatedPile]:
    """Return simulated piles for the registered ones.

    Raises:
        CommandError: the tenant is unknown or has none.
    """
    tenant = Tenant.objects.filter(code=options["tenant"]).first()
    if tenant is None:
        raise CommandError(f"no tenant {options['tenant']!r}")
    habits = Habits(timedelta(seconds=options["plug_after"]), timedelta(seconds=options["unplug_after"]))
    with schema_context(tenant.schema_name):
        rows = Pile.objects.filter(protocol="ykc", connectors__isnull=False).exclude(state=PileState.RETIRED)
        piles = [
            SimulatedPile(
                row.pile_code,
                guns={gun.connector_no: int(gun.power_kw * 1000) for gun in row.connectors.all()},
                is_ac=row.kind == PileKind.AC,
                time_scale=options["speed"],
                habits=habits,
            )
            for row in rows.distinct()
            .order_by("pile_code")
            .prefetch_related("connectors")[: options["count"]]
        ]
    if not piles:
        raise CommandError(f"tenant {options['tenant']!r} has no YKC piles: create_piles makes some")
    return piles
