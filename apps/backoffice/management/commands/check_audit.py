"""Prove that the audit log of every tenant (and the platform) is whole."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django_tenants.utils import get_public_schema_name, get_tenant_model

from apps.backoffice.audit import verify_chain
from apps.backoffice.models import AuditEntry
from apps.common.schema import schema_context


class Command(BaseCommand):
    help = "Check the hash chain of the audit log. Exit 1 if an entry was changed, removed or put in between."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--tenant", help="public code of one tenant; without it all tenants and the platform"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object per line")

    def handle(self, *args: Any, **options: Any) -> None:
        broken = 0
        for name, schema in self._schemas(options["tenant"]):
            with schema_context(schema):
                breaks = verify_chain()
                entries = AuditEntry.objects.count()
            broken += len(breaks)
            if options["json"]:
                found = [{"entry": item.entry_id, "kind": item.kind} for item in breaks]
                self.stdout.write(json.dumps({"tenant": name, "entries": entries, "breaks": found}))
            else:
                self.stdout.write(f"{name}: {entries} entries, {len(breaks)} breaks")
                for item in breaks:
                    self.stdout.write(f"  entry {item.entry_id}: {item.kind} does not hold")
        if broken:
            raise CommandError(f"{broken} breaks", returncode=1)

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
