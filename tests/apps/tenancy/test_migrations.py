"""Migrations of the public schema that carry data, there and back."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django_tenants.utils import schema_context

from apps.customers.models import MiniProgram
from apps.tenancy.models import Tenant


def migrated(name: str) -> Any:
    """Bring the public schema to a migration of tenancy and return the models of that time."""
    executor = MigrationExecutor(connection)
    executor.migrate([("tenancy", name)])
    return MigrationExecutor(connection).loader.project_state([("tenancy", name)]).apps


def programs(schema: str) -> list[tuple[str, str, str, bool]]:
    with schema_context(schema):
        return [
            (one.provider, one.app_id, one.secret, one.is_active)
            for one in MiniProgram.objects.order_by("provider")
        ]


def test_app_ids_move_to_the_tenants_own_mini_programs_and_back(tenant: Tenant, other_tenant: Tenant) -> None:
    own = MiniProgram.objects.create(provider="wechat", app_id="wx0000000000000001", secret="s")
    with schema_context("public"):
        before = migrated("0011_domain_names").get_model("tenancy", "Tenant").objects
        ids = before.order_by("code").values_list("code", "wechat_app_id", "alipay_app_id")
        assert {row for row in ids if row[1] or row[2]} == {("alpha", "wx0000000000000001", "")}
        before.filter(code="alpha").update(
            wechat_app_id="wx00000000000000ff", alipay_app_id="2021000000000001"
        )
        before.filter(code="beta").update(alipay_app_id="2021000000000002")
        migrated("0012_app_ids_in_one_place")
    assert programs("t_beta") == [("alipay", "2021000000000002", "", False)]
    assert programs("t_alpha") == [
        ("alipay", "2021000000000001", "", False),
        ("wechat", own.app_id, "s", True),  # its own word counts
    ]
