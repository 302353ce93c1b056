"""`manage.py close_day`: close business days, so that nothing can be booked on them any more."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand

from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.schema import schema_context
from apps.common.time import read_day
from apps.orders import closing
from apps.tenancy.management.choosing import schemas_named
from apps.wallet import books

ACTOR = Actor("command", name="close_day")


class Command(BaseCommand):
    """Exit codes: 0 the days are closed, 1 differences were found or a day cannot be closed, 2 wrong arguments."""

    help = (
        "Check the ledger, then close every open business day up to --day, oldest first: its entries and balances are "
        "summed and hashed, the hash chained to the day before, and nothing can be booked on it any more. What is "
        "closed stays as it is, so it can be run again. A tenant with differences is left open (see check_ledger)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose books, up to which day."""
        parser.add_argument("--tenant", help="code of one tenant; all of them by default")
        parser.add_argument(
            "--day",
            type=read_day,
            help="last day to close, YYYY-MM-DD (default: the last that is over)",
        )
        parser.add_argument("--dry-run", action="store_true", help="only show what would be closed")
        parser.add_argument(
            "--skip-check", action="store_true", help="close without checking the ledger first"
        )
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object at the end, and no progress"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """One tenant after the other; one that cannot be closed does not keep the next from it."""
        schemas = schemas_named(options["tenant"])
        report: dict[str, dict[str, Any]] = {}
        for schema in schemas:
            with schema_context(schema):
                try:
                    report[schema] = self._tenant(schema, options)
                except DomainError as error:
                    report[schema] = {"closed": [], "error": error.code}
                    self._say(options, f"{schema}: {error}")
        wrong = [schema for schema, one in report.items() if one.get("error") or one.get("differences")]
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            done = sum(len(one["closed"]) for one in report.values())
            verb = "to close" if options["dry_run"] else "closed"
            self.stdout.write(f"{done} days {verb}, {len(wrong)} of {len(report)} tenants left open")
        if wrong:
            sys.exit(1)

    def _tenant(self, schema: str, options: dict[str, Any]) -> dict[str, Any]:
        until = options["day"] or books.closable_until()
        if options["dry_run"]:
            if until > books.closable_until():
                raise books.DayNotOver(day=until)
            days = books.preview(until=until)
            for day in days:
                self._say(options, f"{schema}: {day.day} {day.entries} entries, {day.moved} yuan")
            return {"closed": [_figures(day.day, day.entries, day.moved) for day in days], "differences": 0}

        def progress(day: Any) -> None:
            self._say(
                options,
                f"{schema}: {day.day} closed, {day.entries} entries, {day.moved} yuan, {day.digest[:16]}",
            )

        if options["skip_check"]:
            found, days = 0, books.close_days(until=until, actor=ACTOR, progress=progress)
        else:
            check, days = closing.close_books(actor=ACTOR, until=until, progress=progress)
            found = check.differences
            if found:
                self._say(options, f"{schema}: {found} differences, nothing is closed (see check_ledger)")
        closed = [{**_figures(day.day, day.entries, day.moved), "digest": day.digest} for day in days]
        return {"closed": closed, "differences": found}

    def _say(self, options: dict[str, Any], text: str) -> None:
        if not options["json"]:
            self.stdout.write(text)
            self.stdout.flush()


def _figures(day: date, entries: int, moved: Any) -> dict[str, Any]:
    return {"day": day.isoformat(), "entries": entries, "moved": str(moved)}
