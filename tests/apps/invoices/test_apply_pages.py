"""Staff apply for an invoice on behalf of a driver: by the driver's rules, once, with a permission, in the log."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.enums import Scope
from apps.accounts.models import User
from apps.backoffice.models import AuditEntry
from apps.common.ids import Actor
from apps.common.time import business_day, now
from apps.customers.models import Customer
from apps.invoices import apply_pages, errors, services
from apps.invoices.models import InvoiceApplication, InvoicePolicy, InvoiceTitle
from apps.miniapp.authentication import token_for
from apps.orders.models import Order
from apps.sites.services import give_stations
from tests import factories
from tests.apps.miniapp.conftest import Caller
from tests.apps.orders.test_refunds import ask
from tests.staff import a_user, signed_in, status_of

APPLY, READ = "invoices.apply_invoiceapplication", "invoices.view_invoiceapplication"
MAY = (APPLY, READ, "customers.view_customer")
LIST = "/admin/invoices/invoiceapplication/"
COMPANY = {"title_kind": "company", "name": "上海测试出行有限公司", "tax_no": "91350100M000100Y43"}

pytestmark = pytest.mark.usefixtures("tenant")


@pytest.fixture
def driver() -> Customer:
    return factories.a_customer("500.00", phone="+8613912345678", nickname="小明")


def page(customer: Customer) -> str:
    return f"/admin/customers/customer/{customer.pk}/invoice/"


def sent(*orders: Order, **words: str) -> dict[str, Any]:
    return {
        "title": "new",
        **COMPANY,
        "kind": "ordinary",
        "orders": [order.order_no for order in orders],
        "request_key": uuid4().hex,
        **words,
    }


def a_clerk() -> Client:
    return signed_in(a_user(*MAY, display_name="王芳"))


def said(answer: Any) -> str:
    """What a page says that took nothing."""
    assert answer.status_code == 200
    assert not InvoiceApplication.objects.filter(applied_by_kind="staff").exists()
    html: str = answer.content.decode()
    return html


def test_over_several_orders_to_a_title_that_is_there(driver: Customer) -> None:
    title = factories.a_title(driver, email="fapiao@example.com", is_default=True)
    orders = [factories.a_settled_order(energy, customer=driver) for energy in ("10.0000", "2.5000")]
    client = a_clerk()
    html = client.get(page(driver)).content.decode()
    for words in ("小明", title.tax_no, "12.00", "3.00", *(order.order_no for order in orders)):
        assert words in html, words
    assert "申请开票" in client.get(f"/admin/customers/customer/{driver.pk}/change/").content.decode()
    words = sent(*orders, title=str(title.pk), remark="车主来电")
    answers = [client.post(page(driver), words, REMOTE_ADDR="203.0.113.7") for _ in range(2)]
    made = InvoiceApplication.objects.get()
    assert {answer.headers["Location"] for answer in answers} == {f"{LIST}{made.pk}/change/"}
    assert (made.customer, made.state, made.amount, made.order_count) == (driver, "applied", 15, 2)
    assert (made.title, made.email, made.reason) == (title.name, "fapiao@example.com", "车主来电")
    assert (made.applied_by_kind, made.applied_by) == ("staff", "王芳")
    entry = AuditEntry.objects.get(action="invoices.invoiceapplication_applied")
    assert (entry.actor_name, entry.reason, entry.address) == ("王芳", "车主来电", "203.0.113.7")
    assert entry.changes["orders"] == [None, sorted(order.order_no for order in orders)]
    assert entry.changes["customer"] == [None, "139****5678"]
    (seen,) = Caller(str(token_for(driver))).get("invoices").json()["items"]
    assert (seen["application_no"], seen["amount"], seen["can_cancel"]) == (
        made.application_no,
        "15.00",
        True,
    )
    assert "没有可开票的订单" in client.get(page(driver)).content.decode()


def test_a_new_title_is_kept_once_the_application_is(driver: Customer) -> None:
    order = factories.a_settled_order(customer=driver)
    client = a_clerk()
    for wrong, message in (
        ({"tax_no": "91350100M000100Y44"}, "税号无效"),
        ({"tax_no": ""}, "须填写全称和税号"),
        ({"title_kind": "personal", "kind": "special", "tax_no": ""}, "专票仅限企业"),
    ):
        html = said(client.post(page(driver), sent(order, **wrong)))
        assert message in html, html
        assert re.search(rf'value="{order.order_no}"[^>]* checked', html)
        assert '<b class="bo-figure" data-total>12.00</b>' in html
    assert not InvoiceTitle.objects.exists()
    answer = client.post(page(driver), sent(order, email="a@example.com", bank="招商银行"))
    assert answer.status_code == 302
    made, title = InvoiceApplication.objects.get(), InvoiceTitle.objects.get()
    assert (made.tax_no, made.email, made.bank) == (COMPANY["tax_no"], "a@example.com", "招商银行")
    assert (title.customer, title.name, title.email) == (driver, COMPANY["name"], "a@example.com")


def test_the_same_title_typed_anew_stays_the_default(driver: Customer) -> None:
    factories.a_title(driver, is_default=True)
    order = factories.a_settled_order(customer=driver)
    assert a_clerk().post(page(driver), sent(order)).status_code == 302
    assert InvoiceTitle.objects.get().is_default


def test_what_staff_leave_empty_stays_in_the_drivers_title(driver: Customer) -> None:
    factories.a_title(driver, bank="招商银行", email="driver@example.com")
    order = factories.a_settled_order(customer=driver)
    assert a_clerk().post(page(driver), sent(order, address="上海市测试路 1 号")).status_code == 302
    title = InvoiceTitle.objects.get()
    assert (title.bank, title.email, title.address) == ("招商银行", "driver@example.com", "上海市测试路 1 号")
    assert InvoiceApplication.objects.get().bank == "招商银行"


def test_a_title_has_a_kind(driver: Customer) -> None:
    order = factories.a_settled_order(customer=driver)
    html = said(a_clerk().post(page(driver), sent(order, title_kind="", tax_no="")))
    assert "这个字段是必填项" in html or "该字段是必填项" in html
    assert not InvoiceTitle.objects.exists()


def test_a_double_press_with_a_new_title_changes_nothing(driver: Customer) -> None:
    order = factories.a_settled_order(customer=driver)
    client, words = a_clerk(), sent(order)
    client.post(page(driver), words)
    InvoiceTitle.objects.update(bank="车主自己填的")
    client.post(page(driver), words)
    assert InvoiceApplication.objects.count() == 1
    assert InvoiceTitle.objects.get().bank == "车主自己填的"
    assert AuditEntry.objects.filter(action="invoices.invoiceapplication_applied").count() == 1


def test_what_drivers_may_not_ask_for_staff_may_not_either(driver: Customer) -> None:
    client = a_clerk()
    free, taken, waiting, old = (factories.a_settled_order(customer=driver) for _ in range(4))
    factories.an_invoice(taken)
    ask(waiting)
    Order.objects.filter(pk=old.pk).update(settled_at=now() - timedelta(days=366))
    strangers = factories.a_settled_order()
    html = client.get(page(driver)).content.decode()
    assert free.order_no in html
    for order in (taken, waiting, old, strangers):
        assert order.order_no not in html
    for chosen, message in (
        ([free, taken], f"订单 {taken.order_no} 已在另一张发票中"),
        ([waiting], "有退款"),
        ([old], "365 天"),
        ([free, strangers], str(services.OrderNotFound())),
        ([], "请至少选择一笔订单"),
    ):
        assert message in said(client.post(page(driver), sent(*chosen))), message
    for number in ("x\x00y", "'; --", "长" * 40):
        said(client.post(page(driver), {**sent(), "orders": [number]}))
    said(client.post(page(driver), sent(free, request_key="x")))
    said(client.post(page(driver), sent(free, kind="other")))
    said(client.post(page(driver), sent(free, title="0")))
    InvoicePolicy.objects.update(most_orders=1)
    second = factories.a_settled_order(customer=driver)
    assert "最多包含 1 笔订单" in said(client.post(page(driver), sent(free, second)))
    InvoicePolicy.objects.update(minimum_amount="12.01", allows_special=False)
    assert "12.01" in said(client.post(page(driver), sent(free)))
    html = client.get(page(driver)).content.decode()
    assert "数电专票" not in html
    said(client.post(page(driver), sent(free, kind="special")))
    InvoicePolicy.objects.update(is_enabled=False)
    said(client.post(page(driver), sent(free)))
    html = client.get(page(driver)).content.decode()
    assert "已在开票规则中关闭" in html
    assert '<form method="post" novalidate' not in html


def test_what_an_enterprise_paid_is_not_its_members_to_have_invoiced() -> None:
    order = factories.an_enterprise_charge()
    client = a_clerk()
    html = client.get(page(order.customer)).content.decode()
    assert order.order_no not in html
    assert "企业支付" in html
    assert str(errors.NothingPaid(order_no=order.order_no)) in said(
        client.post(page(order.customer), sent(order))
    )


def test_nothing_is_asked_for_on_a_deleted_account(driver: Customer) -> None:
    order = factories.a_settled_order(customer=driver)
    Customer.objects.update(state="deleted")
    client = a_clerk()
    assert "账号已注销" in client.get(page(driver)).content.decode()
    said(client.post(page(driver), sent(order)))
    assert not InvoiceTitle.objects.exists()
    with pytest.raises(errors.AccountDeleted):
        services.apply_for(
            customer=driver,
            title_id=None,
            new_title={"kind": "personal", "name": "张三"},
            order_nos=[order.order_no],
            kind="ordinary",
            applied_by=Actor("staff", "1", "王芳"),
            request_key="k",
        )


def test_orders_of_days_and_of_the_newest(driver: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    early, late = (factories.a_settled_order(customer=driver) for _ in range(2))
    Order.objects.filter(pk=early.pk).update(settled_at=now() - timedelta(days=40))
    client, today = a_clerk(), business_day(now())

    def listed(**words: object) -> list[bool]:
        html = client.get(page(driver), words).content.decode()
        return [order.order_no in html for order in (early, late)]

    assert listed() == [True, True]
    assert listed(**{"from": today - timedelta(days=1)}) == [False, True]
    assert listed(to=today - timedelta(days=1)) == [True, False]
    assert listed(to="9999-12-31") == listed(to="x") == [True, True]
    html = client.get(page(driver), {"to": today - timedelta(days=90)}).content.decode()
    assert "这段时间内结算的订单均不可开票" in html
    monkeypatch.setattr(apply_pages, "MOST_SHOWN", 1)
    assert listed() == [False, True]
    assert "最新的 1 笔" in client.get(page(driver)).content.decode()
    assert client.post(f"{page(driver)}?from={today}", sent(early)).status_code == 302


def test_who_may(driver: Customer) -> None:
    order = factories.a_settled_order(customer=driver)
    for lacking in ((READ, "customers.view_customer"), (APPLY, READ)):
        client = signed_in(a_user(*lacking))
        assert status_of(client, page(driver)) == 403
        assert client.post(page(driver), sent(order)).status_code == 403
    assert not InvoiceApplication.objects.exists()
    blind = signed_in(a_user(APPLY, "customers.view_customer"))
    answer = blind.post(page(driver), sent(order))
    assert answer.headers["Location"] == page(driver), "who may not look at applications stays"
    assert status_of(a_clerk(), page(Customer(pk=987_654_321))) == 404
    able = set()
    for group in Group.objects.filter(permissions__codename="apply_invoiceapplication"):
        able.add(group.standard.code)  # type: ignore[attr-defined]
    assert able == {"administrator", "finance", "support"}
    for code in ("support", "finance"):
        user = a_user()
        user.groups.add(Group.objects.get(standard__code=code))
        client = signed_in(User.objects.get(pk=user.pk))
        fresh = factories.a_settled_order(customer=driver)
        assert client.post(page(driver), sent(fresh)).status_code == 302, code


def test_a_franchisees_account_never_applies(driver: Customer) -> None:
    order = factories.a_settled_order(customer=driver)
    account = factories.a_franchisees_account(factories.a_franchisee(order.station))
    account.groups.set([Group.objects.get(standard__code="administrator")])
    client = signed_in(User.objects.get(pk=account.pk))
    assert client.get(page(driver)).status_code == 403
    assert client.post(page(driver), sent(order)).status_code == 403
    assert (
        client.post(f"{LIST}apply-for/", {"_form_submitted": "on", "phone": "13912345678"}).status_code == 403
    )
    assert not InvoiceApplication.objects.exists()


def test_who_sees_some_stations_applies_over_orders_of_these(driver: Customer) -> None:
    here, there = (factories.a_settled_order(customer=driver) for _ in range(2))
    person = a_user(*MAY, scope=Scope.STATIONS)
    give_stations(user=person, stations=[here.station])
    client = signed_in(person)
    html = client.get(page(driver)).content.decode()
    assert here.order_no in html
    assert there.order_no not in html
    for chosen in ([there], [here, there]):
        assert str(services.OrderNotFound()) in said(client.post(page(driver), sent(*chosen)))
    assert client.post(page(driver), sent(here)).status_code == 302
    made = InvoiceApplication.objects.get()
    assert status_of(client, f"{LIST}{made.pk}/change/") == 200


def test_the_list_leads_there_by_a_whole_phone_number(driver: Customer) -> None:
    client = a_clerk()
    assert f"{LIST}apply-for/" in client.get(LIST).content.decode()
    press = {"_form_submitted": "on"}
    answer = client.post(f"{LIST}apply-for/", {**press, "phone": "13912345678"})
    assert answer.headers["HX-Redirect"] == page(driver)
    for phone in ("13900000000", "1391234", ""):
        answer = client.post(f"{LIST}apply-for/", {**press, "phone": phone})
        assert "HX-Redirect" not in answer.headers
    reader = signed_in(a_user(READ, "customers.view_customer"))
    assert f"{LIST}apply-for/" not in reader.get(LIST).content.decode()
    assert reader.post(f"{LIST}apply-for/", {**press, "phone": "13912345678"}).status_code == 403


def test_more_orders_ask_no_more_questions(driver: Customer) -> None:
    client, counts = a_clerk(), []
    for _ in range(3):
        factories.a_settled_order(customer=driver)
        factories.a_title(driver, name=f"公司{len(counts)}")
        with CaptureQueriesContext(connection) as asked:
            assert client.get(page(driver)).status_code == 200
        counts.append(len(asked.captured_queries))
    assert counts[0] == counts[1] == counts[2]
    assert counts[0] <= 20
