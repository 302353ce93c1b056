"""`manage.py settle`: settle the transaction records that are stored and nobody has settled yet, now."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.common.schema import run_in_schema
from apps.orders.settling import Outcome, settle_waiting
from apps.tenancy.management.choosing import schemas_named


class Command(BaseCommand):
    help = (
        "Settle stored transaction records, oldest first; one that cannot be settled stops no other. Workers do this "
        "by themselves; this is for a backlog. Exit code 0: all were worked off; 1: some raised an error and stay "
        "stored; 2: no such tenant."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", help="code of one tenant; all of them by default")
        parser.add_argument("--limit", type=int, default=100_000, help="records of a tenant at most")
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would become of each record, and change nothing"
        )
        parser.add_argument(
            "--json", action="store_true", help="one JSON object per record, then one of sums"
        )

    def handle(self, *, tenant: str | None, limit: int, dry_run: bool, **options: Any) -> None:
        schemas = schemas_named(tenant, at_work=True)
        failed = 0
        for schema in schemas:
            sums: dict[str, int] = {}
            for outcome in run_in_schema(schema, settle_waiting, limit=limit, dry_run=dry_run):
                sums[outcome.result] = sums.get(outcome.result, 0) + 1
                failed += outcome.result == "error"
                self.stdout.write(_json(schema, outcome) if options["json"] else _line(outcome))
            if options["json"]:
                words = {"tenant": schema, "dry_run": dry_run, "sums": sums}
                self.stdout.write(json.dumps(words, ensure_ascii=False))
            else:
                parts = ", ".join(f"{count} {name}" for name, count in sorted(sums.items()))
                self.stdout.write(
                    f"{schema}: {parts or 'nothing to settle'}{' (dry run)' if dry_run and sums else ''}"
                )
        if failed:
            sys.exit(1)


def _json(schema: str, outcome: Outcome) -> str:
    return json.dumps({"tenant": schema, **outcome.to_json()}, ensure_ascii=False)


def _line(outcome: Outcome) -> str:
    parts = [outcome.transaction_no or f"record {outcome.record_id}", outcome.result]
    if outcome.order_no:
        parts.append(outcome.order_no)
    if outcome.payable is not None:
        parts.append(f"{outcome.payable} yuan")
    return "  " + "  ".join([*parts, outcome.detail]).rstrip()
