"""What import-linter cannot see: names in strings, tables in schemas, and habits that went wrong once."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection

from apps.tenancy.models import Tenant

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LAYERS = next(c["layers"] for c in CONTRACTS if c["name"] == "business apps are layered")
LEVEL = {app.strip(): level for level, row in enumerate(reversed(LAYERS)) for app in row.split("|")}
IN_BOTH_SCHEMAS = {"apps.accounts", "apps.backoffice", "guardian"}
OWN_CODE = [
    path
    for folder in ("apps", "chargeplat", "ykc_server", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "migrations" not in path.parts and path != Path(__file__)
]


def test_foreign_keys_point_down() -> None:
    up = [
        f"{model._meta.label}.{field.name} -> {field.related_model._meta.label}"
        for model in apps.get_models()
        if model._meta.app_label in LEVEL
        for field in model._meta.get_fields()
        if field.concrete and field.is_relation and field.related_model
        if LEVEL.get(field.related_model._meta.app_label, -1) > LEVEL[model._meta.app_label]
    ]
    assert up == []


def test_every_own_app_is_in_exactly_one_list() -> None:
    own = {f"apps.{path.parent.name}" for path in ROOT.glob("apps/*/apps.py")}
    shared, tenants = set(settings.SHARED_APPS), set(settings.TENANT_APPS)
    assert own == {app for app in shared | tenants if app.startswith("apps.")}
    both = {app for app in shared & tenants if not app.startswith("django.")}
    assert both == IN_BOTH_SCHEMAS


def test_every_own_app_has_a_layer() -> None:
    assert {path.parent.name for path in ROOT.glob("apps/*/__init__.py")} == set(LEVEL)


def test_each_tenant_table_stands_in_each_schema_and_in_public_only_when_shared(tenant: Tenant) -> None:
    """The search path falls through to public: a table missing in the tenant's schema would be read there."""
    with connection.cursor() as cursor:
        cursor.execute("select schemaname, tablename from pg_tables")
        found = set(cursor.fetchall())
    tenants = [name for name in Tenant.objects.values_list("schema_name", flat=True) if name != "public"]
    assert len(tenants) >= 2
    wrong = []
    for config in apps.get_app_configs():
        models = config.get_models(include_auto_created=True)
        tables = [m._meta.db_table for m in models if m._meta.managed and not m._meta.proxy]
        for schema in [*tenants, "public"]:
            wanted = config.name in (settings.SHARED_APPS if schema == "public" else settings.TENANT_APPS)
            wrong += [f"{schema}.{table}" for table in tables if ((schema, table) in found) != wanted]
    assert wrong == []


@pytest.mark.parametrize(
    ("habit", "why"),
    [
        (r"^\s*with tenant\b\s*(:|as)", "one list for all threads remembers the schema: use schema_context"),
        (r"@receiver\((pre|post)_(save|delete)", "no model signals: services announce named events"),
        (
            r"django_db\(.*transaction=True|TransactionTestCase",
            "the flush after such a test empties the public schema: use `committed`",
        ),
    ],
)
def test_habits_that_went_wrong_once(habit: str, why: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in OWN_CODE
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(habit, line)
    ]
    assert found == [], why


def test_requirements_name_no_host() -> None:
    for path in ROOT.glob("requirements*.txt"):
        assert not re.search(r"://|index-url|find-links", path.read_text()), path.name


def test_every_setting_is_described() -> None:
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "chargeplat/settings.py").read_text()))
    described = set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    read_elsewhere = {
        "CHARGEPLAT_STATE",
        "DEMO_PASSWORD",
        "FLEET",
        "BUILD_PAGES",
        "DEMO_DAYS",
        "SANDBOX_PORT",
        "HOST",
    }
    assert described == read | read_elsewhere
