"""Two threads want the same: real commits."""

from __future__ import annotations

import pytest

from apps.common.ids import Actor
from apps.invoices import services
from apps.invoices.models import InvoiceApplication, InvoiceItem
from apps.orders import refunds
from tests import factories
from tests.apps.invoices.test_services import LI, OTHER_NUMBER, issue
from tests.apps.orders.test_at_once import at_once
from tests.apps.orders.test_refunds import ask

pytestmark = pytest.mark.usefixtures("committed")


def applying(order, key):
    return lambda: factories.an_invoice(order, request_key=key).application_no


def test_two_applications_for_one_order_are_one():
    order = factories.a_settled_order()
    results = at_once(applying(order, "a"), applying(order, "b"))
    assert "invoices.order_taken" in results
    assert InvoiceApplication.objects.count() == InvoiceItem.objects.count() == 1


def test_the_same_request_twice_at_once_is_one():
    order = factories.a_settled_order()
    results = at_once(*[applying(order, "same")] * 3)
    assert len(set(results)) == InvoiceApplication.objects.count() == 1


def test_orders_that_overlap_in_both_directions_end_without_a_deadlock():
    customer = factories.a_customer("100.00")
    first, second = (factories.a_settled_order(customer=customer) for _ in range(2))
    results = at_once(
        lambda: factories.an_invoice(first, second).application_no,
        lambda: factories.an_invoice(second, first).application_no,
    )
    assert sorted(results)[1] == "invoices.order_taken"


def test_a_refund_and_the_issue_at_once_never_leave_a_wrong_invoice_unmarked():
    order = factories.a_settled_order()
    application = factories.an_invoice(order)
    services.approve(application_no=application.application_no, reviewer=LI)
    asked = ask(order, "0.00", "4.00")
    at_once(
        lambda: refunds.approve(refund_no=asked.refund_no, reviewer=LI).state,
        lambda: issue(application, OTHER_NUMBER).state,
    )
    application.refresh_from_db()
    item = application.items.get()
    order.refresh_from_db()
    assert item.refunded == order.refunded_service == 4
    if application.invoice_no:
        assert (application.state, application.amount) == ("needs_red", 12)
    else:
        assert (application.state, application.amount) == ("applied", 8)


def for_the_driver(order, key, number=1):
    return lambda: services.apply_for(
        customer=order.customer,
        title_id=None,
        new_title={"kind": "personal", "name": "张三"},
        order_nos=[order.order_no],
        kind="ordinary",
        applied_by=Actor("staff", str(number), "王芳"),
        request_key=key,
    )


def test_staff_and_the_driver_at_once_ask_for_an_order_once():
    order = factories.a_settled_order()
    at_once(
        applying(order, "a"),
        lambda: for_the_driver(order, "b")()[0].application_no,
        lambda: for_the_driver(order, "c", 2)()[0].application_no,
    )
    assert InvoiceApplication.objects.count() == InvoiceItem.objects.count() == 1
    made = InvoiceApplication.objects.get()
    titles = set(order.customer.invoice_titles.values_list("name", flat=True))
    assert "张三" not in titles or made.title == "张三", "a title of a refused application is not kept"


def test_a_double_press_is_one_application_and_new_once():
    order = factories.a_settled_order()
    results = at_once(*[lambda: str(for_the_driver(order, "same")()[1])] * 3)
    assert sorted(results) == ["False", "False", "True"]
    assert InvoiceApplication.objects.count() == 1
