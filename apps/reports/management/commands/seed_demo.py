"""`manage.py seed_demo`: a demo business."""

import json
import os
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.reports.demo.places import TENANTS
from apps.reports.demo.seed import RECENT_DAYS, seed


class Command(BaseCommand):
    """Exit codes: 0 the demo is there, 1 it cannot be made here."""

    help = (
        "Make a demo business: the platform's administrator, the tenants demo and second with six stations, piles, "
        "prices, staff, drivers with topped-up wallets, and their charges of the days before, written by the services "
        "that run the real ones. Always the same, by a fixed random seed. What is there already is left alone, so it "
        "can be run again and goes on where it was stopped. Staff log in as admin with the password in DEMO_PASSWORD."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How much of it."""
        parser.add_argument(
            "--tenant", choices=[tenant.code for tenant in TENANTS], help="only this tenant (default: both)"
        )
        parser.add_argument("--days", type=int, default=30, help="how many days of charges (default 30)")
        parser.add_argument(
            "--close",
            action="store_true",
            help="close the business days before the tenants were opened at the end",
        )
        parser.add_argument("--small", action="store_true", help="only the last days: about 200 charges")
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object at the end, and no progress"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed, with a line of progress for each day."""
        if not 1 <= options["days"] <= 365:
            raise CommandError("--days has to be from 1 to 365")
        if "sandbox" not in settings.RECHARGE_CHANNELS:
            raise CommandError("The demo pays through the sandbox channel: set RECHARGE_CHANNELS=sandbox.")

        def progress(line: str) -> None:
            if not options["json"]:
                self.stdout.write(f"- {line}")
                self.stdout.flush()

        result = seed(
            codes=[options["tenant"]] if options["tenant"] else [tenant.code for tenant in TENANTS],
            days=RECENT_DAYS if options["small"] else options["days"],
            password=os.environ.get("DEMO_PASSWORD") or "chargeplat-demo",
            progress=progress,
            close=options["close"],
        )
        if options["json"]:
            self.stdout.write(json.dumps(asdict(result)))
        else:
            progress(
                f"demo business: {result.tenants} tenants, {result.stations} stations, {result.piles} piles, "
                f"{result.orders} orders added"
            )
