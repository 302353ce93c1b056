"""`make bench-data`: the books and the orders, five million each, that `make bench` opens pages of."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from apps.common.schema import schema_context
from apps.common.time import business_day, now
from apps.reports import rollups
from apps.tenancy.models import Tenant
from chargeplat import embedded
from ykc_server.bench.driver import grow as stations
from ykc_server.bench.money import journal
from ykc_server.bench.office import grow

STATE = "bench-books"


class Command(BaseCommand):
    help = (
        "Grow, once, a database below the state directory in which one tenant has 5,000,000 journal entries and one "
        "has 5,000, all balanced and their days closed; one has 5,000,000 orders at 10,000 guns and one a few hundred; "
        "one has 20,000 stations. "
        "It is kept; a second run only brings it up to date. Exit code 1: check_ledger or roll_up finds a difference "
        "(--check)."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--share", type=float, default=1.0, help="share of the entries, to try the command out"
        )
        parser.add_argument(
            "--only",
            choices=["books", "office", "near"],
            help="only the journal's tenants, or only those of the pages, or only that of the stations",
        )
        parser.add_argument(
            "--check", action="store_true", help="prove with check_ledger that the books are right"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        state = embedded.state_dir()
        if state.name != STATE:
            environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
            environment |= {"CHARGEPLAT_STATE": str(state / STATE), "LOG_LEVEL": "WARNING"}
            os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606
        services = embedded.services()
        services.start()
        began = time.monotonic()

        def say(text: str) -> None:
            self.stdout.write(f"[{time.monotonic() - began:5.1f} s] {text}")
            self.stdout.flush()

        try:
            services.ensure_database()
            only = options["only"]
            call_command("migrate_tenants", verbosity=0)
            if only in (None, "books"):
                journal.prepare(say, share=options["share"])
            if only in (None, "office"):
                grow.prepare(say, share=options["share"])
            if only in (None, "near"):
                stations.prepare(say, share=options["share"])
            say("ready")
            if options["check"]:
                self.check_books(journal.ENTRIES if only in (None, "books") else (), say)
                self.check_rollups(grow.SIZES if only in (None, "office") else (), say)
        finally:
            services.stop(patience_s=60)

    @staticmethod
    def check_books(codes: Iterable[str], say: journal.Say) -> None:
        """Raises SystemExit when a ledger has a difference."""
        for code in codes:
            call_command("check_ledger", tenant=code)
            say(f"checked {code}")

    @staticmethod
    def check_rollups(codes: Iterable[str], say: journal.Say) -> None:
        """Raises CommandError when a rollup is not what the ledger says."""
        for code in codes:
            with schema_context(Tenant.objects.get(code=code).schema_name):
                first = rollups.first_day()
                assert first is not None
                found = rollups.differences(first=first, last=business_day(now()))
            if found:
                raise CommandError(f"{code}: {len(found)} differences, {found[0]}")
            say(f"checked {code}")
