"""`manage.py tenants`: list tenants, and suspend, resume, renew, repackage or close one."""

from __future__ import annotations

import json as json_module
from argparse import ArgumentParser
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from apps.backoffice.audit import record
from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.management.base import BAD_ARGUMENTS, leave, refused
from apps.common.schema import schema_context
from apps.common.time import read_day
from apps.tenancy import lifecycle
from apps.tenancy.models import Package, Tenant

ACTOR = Actor("command", name="manage.py tenants")


class Command(BaseCommand):
    """Exit codes: 0 done (or could be, with --dry-run), 1 refused, 2 wrong arguments."""

    help = (
        "List tenants with state, package, last day and pile codes; or change one: suspend, resume, renew, package, "
        "close. Changes need --reason and go to the platform's audit log. Exit code 1 when it is refused, 2 for an "
        "unknown tenant or package and without a reason."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What, whom, and how."""
        parser.add_argument(
            "what", choices=["list", "suspend", "resume", "renew", "package", "close", "suspend-expired"]
        )
        parser.add_argument("--tenant", help="code of the tenant; needed for everything but the lists")
        parser.add_argument("--until", type=read_day, help="renew: the last day; none without it")
        parser.add_argument("--package", help="package: its code; none (everything, no limits) without it")
        parser.add_argument("--reason", default="", help="goes to the audit log")
        parser.add_argument(
            "--money-settled", action="store_true", help="close: customers' money was paid out elsewhere"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would become of it")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and say so."""
        with schema_context(settings.PUBLIC_SCHEMA_NAME):
            try:
                rows = self._do(options)
            except DomainError as error:
                refused(self, options, error)
        if options["json"]:
            self.stdout.write(
                json_module.dumps({"dry_run": options["dry_run"], "tenants": rows}, ensure_ascii=False)
            )
            return
        for row in rows:
            facts = f"{row['state']}, package {row['package'] or '–'}, until {row['until'] or '–'}"
            self.stdout.write(f"{row['code']} ({row['name']}): {facts}, {row['piles']} pile codes")
        if options["dry_run"]:
            self.stdout.write("Nothing was written.")

    def _do(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        with transaction.atomic():
            if options["what"] == "list":
                found = list(_tenants(options["tenant"]))
            elif options["what"] == "suspend-expired":
                codes = lifecycle.suspend_expired()
                found = [tenant for tenant in _tenants(None) if tenant.code in codes]
            else:
                found = [self._change(options)]
            rows = [_row(tenant) for tenant in found]
            if options["dry_run"]:
                transaction.set_rollback(True)
        return rows

    def _change(self, options: dict[str, Any]) -> Tenant:
        tenant = _tenants(options["tenant"] or "").first()
        if tenant is None:
            self._wrong(options, "tenancy.unknown_tenant", f"There is no tenant {options['tenant']}.")
        reason = options["reason"].strip()
        if not reason:
            self._wrong(options, "reason_missing", "--reason is needed.")
        package = Package.objects.filter(code=options["package"]).first() if options["package"] else None
        if options["package"] and package is None:
            known = ", ".join(Package.objects.values_list("code", flat=True))
            text = f"There is no package {options['package']}. There are: {known}"
            self._wrong(options, "tenancy.unknown_package", text)
        deeds = {
            "suspend": lambda: lifecycle.suspend(tenant=tenant, reason=reason),
            "resume": lambda: lifecycle.resume(tenant=tenant, reason=reason),
            "renew": lambda: lifecycle.renew(tenant=tenant, expires_on=options["until"], reason=reason),
            "package": lambda: lifecycle.set_package(tenant=tenant, package=package),
            "close": lambda: lifecycle.close(
                tenant=tenant, reason=reason, money_settled=options["money_settled"]
            ),
        }
        before = _row(tenant)
        deeds[options["what"]]()
        found = _tenants(tenant.code).get()
        after = _row(found)
        changes = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
        record(ACTOR, "tenancy.tenant_state_changed", found, changes=changes, reason=reason)
        return found

    def _wrong(self, options: dict[str, Any], code: str, message: str) -> NoReturn:
        leave(self, options, code=code, message=message, exit_code=BAD_ARGUMENTS)


def _tenants(code: str | None) -> Any:
    tenants = Tenant.objects.exclude(schema_name=settings.PUBLIC_SCHEMA_NAME).select_related("package")
    return (tenants if code is None else tenants.filter(code=code)).order_by("code")


def _row(tenant: Tenant) -> dict[str, Any]:
    return {
        "code": tenant.code,
        "name": tenant.name,
        "state": tenant.state,
        "package": tenant.package.code if tenant.package else None,
        "until": tenant.expires_on.isoformat() if tenant.expires_on else None,
        "piles": tenant.routes.filter(kind="pile").count(),
    }
