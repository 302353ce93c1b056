"""Two threads want the same: real commits."""

from __future__ import annotations

import pytest

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
