"""`manage.py let_in`: for the day on which nobody who could help is able to sign in."""

from __future__ import annotations

import json as json_module
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from apps.accounts import factors, locks, sessions
from apps.accounts.enums import SessionEnd
from apps.accounts.models import User
from apps.backoffice.audit import record
from apps.common.ids import Actor
from apps.common.management.base import BAD_ARGUMENTS, leave
from apps.common.schema import run_in_schema
from apps.tenancy.models import Tenant
from apps.tenancy.services import schema_of


class Command(BaseCommand):
    """Exit codes: 0 done (or could be, with --dry-run), 2 an unknown tenant or person."""

    help = (
        "Unlock a member of staff and take the second factor away, as an administrator could on the person's page. "
        "Ends the person's sessions. It goes to the audit log. Passwords: manage.py changepassword."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Whom, and how."""
        parser.add_argument("username")
        parser.add_argument("--tenant", help="code of the tenant; the platform's own staff by default")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(
        self, *, username: str, tenant: str | None, dry_run: bool, json: bool, **_options: Any
    ) -> None:
        """Do it, and say what was done."""
        schema = settings.PUBLIC_SCHEMA_NAME
        if tenant:
            schema = schema_of(tenant)
            if not Tenant.objects.filter(code=tenant, schema_name=schema).exists():
                self._refuse(json, "tenancy.unknown_tenant", f"There is no tenant {tenant}.")
        found = run_in_schema(schema, _let_in, username, dry_run=dry_run)
        if found is None:
            self._refuse(json, "accounts.unknown_person", f"There is no member of staff {username}.")
        report = {"dry_run": dry_run, "username": username, **found}
        if json:
            self.stdout.write(json_module.dumps(report, ensure_ascii=False))
            return
        for name, value in report.items():
            self.stdout.write(f"{name}: {value}")

    def _refuse(self, json: bool, code: str, message: str) -> NoReturn:
        leave(self, {"json": json}, code=code, message=message, exit_code=BAD_ARGUMENTS)


def _let_in(username: str, *, dry_run: bool) -> dict[str, Any] | None:
    user = User.objects.filter(username=username).first()
    if user is None:
        return None
    guards = locks.of(user)
    rows = user.staff_sessions.all()
    found = {
        "locked": bool(locks.wait_s(*guards)),
        "second_factor": factors.has_app(user),
        "sessions": sessions.living(rows).count(),
    }
    if not dry_run:
        locks.clear(*guards)
        factors.take_away(user)
        sessions.end(rows, SessionEnd.BY_ADMINISTRATOR)
        record(
            Actor("command", name="let_in"),
            "accounts.user_second_factor_taken",
            user,
            changes={"sessions": [found["sessions"], 0]},
        )
    return found
