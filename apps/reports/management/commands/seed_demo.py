"""`manage.py seed_demo`: a demo business."""

import json
import os
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.common.management.base import BadArguments
from apps.reports.demo.places import TENANTS
from apps.reports.demo.seed import RECENT_DAYS, seed
from apps.tenancy.models import Tenant


class Command(BaseCommand):
    """Exit codes: 0 the demo is there (or could be made), 1 it cannot be made here, 2 wrong arguments."""

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
            "--dry-run", action="store_true", help="only say which tenants it would open, and which are there"
        )
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object at the end, and no progress"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed, with a line of progress for each day."""
        if not 1 <= options["days"] <= 365:
            raise BadArguments("--days has to be from 1 to 365")
        if "sandbox" not in settings.RECHARGE_CHANNELS:
            raise CommandError("The demo pays through the sandbox channel: set RECHARGE_CHANNELS=sandbox.")

        codes = [options["tenant"]] if options["tenant"] else [tenant.code for tenant in TENANTS]
        if options["dry_run"]:
            self._would_be(codes, options)
            return

        def progress(line: str) -> None:
            if not options["json"]:
                self.stdout.write(f"- {line}")
                self.stdout.flush()

        result = seed(
            codes=codes,
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

    def _would_be(self, codes: list[str], options: dict[str, Any]) -> None:
        there = set(Tenant.objects.filter(code__in=codes).values_list("code", flat=True))
        if options["json"]:
            new = [code for code in codes if code not in there]
            self.stdout.write(json.dumps({"dry_run": True, "open": new, "there": sorted(there)}))
            return
        for code in codes:
            known = "is there; what is missing would be added" if code in there else "would be opened"
            self.stdout.write(f"tenant {code} {known}")
        self.stdout.write("Nothing was written.")
