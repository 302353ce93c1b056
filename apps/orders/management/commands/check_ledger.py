"""`manage.py check_ledger`: prove that journal, wallets, holds, debts, orders and top-ups agree."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.common.schema import run_in_schema
from apps.orders.ledger_check import differences, totals
from apps.tenancy.management.choosing import schemas_named


class Command(BaseCommand):
    help = (
        "Check that every balance, order and top-up agrees with the journal. Exit code 1 on a difference, 2 when there "
        "is no such tenant."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", help="code of one tenant; all of them by default")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, tenant: str | None, json: bool, **_options: Any) -> None:
        schemas = schemas_named(tenant)
        report = {}
        for schema in schemas:
            found = run_in_schema(schema, differences)
            report[schema] = {
                "differences": [
                    {"check": item.check, "subject": item.subject, **item.figures} for item in found
                ],
                "totals": run_in_schema(schema, totals),
            }
        wrong = sum(len(one["differences"]) for one in report.values())
        self.stdout.write(_json(report) if json else _text(report, wrong))
        if wrong:
            sys.exit(1)


def _json(report: dict[str, Any]) -> str:
    return json.dumps(report, ensure_ascii=False)


def _text(report: dict[str, Any], wrong: int) -> str:
    lines = []
    for schema, one in report.items():
        figures = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in one["totals"].items())
        lines.append(f"{schema}: {figures}")
        lines += [
            f"  {item['check']}: {item['subject']} "
            + ", ".join(f"{key}={value}" for key, value in item.items() if key not in {"check", "subject"})
            for item in one["differences"]
        ]
    lines.append(f"ledger clean: {len(report)} tenants" if not wrong else f"{wrong} differences")
    return "\n".join(lines)
