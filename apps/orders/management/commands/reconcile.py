"""`manage.py reconcile`: hold our books against what payment channels and piles say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from apps.common.errors import DomainError
from apps.common.ids import whole_number
from apps.common.schema import run_in_schema
from apps.common.time import business_day, now, read_day
from apps.orders.energy_reconcile import reconcile_energy
from apps.tenancy.management.choosing import schemas_named
from apps.wallet.enums import BillState
from apps.wallet.models import MerchantAccount
from apps.wallet.reconcile import merchants_of, reconcile_day

Line = dict[str, Any]


class Command(BaseCommand):
    """Exit codes: 0 all agrees or is resolved, 1 open differences or a bill that is not there, 2 wrong arguments."""

    help = (
        "Reconcile one business day (yesterday by default) of one tenant or of all: payment channels and energy, or "
        "only one of them. Exit code 1 when differences are open or a bill is not there yet. With --dry-run nothing is "
        "stored, and the differences counted are those that nobody has decided before."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", help="code of one tenant; all of them by default")
        parser.add_argument("--day", help="business day as 2026-11-27; yesterday by default")
        parser.add_argument("--merchant", help="number or id of one merchant account; implies --channels")
        parser.add_argument("--channels", action="store_true", help="payment channels only")
        parser.add_argument("--energy", action="store_true", help="piles against bills only")
        parser.add_argument("--dry-run", action="store_true", help="fetch and compare, store nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:
        day = self._day(options["day"])
        merchant = options["merchant"] or ""
        channels = bool(merchant or options["channels"] or not options["energy"])
        energy = bool(options["energy"] or not (merchant or options["channels"]))
        schemas = schemas_named(options["tenant"])
        lines: list[Line] = []
        for schema in schemas:
            try:
                if channels:
                    lines += run_in_schema(schema, _channels, schema, day, merchant, options["dry_run"])
                if energy:
                    lines.append(run_in_schema(schema, _energy, schema, day, options["dry_run"]))
            except DomainError as error:
                raise CommandError(f"{schema}: {error}", returncode=2) from error
        if merchant and not lines:
            raise CommandError(f"--merchant {merchant}: there is no such merchant account", returncode=2)
        undecided = sum(line["open"] for line in lines)
        missing = sum(line.get("state", BillState.RECONCILED) != BillState.RECONCILED for line in lines)
        if options["json"]:
            report = {"day": str(day), "open": undecided, "without_bill": missing, "runs": lines}
            self.stdout.write(json.dumps(report, ensure_ascii=False))
        else:
            for line in lines:
                self.stdout.write(" ".join(f"{key}={value}" for key, value in line.items()))
        if undecided or missing:
            sys.exit(1)

    def _day(self, text: str | None) -> date:
        if not text:
            return business_day(now()) - timedelta(days=1)
        try:
            return read_day(text)
        except ValueError as error:
            raise CommandError(f"--day {text}: not a day such as 2026-11-27", returncode=2) from error


def _channels(schema: str, day: date, merchant: str, dry_run: bool) -> list[Line]:
    return list(_of_merchants(schema, day, merchant, dry_run))


def _of_merchants(schema: str, day: date, merchant: str, dry_run: bool) -> Iterator[Line]:
    accounts: Iterable[MerchantAccount]
    if merchant:
        wanted = Q(merchant_no=merchant)
        if (number := whole_number(merchant)) is not None:
            wanted |= Q(pk=number)
        accounts = MerchantAccount.objects.filter(wanted).order_by("pk")
    else:
        accounts = merchants_of(day)
    for account in accounts:
        run = reconcile_day(merchant=account, day=day, dry_run=dry_run)
        yield {
            "schema": schema,
            "what": account.channel,
            "merchant": account.merchant_no,
            "day": str(day),
            "state": run.state.value,
            "problem": run.problem,
            "rows": run.rows,
            "differences": run.differences,
            "open": run.undecided,
        }


def _energy(schema: str, day: date, dry_run: bool) -> Line:
    run = reconcile_energy(day=day, dry_run=dry_run)
    return {
        "schema": schema,
        "what": "energy",
        "day": str(day),
        "piles": run.piles,
        "rows": run.charges,
        "differences": run.differences,
        "open": run.undecided,
    }
