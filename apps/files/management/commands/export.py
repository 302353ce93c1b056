"""`manage.py export`: any list of the back office as a file."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from apps.common.errors import DomainError
from apps.common.schema import schema_context
from apps.files.enums import ExportFormat
from apps.tenancy.management.choosing import schema_named


class Command(BaseCommand):
    """Exit codes: 0 written, 1 the list cannot be written, 2 wrong arguments."""

    help = (
        "Write a list of the back office, all its rows or those that a filter leaves, as Excel or CSV. The filter is "
        "what stands behind the ? in the list's address."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which list, of whom, and where to."""
        parser.add_argument("--tenant", required=True, help="code of the tenant")
        parser.add_argument("--list", dest="label", required=True, help="app.model, such as orders.order")
        parser.add_argument("--filter", default="", help="such as 'state__exact=completed&q=3201'")
        parser.add_argument("--format", choices=ExportFormat.values, default="xlsx", help="default xlsx")
        parser.add_argument("--output", type=Path, required=True, help="the file; an older one is replaced")
        parser.add_argument("--language", default="zh-hans", help="of titles and states; default zh-hans")
        parser.add_argument("--dry-run", action="store_true", help="count the rows and write nothing")
        parser.add_argument("--json", action="store_true", help="say the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write."""
        from apps.files import exports

        schema = schema_named(options["tenant"])
        model_admin = exports.admin_of(options["label"])
        if model_admin is None or not model_admin.export:
            raise CommandError(f"There is no list {options['label']} with an export.", returncode=2)
        operator = get_user_model()(is_active=True, is_staff=True, is_superuser=True)
        with schema_context(schema), translation.override(options["language"]):
            try:
                rows, count = exports.rows_of(model_admin, options["filter"], operator)
                if not options["dry_run"]:
                    with open(options["output"], "wb") as file:
                        written = exports.write_rows(model_admin, rows, file, options["format"], self._told)
                        count = written or 0
            except (DomainError, OSError) as error:
                raise CommandError(str(error)) from error
        result = {"rows": count, "written": not options["dry_run"], "output": str(options["output"])}
        if options["json"]:
            self.stdout.write(json.dumps(result))
        else:
            self.stdout.write(f"{count} rows" + ("" if options["dry_run"] else f" in {options['output']}"))

    def _told(self, count: int) -> bool:
        if count % 100_000 == 0:
            self.stderr.write(f"{count} rows …")
        return True
