"""The pages of invoices: who may press what, the file's way to the driver, what a scope leaves out."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.accounts.enums import Scope
from apps.backoffice.models import AuditEntry
from apps.common.time import business_day, now
from apps.files import links
from apps.invoices import services
from apps.invoices.models import InvoiceApplication
from apps.sites.services import give_stations
from tests import factories
from tests.apps.invoices.test_services import LI, NUMBER, OTHER_NUMBER, a_pdf, an_ofd, issued, refund
from tests.staff import a_user, boss, signed_in, status_of

READ = "invoices.view_invoiceapplication"
REVIEW, ISSUE = "invoices.review_invoiceapplication", "invoices.issue_invoiceapplication"
LIST = "/admin/invoices/invoiceapplication/"

pytestmark = pytest.mark.usefixtures("tenant")


def press(client: Any, application: InvoiceApplication, page: str, **words: str) -> Any:
    return client.post(f"{LIST}{application.pk}/{page}/", {"_form_submitted": "True", **words})


def upload(client: Any, application: InvoiceApplication, file: io.BytesIO, **words: str) -> Any:
    sent = {"invoice_no": NUMBER, "issued_on": str(business_day(now())), **words}
    sent["file"] = SimpleUploadedFile("发票.pdf", file.getvalue())  # type: ignore[assignment]
    return client.post(f"{LIST}{application.pk}/issue/", sent)


def page_of(client: Any, application: InvoiceApplication) -> str:
    return client.get(f"{LIST}{application.pk}/change/").content.decode()


def test_review_issue_and_download() -> None:
    application = factories.an_invoice()
    reviewer = signed_in(a_user(READ, REVIEW, display_name="李强"))
    clerk = signed_in(a_user(READ, ISSUE, display_name="王芳"))
    html = page_of(reviewer, application)
    for words in ("12.00", "91350100M000100Y43", "充电服务费", "待审核"):
        assert words in html
    assert "/approve/" not in page_of(clerk, application)
    assert press(clerk, application, "approve").status_code == 403
    assert press(reviewer, application, "approve").headers["HX-Redirect"] == f"{LIST}{application.pk}/change/"
    assert reviewer.get(f"{LIST}{application.pk}/issue/").status_code == 403
    link = f"{LIST}{application.pk}/issue/"
    assert link in page_of(clerk, application)
    assert "91350100M000100Y43" in clerk.get(link).content.decode()

    refused = upload(clerk, application, io.BytesIO(b"MZ"))
    assert "pdf" in refused.content.decode()
    assert upload(clerk, application, a_pdf(), invoice_no="12").status_code == 200
    application.refresh_from_db()
    assert application.state == "approved"
    assert upload(clerk, application, a_pdf()).status_code == 302
    application.refresh_from_db()
    assert (application.state, application.invoice_no, application.issued_by) == ("issued", NUMBER, "王芳")
    assert application.file is not None
    own = links.path(application.file)
    assert own in page_of(reviewer, application)
    answer = reviewer.get(own)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/pdf")
    assert b"".join(answer.streaming_content).startswith(b"%PDF")
    assert status_of(signed_in(a_user("orders.view_order")), own) == 404
    deeds = set(AuditEntry.objects.values_list("action", "actor_name"))
    assert {
        ("invoices.invoiceapplication_approved", "李强"),
        ("invoices.invoiceapplication_issued", "王芳"),
    } <= deeds
    assert "没有可登记的内容" in clerk.get(link).content.decode()


def test_an_applicant_finds_no_button() -> None:
    person = a_user(READ, REVIEW)
    application = factories.an_invoice(applied_by=services.Actor("staff", str(person.pk), "x"))
    client = signed_in(person)
    html = page_of(client, application)
    assert "须由另一人批准" in html
    assert f"{LIST}{application.pk}/approve/" not in html
    assert press(client, application, "approve").status_code == 403
    application.refresh_from_db()
    assert application.state == "applied"


def test_a_rejection_needs_a_reason_and_frees_the_orders() -> None:
    order = factories.a_settled_order()
    application = factories.an_invoice(order)
    client = signed_in(a_user(READ, REVIEW))
    assert press(client, application, "reject", reason="").status_code == 200
    press(client, application, "reject", reason="税号与抬头不符")
    application.refresh_from_db()
    assert (application.state, application.review_reason) == ("rejected", "税号与抬头不符")
    factories.an_invoice(order)


def test_what_could_not_be_issued_and_what_is_reversed() -> None:
    application = factories.an_invoice()
    client = signed_in(a_user(READ, REVIEW, ISSUE))
    press(client, application, "approve")
    press(client, application, "not-issued", reason="授信额度不足")
    assert "授信额度不足" in page_of(client, application)
    assert upload(client, application, an_ofd()).status_code == 302
    press(client, application, "mark-red", reason="抬头写错")
    assert "需红冲" in page_of(client, application)
    press(client, application, "enter-red", red_no="1", reason="")
    application.refresh_from_db()
    assert application.state == "needs_red"
    press(client, application, "enter-red", red_no=OTHER_NUMBER, reason="")
    application.refresh_from_db()
    assert (application.state, application.red_no) == ("red", OTHER_NUMBER)
    actions = {"not_issued", "issued", "red_marked", "reversed"}
    found = set(AuditEntry.objects.values_list("action", flat=True))
    assert {f"invoices.invoiceapplication_{one}" for one in actions} <= found


def test_amounts_that_changed_are_looked_at_first() -> None:
    order = factories.a_settled_order()
    application = factories.an_invoice(order)
    refund(order, "0.00", "4.00")
    client = signed_in(a_user(READ, REVIEW))
    press(client, application, "approve")
    application.refresh_from_db()
    assert (application.state, str(application.amount)) == ("applied", "8.00")
    assert "开票金额已变化" in page_of(client, application)
    press(client, application, "approve")
    application.refresh_from_db()
    assert application.state == "approved"


def test_found_by_numbers_title_and_phone_filtered_and_exported() -> None:
    order = factories.a_settled_order()
    done = issued(order)
    other = factories.an_invoice(name="另一家公司")
    client = signed_in(a_user(READ))
    terms = [
        done.application_no,
        NUMBER,
        order.order_no,
        done.title,
        order.customer.phone.removeprefix("+86"),
    ]
    for term in terms:
        html = client.get(LIST, {"q": term}).content.decode()
        assert done.application_no in html, term
        assert other.application_no not in html, term
    html = client.get(LIST, {"state__exact": "applied"}).content.decode()
    assert other.application_no in html
    assert done.application_no not in html
    export = client.get(f"{LIST}export/").content.decode()
    assert NUMBER in export
    reader = signed_in(a_user(READ, "orders.view_order"))
    page = reader.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    assert done.application_no in page


def test_who_sees_some_stations_sees_invoices_over_these_alone() -> None:
    customer = factories.a_customer("200.00")
    here, there = (factories.a_settled_order(customer=customer) for _ in range(2))
    person = a_user(READ, "orders.view_order", scope=Scope.STATIONS)
    give_stations(user=person, stations=[here.station])
    both = factories.an_invoice(here, there)
    client = signed_in(person)
    assert client.get(f"{LIST}{both.pk}/change/").status_code == 404
    services.reject(application_no=both.application_no, reviewer=LI, reason="x")
    mine = issued(here)
    assert client.get(f"{LIST}{mine.pk}/change/").status_code == 200
    html = client.get(LIST).content.decode()
    assert mine.application_no in html
    assert both.application_no not in html
    page = client.get(f"/admin/orders/order/{here.pk}/change/").content.decode()
    assert mine.application_no in page
    assert both.application_no not in page
    assert mine.file is not None
    assert status_of(client, links.path(mine.file)) == 200
    other = issued(there, number=OTHER_NUMBER)
    assert other.file is not None
    assert status_of(client, links.path(other.file)) == 404


def test_what_waits_stands_on_the_overview() -> None:
    factories.an_invoice()
    html = boss().get("/admin/").content.decode()
    assert "待审核发票" in html
    assert f"{LIST}?state__exact=applied" in html
