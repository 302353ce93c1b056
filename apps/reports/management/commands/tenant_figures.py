"""`manage.py tenant_figures`: have tenants tell the platform their figures now."""

from __future__ import annotations

import json as json_module
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from apps.common.management.base import BadArguments
from apps.common.schema import schema_context
from apps.reports.tenants import NIGHTLY_DAYS, tell_platform
from apps.tenancy.management.choosing import schemas_named
from apps.tenancy.models import TenantDay

MOST_DAYS = 400


class Command(BaseCommand):
    """Exit codes: 0 told, 2 wrong arguments."""

    help = (
        "Push the figures of tenants into the platform's overview: what they have now, and the sums of their last "
        "days. Done by itself every five minutes; safe to run again. Exit code 2 when there is no such tenant."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose, how far back, and how."""
        parser.add_argument("--tenant", help="code of one tenant; all by default")
        parser.add_argument("--days", type=int, default=NIGHTLY_DAYS, help=f"default {NIGHTLY_DAYS}")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be told")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Tell, one tenant after the other."""
        if not 1 <= options["days"] <= MOST_DAYS:
            raise BadArguments(f"--days has to be from 1 to {MOST_DAYS}")
        schemas = schemas_named(options["tenant"], at_work=True)
        told = {}
        for schema in schemas:
            with schema_context(schema), transaction.atomic():
                tell_platform(days=options["days"])
                rows = TenantDay.objects.filter(tenant__schema_name=schema, orders__gt=0)
                told[schema] = {"days": options["days"], "orders": sum(row.orders for row in rows)}
                if options["dry_run"]:
                    transaction.set_rollback(True)
            if not options["json"]:
                self.stdout.write(f"{schema}: {told[schema]['orders']} orders in the days that are known")
        if options["json"]:
            self.stdout.write(json_module.dumps({"dry_run": options["dry_run"], "schemas": told}))
        elif options["dry_run"]:
            self.stdout.write("Nothing was written.")
