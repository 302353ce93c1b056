from __future__ import annotations

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection

from apps.tenancy.models import Tenant


def tenant_tables() -> set[str]:
    """Every table of TENANT_APPS, those between models too; a proxy is another's table."""
    tables = {"django_migrations"}
    for config in apps.get_app_configs():
        if config.name in settings.TENANT_APPS:
            models = config.get_models(include_auto_created=True)
            tables |= {model._meta.db_table for model in models if not model._meta.proxy}
    return tables


def tables_in(schema: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = %s", [schema])
        return {name for (name,) in cursor.fetchall()}


@pytest.mark.parametrize("schema", ["tenant_template", "t_alpha", "t_beta"])
def test_every_table_of_a_tenant_is_in_its_schema(tenant: Tenant, schema: str) -> None:
    """A table missing there would be read, and written, in public."""
    assert tables_in(schema) == tenant_tables()
