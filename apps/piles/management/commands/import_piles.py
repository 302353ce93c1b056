"""`manage.py import_piles`: register piles from a table (xlsx or CSV)."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.management.base import FOUND, BadArguments, refused
from apps.common.schema import schema_context
from apps.piles import sheets
from apps.sites.models import Station
from apps.tenancy.management.choosing import schema_named


class Command(BaseCommand):
    """Exit codes: 0 every row is registered, 1 nothing was, or some rows were left out, 2 wrong arguments."""

    help = (
        "Register piles from a table (xlsx or CSV, the columns of --template). If a row has an error, nothing is "
        "registered, unless --only-good says to take the good rows; the exit code is 1 either way."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which table, for whom."""
        parser.add_argument("--tenant", help="the tenant's code")
        parser.add_argument("file", nargs="?", type=Path, help="the table")
        parser.add_argument(
            "--template", type=Path, help="write an empty table (.xlsx or .csv) here, and end"
        )
        parser.add_argument("--only-good", action="store_true", help="take the rows without errors")
        parser.add_argument("--dry-run", action="store_true", help="only say what is wrong in which row")
        parser.add_argument("--json", action="store_true", help="print one JSON object at the end")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look at all rows, then take them."""
        if target := options["template"]:
            target.write_bytes(sheets.template("csv" if target.suffix == ".csv" else "xlsx"))
            self.stdout.write(f"template written to {target}")
            return
        if not options["tenant"] or not options["file"]:
            raise BadArguments("--tenant and the table are needed")
        try:
            schema = schema_named(options["tenant"])
            with schema_context(schema), options["file"].open("rb") as file:
                stations = {station.station_no: station for station in Station.objects.all()}
                preview = sheets.look_at(file, stations=stations)
                takes = bool(preview.good) and (not preview.bad or options["only_good"])
                made = 0
                if takes and not options["dry_run"]:
                    actor = Actor("command", name="import_piles")
                    made = len(sheets.take(preview, actor=actor, only_good=options["only_good"]))
        except OSError as error:
            raise BadArguments(f"{options['file']}: {error.strerror}") from error
        except DomainError as error:
            refused(self, options, error)
        errors = [{"row": row.number, "errors": row.errors} for row in preview.bad]
        answer = {
            "rows": len(preview.rows),
            "good": len(preview.good),
            "registered": made,
            "dry_run": options["dry_run"],
            "errors": errors,
        }
        lines = [f"row {row.number}: {'; '.join(row.errors)}" for row in preview.bad]
        verb = "would be registered" if options["dry_run"] else "registered"
        count = len(preview.good) if takes and options["dry_run"] else made
        self._say(options, answer, "\n".join([*lines, f"{count} of {len(preview.rows)} piles {verb}"]))
        if preview.bad or not takes:
            sys.exit(FOUND)

    def _say(self, options: dict[str, Any], answer: dict[str, Any], text: str) -> None:
        self.stdout.write(json.dumps(answer, ensure_ascii=False) if options["json"] else text)
