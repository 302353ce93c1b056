"""What tenants tell the platform, and its overview of them."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.common.management.base import BadArguments
from apps.common.schema import schema_context
from apps.common.time import business_day, now
from apps.reports import tenants
from apps.tenancy import figures
from apps.tenancy.models import Package, SupportSession, Tenant, TenantDay, TenantFigures, TenantOpening
from tests import factories
from tests.apps.orders.test_refunds import settled
from tests.staff import PLATFORM_HOST, a_user, boss, signed_in

TODAY = business_day(now())


def test_a_tenant_tells_its_figures_and_again(tenant: Tenant, other_tenant: Tenant) -> None:
    order = settled()
    factories.put_online(order.connector.pile)
    tenants.tell_platform()
    tenants.tell_platform()
    row = TenantDay.objects.get(tenant=tenant, day=TODAY)
    assert (row.orders, row.energy_kwh) == (1, order.energy_kwh)
    assert (row.electricity_fee, row.service_fee) == (order.electricity_fee, order.service_fee)
    told = TenantFigures.objects.get()
    assert (told.tenant, told.stations, told.piles, told.customers) == (tenant, 1, 1, 1)
    assert told.guns == told.guns_online >= 1
    # What comes late is told again.
    type(order).objects.update(settled_at=now() - timedelta(days=5))
    tenants.tell_platform()
    assert TenantDay.objects.get(tenant=tenant, day=TODAY).orders == 0
    tenants.tell_platform(days=tenants.NIGHTLY_DAYS)
    assert TenantDay.objects.get(tenant=tenant, day=TODAY - timedelta(days=5)).orders == 1
    assert not TenantDay.objects.filter(tenant=other_tenant).exists()


def test_the_command(tenant: Tenant) -> None:
    settled()

    def run(*arguments: str) -> Any:
        out = StringIO()
        call_command("tenant_figures", *arguments, "--json", stdout=out)
        return json.loads(out.getvalue())

    assert run("--dry-run", "--tenant", "alpha")["schemas"] == {"t_alpha": {"days": 35, "orders": 1}}
    assert not TenantDay.objects.exists()
    assert set(run("--days", "3")["schemas"]) == {"t_alpha", "t_beta"}
    assert TenantDay.objects.count() == 6
    with pytest.raises(BadArguments):
        call_command("tenant_figures", "--tenant", "nobody")


def day(tenant: Tenant, ago: int, income: str) -> None:
    TenantDay.objects.create(
        tenant=tenant,
        day=TODAY - timedelta(days=ago),
        orders=2,
        energy_kwh=Decimal("10.0000"),
        electricity_fee=Decimal(income),
        service_fee=Decimal("1.00"),
    )


def overview(client: Client) -> dict[str, Any]:
    answer = client.get("/admin/")
    assert answer.status_code == 200
    return answer.context_data


def test_the_overview_adds_tenants_up_and_names_what_needs_somebody(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    connection.set_schema_to_public()
    package = Package.objects.get(code="basic")
    Tenant.objects.filter(pk=other_tenant.pk).update(package=package, expires_on=TODAY + timedelta(days=3))
    for one in (tenant, other_tenant):
        day(one, 0, "9.00")
        day(one, 1, "19.00")
        day(one, 40, "1000.00")
    moment = {"stations": 3, "piles": 5, "guns": 10, "guns_online": 9, "told_at": now()}
    TenantFigures.objects.create(tenant=other_tenant, **moment)
    context = overview(boss(PLATFORM_HOST))
    assert [(tile["value"], tile["note"]) for tile in context["tiles"][:4]] == [
        ("20.0", "昨日 20.0"),
        ("20.00", "昨日 40.00"),
        (4, "昨日 4"),
        ("90.0", "9 / 10"),
    ]
    alpha, beta = context["tenants"]
    assert (alpha["tenant"].code, alpha["today"].income, alpha["month"].income) == (
        "alpha",
        Decimal("10.00"),
        Decimal("30.00"),
    )
    assert [text for text, _tone in alpha["remarks"]] == ["近期无数据上报"]
    assert [text for text, _tone in beta["remarks"]] == ["即将到期", "充电站：3 / 3"]
    assert {item["label"]: item["count"] for item in context["todo"]}["即将到期"] == 1
    assert len(context["days"]["rows"]) == 30
    # More tenants ask no more.
    client = boss(PLATFORM_HOST)
    with CaptureQueriesContext(connection) as asked:
        overview(client)
    before = len(asked)
    for number in range(3):
        Tenant.objects.create(code=f"x{number}", schema_name=f"t_x{number}", name="x", state="active")
    with CaptureQueriesContext(connection) as asked:
        overview(client)
    assert len(asked) == before


def test_who_may_see_no_tenant_sees_none(tenant: Tenant) -> None:
    connection.set_schema_to_public()
    context = overview(signed_in(a_user(), PLATFORM_HOST))
    assert context["tenants"] is None
    assert "tiles" not in context


def test_lists_of_the_platform_ask_the_same_for_one_row_and_for_three(tenant: Tenant) -> None:
    connection.set_schema_to_public()
    client = boss(PLATFORM_HOST)

    def rows(number: int) -> None:
        package = Package.objects.create(code=f"p{number}", name="p")
        made = Tenant.objects.create(
            code=f"x{number}", schema_name=f"t_x{number}", name="x", state="active", package=package
        )
        made.domains.create(domain=f"x{number}.test")
        TenantOpening.objects.create(code=f"y{number}", name="y", hostname="y.test", package=package)
        SupportSession.objects.create(
            tenant=made,
            person_id=str(number),
            person_name="x",
            role="readonly",
            reason="x",
            started_at=now(),
            ends_at=now(),
            ticket_hash=str(number),
        )

    def counts() -> dict[str, int]:
        found = {}
        for model in ("tenant", "domain", "package", "tenantopening", "supportsession"):
            with CaptureQueriesContext(connection) as asked:
                assert client.get(f"/admin/tenancy/{model}/").status_code == 200
            own = [one["sql"] for one in asked.captured_queries if not one["sql"].startswith("SET ")]
            found[model] = len([sql for sql in own if '"tenancy_domain"."domain" = ' not in sql])
        return found

    rows(1)
    first = counts()
    assert first == {"tenant": 7, "domain": 6, "package": 5, "tenantopening": 5, "supportsession": 6}
    rows(2)
    rows(3)
    assert counts() == first


def test_sums_are_of_the_asked_days(tenant: Tenant) -> None:
    with schema_context("public"):
        day(tenant, 0, "9.00")
        assert figures.by_tenant(first=TODAY, last=TODAY)[tenant.pk].income == Decimal("10.00")
        assert figures.by_tenant(first=TODAY - timedelta(days=2), last=TODAY - timedelta(days=1)) == {}
        rows = figures.by_day(first=TODAY - timedelta(days=1), last=TODAY)
    assert [(one, sums.orders) for one, sums in rows] == [(TODAY - timedelta(days=1), 0), (TODAY, 2)]
