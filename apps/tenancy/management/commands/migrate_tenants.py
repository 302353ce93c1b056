"""`manage.py migrate_tenants`: bring the schemas up to date that are behind."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection

from apps.common.schema import schema_context
from apps.tenancy.selectors import schema_names, schemas_behind
from apps.tenancy.services import ensure_platform, migrate_all


class Command(BaseCommand):
    """Exit codes: 0 all up to date, 1 with --check when a schema is behind."""

    help = (
        "Migrate the public schema, the template of new tenants, and then only those tenants' schemas that are behind "
        "(one query finds them). Also makes the platform's row and hosts. Safe to run again, and from several "
        "machines at once: one does the work, the others wait. With --check nothing is written, and the exit code is "
        "1 when anything is behind."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do, and how to say it."""
        parser.add_argument(
            "--check", "--dry-run", action="store_true", help="only list the schemas that are behind"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object at the end")

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, or list."""
        if options["check"]:
            behind = _behind()
            self._say(options, behind, "lacks {} migrations")
            sys.exit(1 if behind else 0)

        def progress(schema: str, missing: int) -> None:
            if not options["json"]:
                self.stdout.write(f"{schema}: applying {missing} migrations …")
                self.stdout.flush()

        done = migrate_all(progress)
        ensure_platform()
        self._say(options, done, "{} migrations applied")

    def _say(self, options: dict[str, Any], schemas: dict[str, int], text: str) -> None:
        if options["json"]:
            self.stdout.write(json.dumps({"schemas": schemas, "count": len(schemas)}))
            return
        for schema, count in schemas.items():
            self.stdout.write(f"{schema}: {text.format(count)}")
        if not schemas:
            self.stdout.write("Every schema is up to date.")


def _behind() -> dict[str, int]:
    public = settings.PUBLIC_SCHEMA_NAME
    with schema_context(public):
        # Before the first run there is no table of tenants.
        tenants = schema_names() if "tenancy_tenant" in connection.introspection.table_names() else []
    return schemas_behind([public]) | schemas_behind([settings.TENANT_TEMPLATE_SCHEMA, *tenants])
