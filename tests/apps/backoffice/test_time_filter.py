"""The filter by a span of time: one class in every list, and the database is asked with a time zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.contrib.admin.sites import AdminSite
from django.contrib.admin.utils import get_fields_from_path
from django.db.models import DateTimeField
from django_tenants.utils import schema_context

from apps.backoffice.sites import platform_site, tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.time import SHANGHAI
from apps.orders.models import Order
from tests import factories
from tests.staff import PLATFORM_HOST, boss

SPAN = {"from_0": "2026-03-09", "from_1": "08:00:00", "to_0": "2026-03-10", "to_1": ""}


def filters(site: AdminSite) -> Iterator[tuple[str, str, Any, Any]]:
    """(page, path of a field, the field, the class of its filter) of each list."""
    for model, page in site._registry.items():
        for one in page.list_filter:
            if isinstance(one, tuple):
                path, kind = one
                field = get_fields_from_path(model, path)[-1]
                yield f"{model._meta.app_label}/{model._meta.model_name}", path, field, kind


def spans(site: AdminSite) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for page, path, _field, kind in filters(site):
        if kind is TimeFilter:
            found.setdefault(page, []).append(path)
    return found


@pytest.mark.parametrize("site", [tenant_site, platform_site])
def test_every_list_reads_moments_in_the_one_way(site: AdminSite) -> None:
    others = [(page, path) for page, path, field, kind in filters(site) if
              isinstance(field, DateTimeField) and kind is not TimeFilter]  # fmt: skip
    assert others == []
    assert "accounts/signinrecord" in spans(site)


def test_no_list_asks_without_a_time_zone(tenant: Any) -> None:
    """Django warns of times without a zone, and a warning fails a test."""
    client, pages = boss(), spans(tenant_site)
    assert len(pages) > 20
    for page, paths in pages.items():
        words = {f"{path}_{end}": value for path in paths for end, value in SPAN.items()}
        assert client.get(f"/admin/{page}/", words).status_code == 200, page


def test_nor_does_the_platforms(tenant: Any) -> None:
    with schema_context("public"):
        client = boss(PLATFORM_HOST)
    for page, paths in spans(platform_site).items():
        words = {f"{path}_{end}": value for path in paths for end, value in SPAN.items()}
        assert client.get(f"/admin/{page}/", words).status_code == 200, page


def test_a_day_lasts_until_the_next_one_begins(tenant: Any) -> None:
    order = factories.a_charging_order()
    last = datetime(2026, 3, 9, 23, 59, 59, 500_000, tzinfo=SHANGHAI)
    Order.objects.filter(pk=order.pk).update(created_at=last)
    client = boss()
    for words, seen in (
        ({"created_at_to_0": "2026-03-09"}, True),
        ({"created_at_from_0": "2026-03-09", "created_at_to_0": "2026-03-09"}, True),
        ({"created_at_from_0": "2026-03-10"}, False),
        ({"created_at_to_0": "2026-03-08"}, False),
    ):
        rows = client.get("/admin/orders/order/", words).context_data["cl"].result_list
        assert (order in rows) is seen, words
