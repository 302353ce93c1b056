"""`manage.py reconcile`: hold our books against what piles say."""

from __future__ import annotations

import json
import sys
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.common.errors import DomainError
from apps.common.schema import run_in_schema
from apps.common.time import business_day, now
from apps.orders.energy_reconcile import reconcile_energy
from apps.tenancy.selectors import working_schemas
from apps.tenancy.services import schema_of


class Command(BaseCommand):
    """Exit codes: 0 all agrees or is resolved, 1 open differences, 2 a wrong argument or a day that is not over."""

    help = (
        "Reconcile one business day (yesterday by default) of one tenant or of all. Exit code 1 when differences are "
        "open. With --dry-run nothing is stored, and the differences counted are all that there are."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", help="code of one tenant; all of them by default")
        parser.add_argument("--day", help="business day as 2026-11-27; yesterday by default")
        parser.add_argument("--energy", action="store_true", help="piles against bills")
        parser.add_argument("--dry-run", action="store_true", help="compare and store nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:
        try:
            day = (
                date.fromisoformat(options["day"])
                if options["day"]
                else business_day(now()) - timedelta(days=1)
            )
        except ValueError as error:
            raise CommandError(
                f"--day {options['day']}: not a day such as 2026-11-27", returncode=2
            ) from error
        schemas = [schema_of(options["tenant"])] if options["tenant"] else working_schemas()
        lines = []
        for schema in schemas:
            try:
                run = run_in_schema(schema, reconcile_energy, day=day, dry_run=options["dry_run"])
            except DomainError as error:
                raise CommandError(f"{schema}: {error}", returncode=2) from error
            lines.append(
                {
                    "schema": schema,
                    "what": "energy",
                    "day": str(day),
                    "piles": run.piles,
                    "rows": run.charges,
                    "differences": run.differences,
                    "open": run.undecided,
                }
            )
        undecided = sum(line["open"] for line in lines)
        if options["json"]:
            self.stdout.write(
                json.dumps({"day": str(day), "open": undecided, "runs": lines}, ensure_ascii=False)
            )
        else:
            for line in lines:
                self.stdout.write(" ".join(f"{key}={value}" for key, value in line.items()))
        if undecided:
            sys.exit(1)
