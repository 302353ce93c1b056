"""The page on which a tenant sees its package: names, features, limits with what is used, the last day, whom to ask."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.common.time import business_day, now
from apps.tenancy.models import Package, Tenant
from tests import factories
from tests.staff import a_user, boss, signed_in

PAGE = "/admin/package/"
LINK = f'href="{PAGE}"'


def read(client: Any) -> str:
    answer = client.get(PAGE)
    assert answer.status_code == 200
    return answer.content.decode().partition('id="content"')[2]


def give(tenant: Tenant, **fields: Any) -> None:
    package, _made = Package.objects.update_or_create(
        code="small",
        defaults={
            "name": "小站版",
            "features": ["cards"],
            "max_stations": 2,
            "max_piles": 10,
            "max_staff": 1,
        },
    )
    row = Tenant.objects.get(pk=tenant.pk)
    row.package, row.expires_on = package, fields.get("expires_on")
    row.save()


def test_a_package_with_its_limits(tenant: Tenant, settings: Any) -> None:
    settings.PLATFORM_CONTACT = "400-123-4567"
    factories.a_pile()
    client = boss()
    give(tenant, expires_on=business_day(now()) + timedelta(days=5))
    page = read(client)
    for words in ("小站版", "400-123-4567", "剩余 5 天", "已用 1 / 共 2", "已用 1 / 共 10", "已用 1 / 共 1"):
        assert words in page
    assert re.findall(r"bo-label bo-(\w+)\">已用", page) == ["success", "success", "danger"]
    included = re.findall(
        r"<tr><th>([^<]+)</th><td><span class=\"bo-label bo-(\w+)\">", page.partition("features")[2]
    )
    assert [tone for _title, tone in included].count("success") == 1
    assert len(included) == 5
    give(tenant, expires_on=business_day(now()) - timedelta(days=1))
    assert "已到期" in read(client)


def test_a_tenant_without_package_or_end(tenant: Tenant) -> None:
    page = read(boss())
    assert "长期有效" in page
    assert "平台运营方" in page
    assert "未包含" not in page
    assert page.count("不限") >= 3


def test_who_may_see_it(tenant: Tenant) -> None:
    may, may_not = a_user("reports.view_ownpackage"), a_user("orders.view_order")
    assert LINK in signed_in(may).get(PAGE).content.decode()
    assert signed_in(may_not).get(PAGE).status_code == 403
    assert LINK not in signed_in(may_not).get("/admin/").content.decode()


@pytest.mark.parametrize("piles", [1, 3])
def test_it_asks_as_much_for_many_as_for_few(tenant: Tenant, piles: int) -> None:
    for _ in range(piles):
        factories.a_pile()
    client = boss()
    read(client)
    with CaptureQueriesContext(connection) as queries:
        read(client)
    assert len(queries) == QUERIES


QUERIES = 8
