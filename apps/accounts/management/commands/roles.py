"""`manage.py roles`: give tenants their standard roles, or bring them in line with this version."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from apps.accounts.roles import Outcome, give_roles
from apps.common.errors import DomainError
from apps.common.management.base import BAD_ARGUMENTS, leave
from apps.common.schema import run_in_schema
from apps.tenancy.models import Tenant
from apps.tenancy.selectors import working_schemas
from apps.tenancy.services import schema_of


class Command(BaseCommand):
    """Exit codes: 0 done (or could be, with --dry-run), 2 an unknown tenant or role."""

    help = (
        "Give every tenant and the platform the standard roles. Safe to run again: what a new version adds is added, "
        "what a tenant changed itself stays, unless --reset. The administrator always has every permission."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose, which, and how."""
        parser.add_argument("--tenant", help="code of one tenant; all of them and the platform by default")
        parser.add_argument(
            "--role", action="append", default=[], help="code of one role; can be given again"
        )
        parser.add_argument("--reset", action="store_true", help="undo what the tenants changed")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(
        self, *, tenant: str | None, role: list[str], reset: bool, dry_run: bool, json: bool, **_options: Any
    ) -> None:
        """Give them, and say what became of each."""
        if tenant and not Tenant.objects.filter(code=tenant, schema_name=schema_of(tenant)).exists():
            self._refuse(json, "tenancy.unknown_tenant", f"There is no tenant {tenant}.")
        schemas = [schema_of(tenant)] if tenant else [settings.PUBLIC_SCHEMA_NAME, *working_schemas()]
        report: dict[str, list[Outcome]] = {}
        for schema in schemas:
            try:
                report[schema] = run_in_schema(schema, give_roles, reset=reset, only=role, dry_run=dry_run)
            except DomainError as error:
                self._refuse(json, error.code, str(error))
        if json:
            found = {schema: [asdict(one) for one in outcomes] for schema, outcomes in report.items()}
            self.stdout.write(json_module.dumps({"dry_run": dry_run, "schemas": found}, ensure_ascii=False))
            return
        for schema, outcomes in report.items():
            for one in outcomes:
                changes = [f"+{name}" for name in one.added] + [f"-{name}" for name in one.taken]
                shown = "" if one.result == "created" else " " + " ".join(changes)
                self.stdout.write(f"{schema}: {one.code} ({one.name}) {one.result}{shown}".rstrip())
        if dry_run:
            self.stdout.write("Nothing was written.")

    def _refuse(self, json: bool, code: str, message: str) -> NoReturn:
        leave(self, {"json": json}, code=code, message=message, exit_code=BAD_ARGUMENTS)
