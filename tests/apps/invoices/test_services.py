"""Applications for invoices: how much, who decides, what happens when an order is refunded, and nothing twice."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.backoffice.approvals import SamePerson
from apps.backoffice.models import AuditEntry
from apps.common.ids import Actor
from apps.common.time import business_day, now
from apps.files import services as files
from apps.files.errors import FileTypeRefused
from apps.files.models import StoredFile
from apps.invoices import errors, following, personal, providers, services, titles
from apps.invoices.models import InvoiceApplication, InvoiceItem, InvoicePolicy, InvoiceTitle
from apps.invoices.selectors import invoice_policy, invoiceable, parts_of, with_principal
from apps.orders import refunds
from apps.orders.errors import OrderNotFound
from apps.orders.models import Order
from apps.wallet import services as wallet
from apps.wallet.errors import KeyReused
from tests import factories
from tests.apps.orders.test_refunds import ask, give_bonus

WANG, LI = Actor("staff", "1", "王芳"), Actor("staff", "2", "李强")
NUMBER, OTHER_NUMBER = "26312000000000000017", "26312000000000000018"

pytestmark = pytest.mark.usefixtures("tenant")


def yuan(text: str) -> Decimal:
    return Decimal(text)


def a_pdf() -> io.BytesIO:
    return io.BytesIO(b"%PDF-1.7\n%an invoice\n")


def an_ofd() -> io.BytesIO:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("OFD.xml", "<ofd:OFD/>")
        archive.writestr("Doc_0/Document.xml", "<ofd:Document/>")
    return data


def issue(application: InvoiceApplication, number: str = NUMBER, **fields: Any) -> InvoiceApplication:
    values = {"issued_on": business_day(now()), "file": a_pdf(), "name": "发票.pdf", "actor": LI, **fields}
    return services.issue(application_no=application.application_no, invoice_no=number, **values)


def issued(*orders: Order, number: str = NUMBER) -> InvoiceApplication:
    application = factories.an_invoice(*orders)
    services.approve(application_no=application.application_no, reviewer=LI)
    return issue(application, number)


def refund(order: Order, electricity: str | None = None, service: str | None = None) -> None:
    refunds.approve(refund_no=ask(order, electricity, service).refund_no, reviewer=LI)


def open_for(customer: Any) -> list[tuple[str, str, str]]:
    rows = invoiceable(customer=customer, policy=invoice_policy())
    return [(row.order_no, *map(str, parts_of(row))) for row in rows.order_by("id")]


def test_several_orders_on_one_invoice() -> None:
    customer = factories.a_customer("100.00")
    first, second = (factories.a_settled_order(energy, customer=customer) for energy in ("10.0000", "2.5000"))
    assert open_for(customer) == [(first.order_no, "8.00", "4.00"), (second.order_no, "2.00", "1.00")]
    application = factories.an_invoice(first, second, remark="九月")
    assert (application.electricity, application.service, application.amount) == tuple(
        map(yuan, ("10.00", "5.00", "15.00"))
    )
    assert (application.state, application.order_count, application.reason) == ("applied", 2, "九月")
    assert [(line.name, str(line.amount)) for line in application.lines()] == [
        ("充电电费", "10.00"),
        ("充电服务费", "5.00"),
    ]
    assert open_for(customer) == []


def test_the_rule_of_that_day_is_kept() -> None:
    application = factories.an_invoice()
    InvoicePolicy.objects.update(electricity_rate=yuan("0.010"), electricity_name="别名")
    application.refresh_from_db()
    assert [(line.name, line.rate) for line in application.lines()] == [
        ("充电电费", yuan("0.130")),
        ("充电服务费", yuan("0.130")),
    ]


def test_bonus_is_not_invoiced_and_the_split_is_the_bills() -> None:
    customer = factories.a_customer("5.00")
    give_bonus(customer, "20.00")
    order = factories.a_settled_order(customer=customer)
    assert (order.paid_principal, order.paid_bonus) == (yuan("5.00"), yuan("7.00"))
    ((_number, electricity, service),) = open_for(customer)
    assert (yuan(electricity), yuan(service)) == (
        order.electricity_payable - order.bonus_electricity,
        order.service_payable - order.bonus_service,
    )
    assert yuan(electricity) + yuan(service) == yuan("5.00")


def test_nothing_of_an_order_that_bonus_paid() -> None:
    customer = factories.a_customer("0")
    give_bonus(customer, "20.00")
    order = factories.a_settled_order(customer=customer)
    assert open_for(customer) == []
    with pytest.raises(errors.NothingPaid):
        factories.an_invoice(order)


def test_what_was_refunded_is_not_invoiced() -> None:
    order = factories.a_settled_order()
    refund(order, "0.00", "4.00")
    assert open_for(order.customer) == [(order.order_no, "8.00", "0.00")]
    application = factories.an_invoice(order)
    assert [line.fee for line in application.lines()] == ["electricity"]
    assert application.amount == yuan("8.00")


def test_a_debt_that_was_paid_later_counts() -> None:
    order = factories.a_settled_order(customer=factories.a_customer("5.00"))
    assert order.debt == yuan("7.00")
    assert open_for(order.customer) == []
    with pytest.raises(errors.OrderUnpaid):
        factories.an_invoice(order)
    factories.top_up(order.customer, "50.00")
    assert open_for(order.customer) == [(order.order_no, "8.00", "4.00")]
    assert factories.an_invoice(order).amount == yuan("12.00")


@pytest.mark.parametrize("paid", ["3.00", "5.00", "11.99"])
def test_principal_after_debt_and_refund_is_what_the_ledger_kept(paid: str) -> None:
    customer = factories.a_customer(paid)
    give_bonus(customer, "2.50")
    order = factories.a_settled_order(customer=customer)
    factories.top_up(customer, "50.00")
    refund(order, "1.11", "2.22")
    row = with_principal(Order.objects.filter(pk=order.pk)).get()
    kept = yuan(paid) + yuan("50.00") - wallet.wallet_of(customer=customer).principal
    assert row.principal == kept
    assert sum(parts_of(row)) == kept


def test_an_order_is_in_one_living_application() -> None:
    order = factories.a_settled_order()
    first = factories.an_invoice(order)
    with pytest.raises(errors.OrderTaken):
        factories.an_invoice(order)
    services.reject(application_no=first.application_no, reviewer=LI, reason="抬头不符")
    second = factories.an_invoice(order)
    services.cancel(customer=order.customer, application_no=second.application_no)
    services.cancel(customer=order.customer, application_no=second.application_no)
    third = factories.an_invoice(order)
    assert InvoiceItem.objects.filter(is_living=True).get().application == third


def test_the_same_request_is_one_application() -> None:
    customer = factories.a_customer("100.00")
    order, other = (factories.a_settled_order(customer=customer) for _ in range(2))
    first = factories.an_invoice(order, request_key="k")
    assert factories.an_invoice(order, request_key="k") == first
    with pytest.raises(KeyReused):
        factories.an_invoice(other, request_key="k")
    assert InvoiceApplication.objects.count() == 1


def test_what_cannot_be_invoiced() -> None:
    customer = factories.a_customer("200.00")
    order = factories.a_settled_order(customer=customer)
    stranger = factories.a_settled_order()
    with pytest.raises(OrderNotFound):
        factories.an_invoice(order, stranger)
    with pytest.raises(errors.OrderNotSettled):
        factories.an_invoice(factories.a_charging_order(customer=factories.a_customer()))
    ask(order)
    with pytest.raises(errors.RefundWaits):
        factories.an_invoice(order)
    old = factories.a_settled_order(customer=customer)
    Order.objects.filter(pk=old.pk).update(settled_at=now() - timedelta(days=366))
    with pytest.raises(errors.OrderTooOld):
        factories.an_invoice(old)
    assert open_for(customer) == []
    person = factories.a_title(customer, kind="personal", name="张三", tax_no="")
    fresh = factories.a_settled_order(customer=customer)
    with pytest.raises(errors.SpecialNeedsCompany):
        factories.an_invoice(fresh, title_id=person.pk, kind="special")
    with pytest.raises(errors.TitleNotFound):
        factories.an_invoice(fresh, title_id=factories.a_title(stranger.customer).pk)
    InvoicePolicy.objects.update(allows_special=False, minimum_amount=yuan("12.01"), most_orders=1)
    with pytest.raises(errors.SpecialNotOffered):
        factories.an_invoice(fresh, kind="special")
    with pytest.raises(errors.AmountTooLow):
        factories.an_invoice(fresh)
    with pytest.raises(errors.TooManyOrders):
        factories.an_invoice(fresh, old)
    InvoicePolicy.objects.update(is_enabled=False)
    with pytest.raises(errors.InvoicesOff):
        factories.an_invoice(fresh)
    assert not InvoiceApplication.objects.exists()


# --- Titles ---


def test_titles() -> None:
    customer = factories.a_customer("0")
    company = factories.a_title(customer, tax_no=" 91350100m000100y43 ", is_default=True)
    assert company.tax_no == "91350100M000100Y43"
    person = factories.a_title(customer, kind="personal", name="张三", tax_no="", bank="x", is_default=True)
    assert [(one.name, one.is_default) for one in InvoiceTitle.objects.all()] == [
        ("张三", True),
        (company.name, False),
    ]
    assert person.bank == ""
    assert factories.a_title(customer, email="a@b.cn").pk == company.pk
    with pytest.raises(errors.TaxNumberInvalid):
        factories.a_title(customer, tax_no="91350100M000100Y44")
    for wrong in ({"tax_no": ""}, {"kind": "personal"}, {"name": "  "}):
        with pytest.raises(errors.TitleIncomplete):
            factories.a_title(customer, **wrong)
    values = {"kind": "personal", "name": "李四"}
    assert titles.change_title(customer=customer, title_id=person.pk, values=values).name == "李四"
    with pytest.raises(errors.TitleNotFound):
        titles.remove_title(customer=factories.a_customer("0"), title_id=person.pk)
    titles.remove_title(customer=customer, title_id=person.pk)
    for number in range(titles.MOST_TITLES - 1):
        factories.a_title(customer, kind="personal", name=f"人{number}", tax_no="")
    with pytest.raises(errors.TooManyTitles):
        factories.a_title(customer, kind="personal", name="多", tax_no="")


# --- Review and issue ---


def test_from_the_application_to_the_file() -> None:
    application = factories.an_invoice()
    with pytest.raises(errors.WrongState):
        issue(application)
    services.approve(application_no=application.application_no, reviewer=LI, reason="ok")
    with pytest.raises(errors.WrongState):
        services.approve(application_no=application.application_no, reviewer=LI)
    services.fail(application_no=application.application_no, reason="税局系统维护")
    done = issue(application)
    assert (done.state, done.invoice_no, done.fail_reason, done.provider) == ("issued", NUMBER, "", "manual")
    assert done.file is not None
    assert done.file.media_type == "application/pdf"
    with files.open_content(done.file) as stored:
        assert stored.read().startswith(b"%PDF")
    with pytest.raises(errors.WrongState):
        services.reject(application_no=application.application_no, reviewer=LI, reason="x")
    with pytest.raises(errors.WrongState):
        services.cancel(customer=application.customer, application_no=application.application_no)


def test_staff_do_not_approve_their_own() -> None:
    application = factories.an_invoice(applied_by=WANG)
    for decide in (services.approve, services.reject):
        with pytest.raises(SamePerson):
            decide(application_no=application.application_no, reviewer=WANG, reason="x")
    application.refresh_from_db()
    assert application.state == "applied"
    services.approve(application_no=application.application_no, reviewer=LI)


@pytest.mark.parametrize(
    "number", ["", "123", "2631200000000000001", "263120000000000000177", "2631200000000000001X"]
)
def test_a_number_has_twenty_digits(number: str) -> None:
    application = factories.an_invoice()
    services.approve(application_no=application.application_no, reviewer=LI)
    with pytest.raises(errors.InvoiceNumberInvalid):
        issue(application, number)


def test_a_number_is_of_one_invoice_and_no_file_is_left_behind() -> None:
    issued(factories.a_settled_order())
    application = factories.an_invoice()
    services.approve(application_no=application.application_no, reviewer=LI)
    with pytest.raises(errors.InvoiceNumberTaken):
        issue(application)
    assert StoredFile.objects.filter(kind="invoice").count() == 1
    for day in (business_day(now()) + timedelta(days=1), business_day(now()) - timedelta(days=1)):
        with pytest.raises(errors.IssueDayInvalid):
            issue(application, OTHER_NUMBER, issued_on=day)


def test_a_file_is_what_is_in_it() -> None:
    application = factories.an_invoice()
    services.approve(application_no=application.application_no, reviewer=LI)
    bare = io.BytesIO()
    with zipfile.ZipFile(bare, "w") as archive:
        archive.writestr("OFD.xml", "x")
    for file in (io.BytesIO(b"MZ not a pdf"), bare):
        with pytest.raises(FileTypeRefused):
            issue(application, file=file, name="发票.pdf")
    done = issue(application, file=an_ofd(), name="发票.ofd")
    assert done.file is not None
    assert done.file.media_type == "application/ofd"


def test_the_manual_provider_asks_nobody() -> None:
    provider = providers.provider_here()
    request = providers.InvoiceRequest("V1", "ordinary", "张三", "", "", ())
    assert provider.by_hand
    assert provider.issue(request) == providers.Accepted("V1")
    assert provider.query("V1").outcome == providers.Outcome.PENDING
    assert provider.red("V1R", NUMBER, "退款") == providers.Accepted("V1R")
    assert provider.query_red("V1R").outcome == providers.Outcome.PENDING


# --- Refunds ---


def test_a_refund_before_the_issue_changes_the_amounts_and_asks_for_a_new_review(
    django_capture_on_commit_callbacks: Any,
) -> None:
    customer = factories.a_customer("100.00")
    first, second = (factories.a_settled_order(customer=customer) for _ in range(2))
    application = factories.an_invoice(first, second)
    services.approve(application_no=application.application_no, reviewer=LI)
    with django_capture_on_commit_callbacks(execute=True):
        refund(first, "0.00", "4.00")
    application.refresh_from_db()
    assert (application.state, application.amount, application.reviewed_by) == ("applied", yuan("20.00"), "")
    entry = AuditEntry.objects.get(action="invoices.invoiceapplication_changed")
    assert entry.changes["amount"] == ["24.00", "20.00"]
    for order in (first, second):
        refund(order)
        following.follow_refund(order_no=order.order_no)
    application.refresh_from_db()
    assert (application.state, application.amount) == ("cancelled", 0)
    assert not InvoiceItem.objects.filter(is_living=True).exists()


def test_staff_see_the_new_amounts_first_where_the_task_was_lost() -> None:
    application = factories.an_invoice()
    refund(Order.objects.get(), "0.00", "4.00")
    with pytest.raises(errors.AmountsChanged):
        services.approve(application_no=application.application_no, reviewer=LI)
    application.refresh_from_db()
    assert (application.state, application.amount) == ("applied", yuan("8.00"))
    services.approve(application_no=application.application_no, reviewer=LI)


def test_a_refund_after_the_issue_needs_a_red_invoice_and_the_rest_may_be_invoiced_again() -> None:
    order = factories.a_settled_order()
    done = issued(order)
    refund(order, "0.00", "4.00")
    assert following.follow_refunds() == 1
    assert following.follow_refunds() == 0
    done.refresh_from_db()
    assert (done.state, done.amount, done.invoice_no) == ("needs_red", yuan("12.00"), NUMBER)
    assert order.order_no in done.red_reason
    with pytest.raises(errors.OrderTaken):
        factories.an_invoice(order)
    for number in (NUMBER, "1"):
        with pytest.raises((errors.InvoiceNumberTaken, errors.InvoiceNumberInvalid)):
            services.enter_red(application_no=done.application_no, red_no=number)
    services.enter_red(application_no=done.application_no, red_no=OTHER_NUMBER)
    done.refresh_from_db()
    assert (done.state, done.red_no, done.file is not None) == ("red", OTHER_NUMBER, True)
    again = factories.an_invoice(order)
    assert again.amount == yuan("8.00")


def test_an_invoice_with_a_mistake_is_reversed() -> None:
    order = factories.a_settled_order()
    done = issued(order)
    services.mark_red(application_no=done.application_no, reason="抬头写错")
    with pytest.raises(errors.WrongState):
        services.mark_red(application_no=done.application_no, reason="x")
    services.enter_red(application_no=done.application_no, red_no=OTHER_NUMBER)
    assert factories.an_invoice(order).amount == yuan("12.00")


# --- The account ---


def test_an_account_waits_for_its_invoices_and_takes_its_titles_along() -> None:
    application = factories.an_invoice()
    customer = application.customer
    assert [code for code, _words in personal.reasons_to_keep(customer)] == ["invoice_open"]
    services.approve(application_no=application.application_no, reviewer=LI)
    issue(application)
    assert list(personal.reasons_to_keep(customer)) == []
    data = personal.data_of(customer)
    assert [row["tax_no"] for row in data["invoice-titles"]] == ["91350100M000100Y43"]
    assert [(row["invoice_no"], row["electricity"]) for row in data["invoices"]] == [(NUMBER, yuan("8.00"))]
    personal.forget_titles(customer)
    assert not customer.invoice_titles.exists()
    assert InvoiceApplication.objects.get().title == "上海测试出行有限公司"
