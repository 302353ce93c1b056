"""`manage.py keep_partitions`: make and drop the monthly partitions of telemetry and raw frames now."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError

from apps.common.errors import DomainError
from apps.common.schema import schema_context
from apps.piles.partitions import keep_partitions
from apps.tenancy.selectors import tenant_of_code, tenant_of_schema, working_schemas


class Command(BaseCommand):
    """Exit codes: 0 done, 1 no such tenant, or a tenant failed (the others are done all the same)."""

    help = (
        "Make the partitions of this and the next month for telemetry and raw frames of every tenant, and drop what "
        "is older than the tenant keeps. Runs once a day by itself (piles.keep_partitions)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which tenant."""
        parser.add_argument("--tenant", default="", help="the code of one tenant (default all)")
        parser.add_argument("--json", action="store_true", help="print one JSON object per tenant")

    def handle(self, *args: Any, **options: Any) -> None:
        """One tenant after the other, a line for each."""
        try:
            tenants = (
                [tenant_of_code(options["tenant"])]
                if options["tenant"]
                else [tenant_of_schema(schema) for schema in working_schemas()]
            )
        except DomainError as error:
            self.stderr.write(str(error))
            sys.exit(1)
        failed = False
        for tenant in tenants:
            try:
                with schema_context(tenant.schema_name):
                    kept = keep_partitions()
            except DatabaseError as error:
                failed = True
                self.stderr.write(f"{tenant.code}: {error}")
                continue
            if options["json"]:
                self.stdout.write(json.dumps({"tenant": tenant.code} | asdict(kept)))
            else:
                self.stdout.write(
                    f"{tenant.code}: {len(kept.made)} made, {len(kept.dropped)} dropped, "
                    f"{kept.frames_deleted} old frames deleted"
                )
        if failed:
            sys.exit(1)
