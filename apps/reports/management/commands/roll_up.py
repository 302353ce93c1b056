"""`manage.py roll_up`: sum up business days for the finance reports, as often as one likes."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.common.schema import schema_context
from apps.common.time import business_day, now, read_day
from apps.reports import rollups
from apps.tenancy.management.choosing import schemas_named


class Command(BaseCommand):
    """Exit codes: 0 summed up, 1 --check found a difference, 2 wrong arguments."""

    help = (
        "Sum up orders, refunds and fees of business days for the finance reports. Without --from and --to: today, and "
        "all days that were not summed up since their end. Doing it again changes nothing. --check compares what was "
        "summed up with the ledger, to the fen."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose days, and which."""
        parser.add_argument("--tenant", help="code of one tenant; all of them by default")
        parser.add_argument("--from", dest="first", type=read_day, help="first day, YYYY-MM-DD")
        parser.add_argument("--to", dest="last", type=read_day, help="last day (default: the first)")
        parser.add_argument("--check", action="store_true", help="compare with the ledger afterwards")
        parser.add_argument("--dry-run", action="store_true", help="only say which days it would be")
        parser.add_argument("--json", action="store_true", help="print one JSON object, and no progress")

    def handle(self, *args: Any, **options: Any) -> None:
        """One tenant after the other."""
        first, last = options["first"], options["last"] or options["first"]
        if last is not None and (first is None or first > last):
            raise CommandError("--from has to be there and not behind --to.", returncode=2)
        schemas = schemas_named(options["tenant"])
        result: dict[str, Any] = {}
        for schema in schemas:
            with schema_context(schema):
                result[schema] = self._tenant(schema, first, last, options)
        if options["json"]:
            self.stdout.write(json.dumps(result))
        if any(one["differences"] for one in result.values()):
            sys.exit(1)

    def _tenant(
        self, schema: str, first: date | None, last: date | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        moment = now()
        if first is None or last is None:
            days = sorted(rollups.due_days(at=moment))
        else:
            days = list(rollups.days(first, min(last, business_day(moment))))
        orders = 0
        for day in [] if options["dry_run"] else days:
            rolled = rollups.roll_day(day)
            orders += rolled.orders
            self._say(options, f"{schema}: {day} {rolled.orders} orders")
        if not options["dry_run"]:
            rollups.roll_due_months()
        found = []
        if options["check"] and days:
            found = rollups.differences(first=days[0], last=days[-1])
            for one in found:
                text = f"{schema}: {one.day} {one.figure} {one.rolled} instead of {one.ledger}"
                self._say(options, text)
        verb = "to sum up" if options["dry_run"] else "summed up"
        self._say(options, f"{schema}: {len(days)} days {verb}, {len(found)} differences")
        return {
            "days": [day.isoformat() for day in days],
            "rolled": not options["dry_run"],
            "orders": orders,
            "differences": [
                {
                    "day": one.day.isoformat(),
                    "figure": one.figure,
                    "rolled": str(one.rolled),
                    "ledger": str(one.ledger),
                }
                for one in found
            ],
        }

    def _say(self, options: dict[str, Any], text: str) -> None:
        if not options["json"]:
            self.stdout.write(text)
            self.stdout.flush()
