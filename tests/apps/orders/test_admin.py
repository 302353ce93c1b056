"""The order pages: stopping, searching, what is shown to whom, findings in words."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import translation

from apps.backoffice import paging
from apps.backoffice.models import AuditEntry
from apps.common.time import SHANGHAI
from apps.orders.admin import orders
from apps.orders.enums import OrderState, StopReason
from apps.orders.models import Order
from apps.orders.settling import settle_record
from apps.orders.wording import event_words, failure_words, finding_words, quarantine_words
from apps.piles.enums import CommandKind
from apps.piles.models import PileCommand
from tests import factories
from tests.staff import a_user, boss, signed_in

READER = ("orders.view_order",)


def page(order: Order) -> str:
    return f"/admin/orders/order/{order.pk}/change/"


def settled(customer: Any = None, energy: str = "10.0000", **changes: Any) -> Order:
    order = factories.a_charging_order(customer=customer or factories.a_customer())
    settle_record(record_id=factories.a_record(order, {"flat": energy}, **changes).pk)
    order.refresh_from_db()
    return order


def test_staff_stop_a_charge_once(tenant: Any) -> None:
    order = factories.a_charging_order()
    user = a_user("orders.view_order", "orders.stop_order", display_name="王芳")
    client = signed_in(user)
    assert "停止充电" in client.get(page(order)).content.decode()
    stop = f"/admin/orders/order/{order.pk}/stop/"
    assert "停止本次充电？" in client.get(stop).content.decode()
    order.refresh_from_db()
    assert order.state == OrderState.CHARGING  # asking for the dialog stops nothing

    answer = client.post(stop, {"_form_submitted": "True"})
    assert answer.headers["HX-Redirect"] == page(order)
    order.refresh_from_db()
    assert (order.state, order.stop_reason) == (OrderState.STOPPING, StopReason.STAFF)
    assert PileCommand.objects.filter(kind=CommandKind.STOP).count() == 1
    entry = AuditEntry.objects.get(action="orders.order_stop_requested")
    assert (entry.actor_name, entry.changes) == ("王芳", {"state": ["charging", "stopping"]})

    assert client.post(stop, {"_form_submitted": "True"}).status_code == 403
    assert PileCommand.objects.filter(kind=CommandKind.STOP).count() == 1


def test_stopping_needs_its_own_permission(tenant: Any) -> None:
    order = factories.a_charging_order()
    client = signed_in(a_user(*READER, "orders.change_order"))
    assert f"/{order.pk}/stop/" not in client.get(page(order)).content.decode()
    assert (
        client.post(f"/admin/orders/order/{order.pk}/stop/", {"_form_submitted": "True"}).status_code == 403
    )
    order.refresh_from_db()
    assert order.state == OrderState.CHARGING
    assert AuditEntry.objects.filter(action="orders.order_stop_requested").count() == 0


def test_a_settled_order_shows_bill_money_and_timeline(tenant: Any) -> None:
    order = settled(factories.a_customer("5.00"))
    html = boss().get(page(order)).content.decode()
    assert (order.payable, order.debt) == (12, 7)
    for text in (
        "12.00",
        "8.00",
        "4.00",
        "7.00",
        "订单已创建，金额已冻结",
        "收到交易记录",
        "充电扣费",
        "车主欠费",
    ):
        assert text in html, text
    assert f"/admin/orders/order/{order.pk}/stop/" not in html


@pytest.mark.parametrize(("permissions", "seen"), [((), False), (("customers.view_phone",), True)])
def test_the_phone_number_is_masked(tenant: Any, permissions: tuple[str, ...], seen: bool) -> None:
    order = settled(factories.a_customer(phone="+8613912345678"))
    html = signed_in(a_user(*READER, *permissions)).get(page(order)).content.decode()
    assert ("13912345678" in html) is seen
    assert ("139****5678" in html) is True


def test_an_order_is_found_by_each_of_its_numbers(tenant: Any) -> None:
    order, _other = settled(), settled()
    client = boss()
    gun = order.connector
    phone = order.customer.phone.removeprefix("+86")
    for term in (
        order.order_no,
        order.order_no.lower(),
        order.transaction_no,
        gun.code,
        gun.pile.pile_code,
        phone,
    ):
        rows = client.get("/admin/orders/order/", {"q": term}).context_data["cl"].result_list
        assert [row.order_no for row in rows] == [order.order_no], term
    assert not client.get("/admin/orders/order/", {"q": phone[:8]}).context_data["cl"].result_list


def test_a_long_list_is_counted_to_a_limit_and_says_so(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.a_charging_order(), factories.a_charging_order()
    client, path = boss(), "/admin/orders/order/"
    monkeypatch.setattr(paging, "CAP", 2)
    exact = client.get(path)
    assert exact.context_data["cl"].result_count == 2
    assert "2+" not in exact.content.decode()
    newest = factories.a_charging_order()
    more = client.get(path)
    assert more.context_data["cl"].result_list[0] == newest
    assert more.content.decode().count("2+") == 2  # above the list and below it
    assert f"{paging.AtLeast(10_000)}" == "10,000+"


def test_filters_by_state_verdict_and_station(tenant: Any) -> None:
    done, charging = settled(), factories.a_charging_order()
    client = boss()
    for query, wanted in (
        ({"state__exact": "completed"}, done),
        ({"state__exact": "charging"}, charging),
        ({"verdict__exact": "ok"}, done),
        ({"station__id__exact": charging.station_id}, charging),
    ):
        rows = client.get("/admin/orders/order/", query).context_data["cl"].result_list
        assert [row.pk for row in rows] == [wanted.pk], query


def test_filters_by_time_and_by_the_hour_in_which_it_began(tenant: Any) -> None:
    old, new = factories.a_charging_order(), factories.a_charging_order()
    day = datetime(2026, 3, 9, 23, 59, tzinfo=SHANGHAI)
    Order.objects.filter(pk=old.pk).update(created_at=day, charging_at=day + timedelta(minutes=2))
    Order.objects.filter(pk=new.pk).update(charging_at=day.replace(hour=14))
    client = boss()
    for query, wanted in (
        ({}, [new, old]),
        ({"created_at_from_0": "2026-03-09", "created_at_to_0": "2026-03-09"}, [old]),
        ({"created_at_from_0": "2026-03-10", "created_at_from_1": ""}, [new]),
        ({"created_at_to_0": "2026-03-09", "created_at_to_1": "23:58:59"}, []),
        ({"created_at_from_0": "2026-03-09", "created_at_from_1": "23:59:00"}, [new, old]),
        ({"created_at_from_0": "yesterday"}, [new, old]),
        ({"hour": "0"}, [old]),
        ({"hour": "14"}, [new]),
        ({"hour": "24"}, []),
    ):
        rows = client.get("/admin/orders/order/", query).context_data["cl"].result_list
        assert list(rows) == wanted, query
    Order.objects.filter(pk=new.pk).update(created_at=day - timedelta(days=1))
    rows = client.get("/admin/orders/order/").context_data["cl"].result_list
    assert list(rows) == [old, new]  # newest first is by time


def test_orders_of_a_name_are_found_however_many_have_it(
    tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = [settled(factories.a_customer(nickname=f"王{number}芳")) for number in range(2)]
    settled(factories.a_customer(nickname="李强"))
    client = boss()
    for limit in (orders.FEW_CUSTOMERS, 1):
        monkeypatch.setattr(orders, "FEW_CUSTOMERS", limit)
        for name, wanted in (("王", mine[::-1]), ("王1", mine[1:]), ("没有", [])):
            rows = client.get("/admin/orders/order/", {"q": name}).context_data["cl"].result_list
            assert list(rows) == wanted, (limit, name)


def test_findings_are_sentences_in_chinese(tenant: Any) -> None:
    order = settled(total_amount=Decimal("13.00"))
    assert order.verdict == "flagged"
    html = boss().get(page(order)).content.decode()
    assert "充电桩金额 13.00 元，平台金额 12.00 元" in html


def test_times_and_classes_of_a_finding_are_in_words() -> None:
    times = {"end": "2026-01-02T00:00:00+00:00", "received": "2026-01-02T03:00:00+00:00"}
    late = {"code": "arrived_late", "data": times}
    price = {"code": "price_differs", "data": {"rate_class": "peak", "pile": "1.5", "ours": "1.4"}}
    with translation.override("zh-hans"):
        assert finding_words(late) == "记录结束于 2026-01-02 08:00:00，到达于 2026-01-02 11:00:00。"
        assert finding_words(price) == "充电桩按峰 1.5 元/度计费，电价方案为 1.4。"
    assert finding_words({"code": "unheard_of", "text": "as it is", "data": {}}) == "as it is"


def test_every_event_and_reason_has_words() -> None:
    with translation.override("zh-hans"):
        assert event_words("charging_started") == "开始充电"
        assert event_words("never heard of") == "never heard of"
        assert failure_words("not_plugged") == "未插枪"
        assert quarantine_words("foreign_pile") == "上报桩与记录中的桩不一致。"


def test_a_quarantined_record_is_listed_with_its_reason(tenant: Any) -> None:
    order = factories.a_charging_order()
    record = factories.a_record(order, {"flat": "1.0000"}, transaction_no="9" * 32)
    settle_record(record_id=record.pk)
    answer = boss().get("/admin/orders/transactionrecord/", {"state__exact": "quarantined"})
    assert [row.pk for row in answer.context_data["cl"].result_list] == [record.pk]
    assert "没有订单使用该交易流水号。" in answer.content.decode()
