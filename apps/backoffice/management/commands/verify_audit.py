"""`manage.py verify_audit`: prove that the audit log of every tenant (and of the platform) is whole."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django_tenants.utils import get_public_schema_name, get_tenant_model

from apps.backoffice.audit import verify_chain
from apps.backoffice.models import AuditEntry
from apps.common.schema import schema_context


class Command(BaseCommand):
    help = (
        "Check the hash chain of the audit log. Exit code 0: whole; 1: an entry was changed, removed or put in "
        "between, or the entry of --head is gone; 2: no such tenant."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--tenant", help="public code of one tenant; without it all tenants and the platform"
        )
        parser.add_argument(
            "--head",
            metavar="HASH",
            help="with --tenant: the head that an earlier run printed; it must still be in the log "
            "(a log whose newest entries were cut off is a whole chain)",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object per line")

    def handle(self, *args: Any, tenant: str | None, head: str | None, **options: Any) -> None:
        if head and not tenant:
            raise CommandError("--head needs --tenant", returncode=2)
        wrong = 0
        for name, schema in self._schemas(tenant):
            with schema_context(schema):
                report = _report(name, head)
            wrong += len(report["breaks"]) + (report["head_found"] is False)
            self.stdout.write(
                json.dumps(report, ensure_ascii=False) if options["json"] else "\n".join(_lines(report))
            )
        if wrong:
            sys.exit(1)

    def _schemas(self, code: str | None) -> list[tuple[str, str]]:
        connection.set_schema_to_public()
        tenants = get_tenant_model().objects.order_by("code")
        if code:
            tenants = tenants.filter(code=code)
            if not tenants:
                raise CommandError(f"there is no tenant {code}", returncode=2)
        # The platform's own row has the public schema.
        found = [(tenant.code, tenant.schema_name) for tenant in tenants]
        if not code and get_public_schema_name() not in {schema for _name, schema in found}:
            found.insert(0, ("platform", get_public_schema_name()))
        return found


def _report(name: str, head: str | None) -> dict[str, Any]:
    breaks = verify_chain()
    last = AuditEntry.objects.order_by("-id").values_list("hash", flat=True).first()
    return {
        "tenant": name,
        "entries": AuditEntry.objects.count(),
        "head": last or "",
        "head_found": AuditEntry.objects.filter(hash=head).exists() if head else None,
        "breaks": [{"entry": item.entry_id, "kind": item.kind} for item in breaks],
    }


def _lines(report: dict[str, Any]) -> list[str]:
    lines = [
        f"{report['tenant']}: {report['entries']} entries, {len(report['breaks'])} breaks, head {report['head'] or '-'}"
    ]
    lines += [f"  entry {item['entry']}: its {item['kind']} does not hold" for item in report["breaks"]]
    if report["head_found"] is False:
        lines.append("  the entry of --head is not in the log any more")
    return lines
