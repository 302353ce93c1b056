"""`manage.py report`: a finance report of a tenant on the terminal, as JSON, or as a file."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from apps.common.errors import DomainError
from apps.common.schema import schema_context
from apps.common.time import business_day, now, read_day
from apps.orders.enums import OrderSource
from apps.reports import finance
from apps.reports.enums import CustomerKind
from apps.reports.finance import FIGURES, Group, Question, Sums
from apps.sites.models import Station
from apps.tenancy.management.choosing import schema_named

DERIVED = ("payable", "refunded", "due", "settled", "outstanding", "net", "utilisation")
SHOWN = ("orders", "energy_kwh", "electricity_fee", "service_fee", "discounts", "refunded", "due", "settled")


class Command(BaseCommand):
    """Exit codes: 0 written, 1 the report cannot be made, 2 wrong arguments."""

    help = (
        "Print the finance report of business days, grouped, with its total; with --output write it as Excel or CSV. "
        "It holds what roll_up has summed up, which happens every five minutes by itself."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose, of which days, how."""
        parser.add_argument("--tenant", required=True, help="the tenant's code")
        parser.add_argument("--from", dest="first", type=read_day, help="default: the first of this month")
        parser.add_argument("--to", dest="last", type=read_day, help="default: today")
        parser.add_argument("--by", choices=Group.values, default="day", help="grouping, default day")
        parser.add_argument("--station", action="append", default=[], help="station number; may be repeated")
        parser.add_argument("--source", choices=OrderSource.values, default="")
        parser.add_argument("--customers", choices=CustomerKind.values, default="")
        parser.add_argument("--output", type=Path, help="write this file instead, .xlsx or .csv")
        parser.add_argument("--language", default="zh-hans", help="of titles and names; default zh-hans")
        parser.add_argument("--json", action="store_true", help="print all figures as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask, then write."""
        schema = schema_named(options["tenant"])
        output: Path | None = options["output"]
        if output is not None and output.suffix not in (".xlsx", ".csv"):
            raise CommandError("--output has to end with .xlsx or .csv.", returncode=2)
        last = options["last"] or business_day(now())
        with schema_context(schema), translation.override(options["language"]):
            stations = self._stations(options["station"])
            try:
                question = Question(
                    options["first"] or last.replace(day=1),
                    last,
                    Group(options["by"]),
                    stations,
                    options["source"],
                    options["customers"],
                )
            except DomainError as error:
                raise CommandError(str(error)) from error
            if output is not None:
                self._write(question, output)
            else:
                self._print(question, as_json=options["json"])

    def _stations(self, numbers: list[str]) -> frozenset[int] | None:
        if not numbers:
            return None
        known = dict(Station.objects.filter(station_no__in=numbers).values_list("station_no", "pk"))
        for number in numbers:
            if number not in known:
                raise CommandError(f"There is no station {number}.", returncode=2)
        return frozenset(known.values())

    def _write(self, question: Question, output: Path) -> None:
        from apps.files import exports
        from apps.reports.admin import Answer

        page = exports.admin_of("reports.financereport")
        assert page is not None
        answer = Answer(question)
        try:
            with open(output, "wb") as file:
                exports.write_rows(page, answer, file, output.suffix[1:], lambda _count: True)
        except OSError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{answer.count()} rows in {output}")

    def _print(self, question: Question, *, as_json: bool) -> None:
        found = finance.report(question)
        if as_json:
            rows = [{"key": str(row.key), "label": row.label, **_figures(row.sums)} for row in found.rows]
            result = {
                "from": question.first.isoformat(),
                "to": question.last.isoformat(),
                "by": question.group.value,
                "rows": rows,
                "total": _figures(found.total),
                "rolled_at": found.rolled_at.isoformat() if found.rolled_at else None,
                "missing": [day.isoformat() for day in found.missing],
            }
            self.stdout.write(json.dumps(result, ensure_ascii=False))
            return
        for label, sums in [*((row.label, row.sums) for row in found.rows), ("total", found.total)]:
            figures = "  ".join(f"{name} {getattr(sums, name)}" for name in SHOWN)
            self.stdout.write(f"{label}  {figures}")
        if found.missing:
            self.stderr.write(f"{len(found.missing)} days are not summed up yet: manage.py roll_up")


def _figures(sums: Sums) -> dict[str, Any]:
    """Amounts as text."""
    return {
        name: value if isinstance(value := getattr(sums, name), int) or value is None else str(value)
        for name in (*FIGURES, *DERIVED)
    }
