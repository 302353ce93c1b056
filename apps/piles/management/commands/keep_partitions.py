"""`manage.py keep_partitions`: make and drop the monthly partitions of telemetry and raw frames now."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError

from apps.common.schema import schema_context
from apps.piles.partitions import keep_partitions
from apps.tenancy.management.choosing import schemas_named
from apps.tenancy.selectors import tenant_of_schema


class Command(BaseCommand):
    """Exit codes: 0 done, 1 a tenant failed (the others are done all the same), 2 no such tenant."""

    help = (
        "Make the partitions of this and the next month for telemetry and raw frames of every tenant, and drop what "
        "is older than the tenant keeps. Runs once a day by itself (piles.keep_partitions). "
        "Exit code 1 when a tenant failed, 2 when there is no such tenant."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which tenant."""
        parser.add_argument("--tenant", default="", help="the code of one tenant (default all)")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be made and dropped")
        parser.add_argument("--json", action="store_true", help="print one JSON object per tenant")

    def handle(self, *args: Any, **options: Any) -> None:
        """One tenant after the other, a line for each."""
        tenants = [tenant_of_schema(schema) for schema in schemas_named(options["tenant"])]
        failed = False
        for tenant in tenants:
            try:
                with schema_context(tenant.schema_name):
                    kept = keep_partitions(dry_run=options["dry_run"])
            except DatabaseError as error:
                failed = True
                self.stderr.write(f"{tenant.code}: {error}")
                continue
            if options["json"]:
                self.stdout.write(
                    json.dumps({"tenant": tenant.code, "dry_run": options["dry_run"]} | asdict(kept))
                )
            else:
                self.stdout.write(
                    f"{tenant.code}: {len(kept.made)} made, {len(kept.dropped)} dropped, "
                    f"{kept.frames_deleted} old frames deleted{' (dry run)' if options['dry_run'] else ''}"
                )
        if failed:
            sys.exit(1)
