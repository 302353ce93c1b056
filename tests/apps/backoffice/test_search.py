"""The search of the sidebar: entries of one's own menu, and rows by number or name."""

from __future__ import annotations

import re
from typing import Any

from django.db import connection

from tests import factories
from tests.staff import PLATFORM_HOST, a_user, boss, signed_in


def found(client: Any, words: str, *, rows: bool = True) -> list[str]:
    answer = client.get("/admin/search/", {"s": words, **({"extended": 1} if rows else {})})
    assert answer.status_code == 200
    return re.findall(r'href="([^"]+)"', answer.content.decode())


def test_entries_of_the_menu_are_found_by_their_words(tenant: Any) -> None:
    client = boss()
    assert found(client, "试算") == ["/admin/wallet/account/trial-balance/"]
    assert found(client, "试算", rows=False) == ["/admin/wallet/account/trial-balance/"]
    assert "/admin/wallet/debt/" in found(client, "充值与退款")
    clerk = signed_in(a_user("orders.view_order"))
    assert found(clerk, "试算") == []
    assert "没有匹配的结果" in clerk.get("/admin/search/?s=试算&extended=1").content.decode()
    assert found(client, "") == found(client, "   ") == []


def test_rows_are_found_a_few_of_each_in_words(tenant: Any) -> None:
    station = factories.a_station(name="江南站")
    order = factories.a_charging_order(connector=factories.a_connector(station=station))
    client = boss()
    for words, link in (
        (order.order_no, f"/admin/orders/order/{order.pk}/change/"),
        (order.connector.pile.pile_code, f"/admin/piles/pile/{order.connector.pile_id}/change/"),
        (order.connector.code, f"/admin/piles/connector/{order.connector_id}/change/"),
        ("江南", f"/admin/sites/station/{station.pk}/change/"),
        (order.customer.nickname, f"/admin/customers/customer/{order.customer_id}/change/"),
    ):
        assert link in found(client, words), words
        assert found(client, words, rows=False) == []
    answer = client.get("/admin/search/", {"s": order.order_no, "extended": 1}).content.decode()
    assert "充电订单" in answer
    assert not re.search(r"Orders|Charging order", answer)
    clerk = signed_in(a_user("sites.view_station"))
    assert found(clerk, order.order_no) == []
    for number in range(9):
        factories.a_station(name=f"连锁站{number}")
    assert len(found(client, "连锁站")) == 5
    for hostile in ("<script>alert(1)</script>", "%", "'; drop table", "\x00", "好" * 500):
        assert (
            "<script>alert"
            not in client.get("/admin/search/", {"s": hostile, "extended": 1}).content.decode()
        )


def test_the_platform_finds_tenants(tenant: Any) -> None:

    connection.set_schema_to_public()
    client = signed_in(a_user(superuser=True), PLATFORM_HOST)
    assert any("/admin/tenancy/tenant/" in link for link in found(client, "alpha"))
