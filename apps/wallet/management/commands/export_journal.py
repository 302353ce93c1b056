"""`manage.py export_journal`: the journal as a stream, a line per posting."""

from __future__ import annotations

import csv
import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from apps.backoffice.cells import cell
from apps.common.schema import schema_context
from apps.common.time import SHANGHAI, read_day
from apps.tenancy.management.choosing import schema_named
from apps.wallet.models import Posting

COLUMNS = {
    "entry": "entry_id",
    "business_day": "business_day",
    "posted_at": "entry__posted_at",
    "kind": "entry__kind",
    "reference": "entry__reference",
    "key": "entry__key",
    "memo": "entry__memo",
    "account": "account__kind",
    "channel": "account__channel",
    "customer": "account__wallet__customer_id",
    "enterprise": "account__wallet__enterprise_id",
    "amount": "amount",
}
CHUNK = 5_000
PROGRESS = 500_000


class Command(BaseCommand):
    """Exit codes: 0 written, 2 wrong arguments."""

    help = (
        "Write the postings of a range of business days in the order of the books, one line each, without holding them "
        "in memory: as CSV (UTF-8; debit and credit in columns of their own; nothing that a spreadsheet would take for "
        "a formula) or as one JSON object per line. Amounts are yuan."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose journal, of which days, and how."""
        parser.add_argument("--tenant", required=True, help="code of the tenant")
        parser.add_argument("--from", dest="first", type=read_day, help="first business day, YYYY-MM-DD")
        parser.add_argument("--to", dest="last", type=read_day, help="last business day, YYYY-MM-DD")
        parser.add_argument("--format", choices=["csv", "jsonl"], default="csv", help="default csv")
        parser.add_argument("--output", default="-", help="a file, or - for standard output (the default)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Stream."""
        first, last = options["first"], options["last"]
        if first and last and first > last:
            raise CommandError("--from lies behind --to", returncode=2)
        schema = schema_named(options["tenant"])
        write = write_csv if options["format"] == "csv" else write_json_lines
        # One snapshot, read by a cursor on the server.
        with schema_context(schema), transaction.atomic():
            if options["output"] == "-":
                count = write(_Out(self.stdout.write), self._told(postings(first, last)))
            else:
                with open(options["output"], "w", encoding="utf-8", newline="") as file:
                    count = write(file, self._told(postings(first, last)))
        self.stderr.write(f"{count} postings")

    def _told(self, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for number, row in enumerate(rows, 1):
            yield row
            if number % PROGRESS == 0:
                self.stderr.write(f"{number} postings …")


class _Out:
    """A command's standard output as a file to write to."""

    def __init__(self, write: Callable[..., object]) -> None:
        self._write = write

    def write(self, text: str) -> int:
        """Write without a line end of the command's own."""
        self._write(text, ending="")
        return len(text)


def postings(first: date | None, last: date | None) -> Iterator[dict[str, Any]]:
    """Yield the postings of a range of business days, oldest first."""
    queryset = Posting.objects.all()
    if first:
        queryset = queryset.filter(business_day__gte=first, entry__business_day__gte=first)
    if last:
        queryset = queryset.filter(business_day__lte=last, entry__business_day__lte=last)
    ordered = queryset.order_by("entry__business_day", "entry_id", "id")
    for values in ordered.values_list(*COLUMNS.values()).iterator(chunk_size=CHUNK):
        yield dict(zip(COLUMNS, values, strict=True))


def write_csv(out: TextIO | _Out, rows: Iterator[dict[str, Any]]) -> int:
    """Write CSV with a byte order mark, which spreadsheets need; return the number of postings."""
    out.write("\ufeff")
    writer = csv.writer(out, lineterminator="\n")
    names = [name for name in COLUMNS if name != "amount"]
    writer.writerow([*names, "debit", "credit"])
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - the number of the last one is returned
        amount = row["amount"]
        sides = (amount, "") if amount > 0 else ("", -amount)
        writer.writerow([cell(row[name]) for name in names] + [str(side) for side in sides])
    return count


def write_json_lines(out: TextIO | _Out, rows: Iterator[dict[str, Any]]) -> int:
    """Write one JSON object per line, amounts as texts, debits positive; return the number of postings."""
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - the number of the last one is returned
        line = {
            **row,
            "business_day": row["business_day"].isoformat(),
            "posted_at": row["posted_at"].astimezone(SHANGHAI).isoformat(),
            "amount": str(row["amount"]),
        }
        out.write(json.dumps(line, ensure_ascii=False) + "\n")
    return count
