"""Invoices in the driver's app: titles, what can be invoiced, applying once, the file by a link, nobody else's."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.test import Client

from apps.invoices import services
from apps.invoices.models import InvoiceApplication, InvoicePolicy
from tests import factories
from tests.apps.invoices.test_services import LI, NUMBER, issue
from tests.apps.miniapp.conftest import refusal

pytestmark = pytest.mark.usefixtures("tenant")
_keys = itertools.count(1)


def ask(app: Any, title_id: str, *order_nos: str, key: str = "", **fields: Any) -> Any:
    body = {"title_id": title_id, "kind": "ordinary", "order_nos": order_nos, **fields}
    return app.post("invoices", body, **{"idempotency-key": key or f"key-{next(_keys)}"})


def test_titles(app_of: Any) -> None:
    app = app_of(factories.a_customer("0"))
    answer = app.post("invoice-titles", {**factories.COMPANY, "is_default": True})
    title = answer.json()
    assert (answer.status_code, title["kind_label"], title["is_default"]) == (201, "company", True)
    assert app.get(f"invoice-titles/{title['id']}").json() == title
    changed = {**factories.COMPANY, "email": "a@example.com"}
    assert app.post(f"invoice-titles/{title['id']}", changed).json()["email"] == "a@example.com"
    assert len(app.get("invoice-titles").json()["items"]) == 1
    for wrong, code in (
        ({"tax_no": "91350100M000100Y44"}, "invoices.tax_number_invalid"),
        ({"tax_no": ""}, "invoices.title_incomplete"),
        ({"kind": "state"}, "invalid"),
        ({"name": "x" * 101}, "invalid"),
        ({"email": "nobody"}, "invalid"),
    ):
        assert refusal(app.post("invoice-titles", {**factories.COMPANY, **wrong})) == (400, code)
    for _ in range(2):  # the second is the first, asked for again
        removed = app.post(f"invoice-titles/{title['id']}/remove", **{"idempotency-key": "remove"})
        assert (removed.status_code, removed.json()) == (200, {"items": []})
    for number in (title["id"], "x", "9" * 30, "0"):
        assert refusal(app.get(f"invoice-titles/{number}")) == (404, "invoices.title_not_found")


def test_from_the_orders_to_the_file(app_of: Any) -> None:
    customer = factories.a_customer("100.00")
    first, second = (factories.a_settled_order(customer=customer) for _ in range(2))
    app = app_of(customer)
    page = app.get("invoice-orders", limit=1).json()
    rest = app.get("invoice-orders", limit=1, cursor=page["next_cursor"]).json()
    rows = page["items"] + rest["items"]
    assert [row["order_no"] for row in rows] == [second.order_no, first.order_no]
    assert {(row["electricity"], row["service"], row["amount"]) for row in rows} == {
        ("8.00", "4.00", "12.00")
    }
    assert rest["next_cursor"] is None
    title = factories.a_title(customer, email="a@example.com")
    answer = ask(app, str(title.pk), first.order_no, second.order_no, remark="差旅", key="k")
    body = answer.json()
    assert (answer.status_code, body["state"], body["amount"], body["email"], body["remark"]) == (
        201,
        "applied",
        "24.00",
        "a@example.com",
        "差旅",
    )
    assert ask(app, str(title.pk), second.order_no, first.order_no, key="k").json() == body
    assert refusal(ask(app, str(title.pk), first.order_no, key="k")) == (409, "idempotency.key_reused")
    assert refusal(ask(app, str(title.pk), first.order_no)) == (409, "invoices.order_taken")
    assert app.get("invoice-orders").json()["items"] == []
    assert (body["file_url"], body["can_download"], body["can_cancel"]) == ("", False, True)

    number = body["application_no"]
    services.approve(application_no=number, reviewer=LI, reason="internal words")
    issue(InvoiceApplication.objects.get())
    body = app.get(f"invoices/{number}").json()
    assert (body["state"], body["invoice_no"], body["file_type"], body["reason"]) == (
        "issued",
        NUMBER,
        "pdf",
        "",
    )
    assert [(line["name"], line["amount"]) for line in body["lines"]] == [
        ("充电电费", "16.00"),
        ("充电服务费", "8.00"),
    ]
    assert sorted(row["order_no"] for row in body["orders"]) == sorted([first.order_no, second.order_no])
    browser = Client(headers={"host": "alpha.test"})
    file = browser.get(body["file_url"])
    assert (file.status_code, file.headers["Content-Type"]) == (200, "application/pdf")
    assert b"".join(file.streaming_content).startswith(b"%PDF")
    assert browser.get(body["file_url"].partition("?")[0]).status_code == 302
    assert browser.get(f"{body['file_url']}x").status_code == 404
    (item,) = app.get("invoices").json()["items"]
    assert (item["application_no"], item["can_download"]) == (number, True)
    assert refusal(app.post(f"invoices/{number}/cancel")) == (409, "invoices.wrong_state")


def test_a_rejection_is_read_and_an_application_withdrawn(app_of: Any) -> None:
    order = factories.a_settled_order()
    app, title = app_of(order.customer), factories.a_title(order.customer)
    number = ask(app, str(title.pk), order.order_no).json()["application_no"]
    services.reject(application_no=number, reviewer=LI, reason="抬头不符")
    assert app.get(f"invoices/{number}").json()["reason"] == "抬头不符"
    number = ask(app, str(title.pk), order.order_no).json()["application_no"]
    for _ in range(2):
        answer = app.post(f"invoices/{number}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert [row["state"] for row in app.get("invoices").json()["items"]] == ["cancelled", "rejected"]


def test_what_is_refused(app_of: Any) -> None:
    order, other = factories.a_settled_order(), factories.a_settled_order()
    app, title = app_of(order.customer), str(factories.a_title(order.customer).pk)
    path = {"title_id": title, "kind": "ordinary", "order_nos": [order.order_no]}
    assert refusal(app.post("invoices", path)) == (400, "idempotency.key_missing")
    assert refusal(ask(app, title)) == (400, "invalid")
    assert refusal(ask(app, title, *[f"C{n}" for n in range(201)])) == (400, "invalid")
    assert refusal(ask(app, title, *[f"C{n}" for n in range(51)])) == (400, "invoices.too_many_orders")
    assert refusal(ask(app, title, "C1")) == (404, "orders.not_found")
    assert refusal(ask(app, title, order.order_no, other.order_no)) == (404, "orders.not_found")
    assert refusal(ask(app, str(factories.a_title(other.customer).pk), order.order_no)) == (
        404,
        "invoices.title_not_found",
    )
    assert refusal(ask(app, title, order.order_no, kind="paper")) == (400, "invalid")
    InvoicePolicy.objects.update(is_enabled=False, allows_special=False)
    assert refusal(ask(app, title, order.order_no)) == (403, "invoices.off")
    assert app.get("invoice-options").json() == {
        "enabled": False,
        "kinds": ["ordinary"],
        "minimum_amount": "0.00",
        "most_orders": 50,
        "days": 365,
        "notice": "",
    }
    assert not InvoiceApplication.objects.exists()


def test_nobody_elses(app_of: Any) -> None:
    application = factories.an_invoice()
    app = app_of(factories.a_customer("0"))
    number = application.application_no
    assert refusal(app.get(f"invoices/{number}")) == (404, "invoices.not_found")
    assert refusal(app.post(f"invoices/{number}/cancel")) == (404, "invoices.not_found")
    title = application.customer.invoice_titles.get()
    for page in ("", "/remove"):
        assert refusal(app.post(f"invoice-titles/{title.pk}{page}", factories.COMPANY)) == (
            404,
            "invoices.title_not_found",
        )
    for path in ("invoices", "invoice-orders", "invoice-titles"):
        assert app.get(path).json()["items"] == []
    application.refresh_from_db()
    assert application.state == "applied"


@pytest.mark.parametrize("count", [1, 3])
def test_the_number_of_queries_does_not_grow(app_of: Any, django_assert_num_queries: Any, count: int) -> None:
    customer = factories.a_customer("200.00")
    orders = [factories.a_settled_order(customer=customer) for _ in range(2 * count)]
    for order in orders[:count]:
        factories.an_invoice(order)
    together = factories.an_invoice(*orders[count:])
    services.reject(application_no=together.application_no, reviewer=LI, reason="x")
    app = app_of(customer)
    app.get("invoices")
    with django_assert_num_queries(5):  # three choose the tenant
        app.get("invoices")
    with django_assert_num_queries(6):
        app.get("invoice-orders")
    with django_assert_num_queries(8):
        app.get(f"invoices/{together.application_no}")
