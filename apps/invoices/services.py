"""Applications for invoices: asked for by a driver, decided by staff, issued, and reversed after a refund.

Lock order: customer → orders → application. Files are stored before a transaction begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import IO, Any

import structlog
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.backoffice import approvals, scope
from apps.common.ids import Actor, dated_number
from apps.common.money import ZERO
from apps.common.time import business_day, now
from apps.customers import inbox
from apps.customers.models import Customer, CustomerState, InboxKind
from apps.files import content, kinds
from apps.files import services as files
from apps.files.models import StoredFile
from apps.invoices.enums import InvoiceKind, InvoiceState, TitleKind
from apps.invoices.errors import (
    AccountDeleted,
    AmountsChanged,
    AmountTooLow,
    InvoiceNumberInvalid,
    InvoiceNumberTaken,
    InvoicesOff,
    IssueDayInvalid,
    NothingPaid,
    OrderNotSettled,
    OrderTaken,
    OrderTooOld,
    OrderUnpaid,
    RefundWaits,
    SpecialNeedsCompany,
    SpecialNotOffered,
    TooManyOrders,
    TooManyWaiting,
    WrongState,
)
from apps.invoices.following import catch_up, lock, refunded_of
from apps.invoices.models import InvoiceApplication, InvoiceItem, InvoicePolicy, InvoiceTitle
from apps.invoices.providers import provider_here
from apps.invoices.rules import INVOICE_NUMBER
from apps.invoices.selectors import (
    invoice_of,
    invoice_policy,
    parts_of,
    title_of,
    with_principal,
)
from apps.invoices.titles import add_title
from apps.orders.enums import OrderRefundState, OrderState
from apps.orders.errors import OrderNotFound
from apps.orders.models import Order
from apps.wallet.errors import KeyReused

MOST_WAITING = 20
VIEW = "invoices.view_invoiceapplication"
APPLY = "invoices.apply_invoiceapplication"
S = InvoiceState

OPERATION = approvals.register(
    approvals.Operation("invoices.review", _("Approve an invoice"), "invoices.review_invoiceapplication")
)

log = structlog.get_logger(__name__)


def _opens(request: HttpRequest, file: StoredFile) -> bool:
    """Staff who see the application see its file."""
    person: Any = request.user
    rows = scope.narrow(InvoiceApplication.objects.filter(file=file), person)
    return bool(person.has_perm(VIEW)) and rows.exists()


FILE = kinds.register(
    kinds.Kind("invoice", frozenset({content.PDF, content.OFD}), 5 * kinds.MB, opens=_opens)
)


# --- The driver -------------------------------------------------------------------------------------------


def apply(
    *,
    customer: Customer,
    title_id: int,
    order_nos: Sequence[str],
    kind: str,
    applied_by: Actor,
    request_key: str,
    email: str = "",
    remark: str = "",
    at: datetime | None = None,
) -> InvoiceApplication:
    """Ask for one invoice over settled orders of a customer, once for each `request_key`.

    Its amounts are what was paid from principal for each order and has not gone back, by fee (docs/invoices.md).
    Raises the errors of this app that name an order or a rule, TitleNotFound, OrderNotFound and KeyReused.
    """
    moment = at or now()
    numbers = sorted(set(order_nos))
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        found = InvoiceApplication.objects.filter(customer=customer, request_key=request_key).first()
        if found is not None:
            if sorted(found.items.values_list("order__order_no", flat=True)) != numbers:
                raise KeyReused
            return found
        policy = invoice_policy()
        title = title_of(customer=customer, title_id=title_id)
        _check_rules(customer, policy, title, kind, numbers)
        orders = _lock_orders(customer, numbers)
        parts = [parts_of(_checked(order, policy, moment)) for order in orders]
        electricity, service = (sum((part[fee] for part in parts), ZERO) for fee in (0, 1))
        if electricity + service < policy.minimum_amount:
            raise AmountTooLow(minimum=policy.minimum_amount, amount=electricity + service)
        application = InvoiceApplication(
            application_no=dated_number("V", at=at),
            customer=customer,
            kind=kind,
            title_kind=title.kind,
            title=title.name,
            tax_no=title.tax_no,
            address=title.address,
            phone=title.phone,
            bank=title.bank,
            bank_account=title.bank_account,
            email=email or title.email,
            electricity=electricity,
            service=service,
            order_count=len(orders),
            terms=policy.terms(),
            reason=remark[:200],
            applied_by_kind=applied_by.kind,
            applied_by_id=applied_by.id,
            applied_by=str(applied_by)[:100],
            request_key=request_key,
            created_at=moment,
        )
        application.save(force_insert=True)
        InvoiceItem.objects.bulk_create(
            InvoiceItem(
                application=application,
                order=order,
                electricity=part[0],
                service=part[1],
                refunded=refunded_of(order),
            )
            for order, part in zip(orders, parts, strict=True)
        )
    log.info("invoice_applied", application_no=application.application_no, amount=str(application.amount))
    return application


def cancel(*, customer: Customer, application_no: str) -> InvoiceApplication:
    """Withdraw an application before its review; a second call changes nothing. Raises InvoiceNotFound, WrongState."""
    invoice_of(customer=customer, application_no=application_no)
    with transaction.atomic():
        application = lock(application_no)
        if application.state != S.CANCELLED:
            _must_be(application, S.APPLIED)
            application.state = S.CANCELLED
            _end(application)
    return application


def _check_rules(
    customer: Customer, policy: InvoicePolicy, title: InvoiceTitle, kind: str, numbers: Sequence[str]
) -> None:
    if not policy.is_enabled:
        raise InvoicesOff
    if kind == InvoiceKind.SPECIAL:
        if not policy.allows_special:
            raise SpecialNotOffered
        if title.kind != TitleKind.COMPANY:
            raise SpecialNeedsCompany
    if len(numbers) > policy.most_orders:
        raise TooManyOrders(limit=policy.most_orders)
    waiting = InvoiceApplication.objects.filter(customer=customer, state=S.APPLIED)
    if waiting.count() >= MOST_WAITING:
        raise TooManyWaiting(limit=MOST_WAITING)


def _lock_orders(customer: Customer, numbers: Sequence[str]) -> list[Any]:
    """Lock a customer's orders and return them as `with_principal` sees them then. Raises OrderNotFound."""
    orders = Order.objects.filter(customer=customer, order_no__in=numbers)
    locked = list(orders.select_for_update().order_by("pk").values_list("pk", flat=True))
    if not locked or len(locked) != len(numbers):
        raise OrderNotFound
    return list(with_principal(Order.objects.filter(pk__in=locked)).order_by("pk"))


def _checked(order: Any, policy: InvoicePolicy, at: datetime) -> Any:
    """Return a locked order that can be on an invoice; raises the reason why not."""
    facts = {"order_no": order.order_no}
    if order.state != OrderState.COMPLETED or order.settled_at is None:
        raise OrderNotSettled(**facts)
    if InvoiceItem.objects.filter(order=order, is_living=True).exists():
        raise OrderTaken(**facts)
    if order.settled_at < at - timedelta(days=policy.days):
        raise OrderTooOld(days=policy.days, **facts)
    if order.is_unpaid:
        raise OrderUnpaid(**facts)
    if order.refunds.filter(state=OrderRefundState.APPLIED).exists():
        raise RefundWaits(**facts)
    if order.principal <= 0:
        raise NothingPaid(**facts)
    return order


# --- Staff ------------------------------------------------------------------------------------------------


def apply_for(
    *,
    customer: Customer,
    title_id: int | None,
    new_title: Mapping[str, Any] | None = None,
    order_nos: Sequence[str],
    kind: str,
    applied_by: Actor,
    request_key: str,
    email: str = "",
    remark: str = "",
    at: datetime | None = None,
) -> tuple[InvoiceApplication, bool]:
    """Ask for an invoice on behalf of a driver, by the driver's own rules; returns it and whether it is new.

    Without a `title_id` it goes to `new_title` (fields of InvoiceTitle), which is kept among the driver's titles once
    the application is. Raises what `apply` and `add_title` raise, and AccountDeleted.
    """
    with transaction.atomic():
        locked = Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        if locked.state == CustomerState.DELETED:
            raise AccountDeleted
        known = InvoiceApplication.objects.filter(customer=locked, request_key=request_key).exists()
        if title_id is None and not known:
            title_id = add_title(customer=locked, values=dict(new_title or {}), keeps=True).pk
        made = apply(
            customer=locked,
            title_id=title_id or 0,
            order_nos=order_nos,
            kind=kind,
            email=email,
            remark=remark,
            applied_by=applied_by,
            request_key=request_key,
            at=at,
        )
    return made, not known


def approve(
    *, application_no: str, reviewer: Actor, reason: str = "", at: datetime | None = None
) -> InvoiceApplication:
    """Let an application be issued. Raises InvoiceNotFound, WrongState, AmountsChanged, approvals.SamePerson."""
    application = _current(application_no)
    provider = provider_here()
    with transaction.atomic():
        application = lock(application_no)
        _must_be(application, S.APPLIED)
        approvals.check_reviewer(OPERATION.code, application.applicant, reviewer, application.amount)
        application.state, application.provider = S.APPROVED, provider.name
        application.decided_by(reviewer, reason, at or now())
        application.save()
    return application


def reject(
    *, application_no: str, reviewer: Actor, reason: str, at: datetime | None = None
) -> InvoiceApplication:
    """Say no, with a reason that the driver reads; its orders are free again.

    Raises InvoiceNotFound, WrongState once it is issued, and approvals.SamePerson.
    """
    with transaction.atomic():
        application = lock(application_no)
        _must_be(application, S.APPLIED, S.APPROVED, S.FAILED)
        approvals.check_reviewer(OPERATION.code, application.applicant, reviewer, application.amount)
        application.state = S.REJECTED
        application.decided_by(reviewer, reason, at or now())
        _end(application)
        _tell(application, InboxKind.INVOICE_REJECTED, reason=reason)
    return application


def fail(*, application_no: str, reason: str) -> InvoiceApplication:
    """Note that an approved invoice could not be issued, and why. Raises InvoiceNotFound, WrongState."""
    with transaction.atomic():
        application = lock(application_no)
        _must_be(application, S.APPROVED, S.FAILED)
        application.state, application.fail_reason = S.FAILED, reason[:200]
        application.save()
    return application


def issue(
    *,
    application_no: str,
    invoice_no: str,
    issued_on: date,
    file: IO[bytes],
    name: str,
    actor: Actor,
    at: datetime | None = None,
) -> InvoiceApplication:
    """Enter an invoice that was issued: its number of 20 digits, its day, and its file (PDF or OFD, by content).

    Raises InvoiceNotFound, WrongState, AmountsChanged, InvoiceNumberInvalid, InvoiceNumberTaken, IssueDayInvalid, and
    what is wrong with a file: FileEmpty, FileTooLarge, FileTypeRefused.
    """
    application = _current(application_no)
    _must_be(application, S.APPROVED, S.FAILED)
    moment = at or now()
    _check_number(invoice_no)
    if not business_day(application.created_at) <= issued_on <= business_day(moment):
        raise IssueDayInvalid
    stored = files.store(kind=FILE, file=file, name=name, owner=actor)
    try:
        with transaction.atomic():
            application = lock(application_no)
            _must_be(application, S.APPROVED, S.FAILED)
            application.state, application.fail_reason = S.ISSUED, ""
            application.invoice_no, application.issued_on = invoice_no, issued_on
            application.issued_by, application.issued_at = str(actor)[:100], moment
            application.file = stored
            _save_number(application, invoice_no)
            _tell(application, InboxKind.INVOICE_ISSUED, title=application.title)
    except Exception:
        files.discard(stored)
        raise
    catch_up(application_no)  # a refund between the look and the lock
    log.info("invoice_issued", application_no=application_no, invoice_no=invoice_no)
    return application


def mark_red(*, application_no: str, reason: str) -> InvoiceApplication:
    """Note that an issued invoice has to be reversed, as when its title was wrong.

    Raises InvoiceNotFound, WrongState.
    """
    with transaction.atomic():
        application = lock(application_no)
        _must_be(application, S.ISSUED)
        application.state, application.red_reason = S.NEEDS_RED, reason[:200]
        application.save()
    return application


def enter_red(*, application_no: str, red_no: str, at: datetime | None = None) -> InvoiceApplication:
    """Enter the red invoice that reverses all of an issued one: its orders are free again, the row stays.

    Raises InvoiceNotFound, WrongState, InvoiceNumberInvalid, InvoiceNumberTaken.
    """
    _check_number(red_no)
    with transaction.atomic():
        application = lock(application_no)
        _must_be(application, S.NEEDS_RED)
        application.state, application.red_no, application.red_at = S.RED, red_no, at or now()
        _save_number(application, red_no)
        application.items.update(is_living=False)
    log.info("invoice_reversed", application_no=application_no, red_no=red_no)
    return application


def _tell(application: InvoiceApplication, kind: InboxKind, **words: str) -> None:
    words["amount"] = f"{application.amount:.2f}"
    inbox.post(inbox.News(application.customer_id, kind, application.application_no, words))


def _current(application_no: str) -> InvoiceApplication:
    """Return an application whose amounts are those of its orders now. Raises InvoiceNotFound, AmountsChanged."""
    if catch_up(application_no):
        raise AmountsChanged
    return InvoiceApplication.objects.get(application_no=application_no)


def _must_be(application: InvoiceApplication, *states: InvoiceState) -> None:
    if application.state not in states:
        raise WrongState(state=InvoiceState(application.state).label)


def _end(application: InvoiceApplication) -> None:
    application.save()
    application.items.update(is_living=False)


def _check_number(number: str) -> None:
    if not INVOICE_NUMBER.fullmatch(number):
        raise InvoiceNumberInvalid


def _save_number(application: InvoiceApplication, number: str) -> None:
    rows = InvoiceApplication.objects.exclude(pk=application.pk)
    own = application.invoice_no == application.red_no
    if own or rows.filter(invoice_no=number).exists() or rows.filter(red_no=number).exists():
        raise InvoiceNumberTaken(number=number)
    try:
        with transaction.atomic():
            application.save()
    except IntegrityError:
        raise InvoiceNumberTaken(number=number) from None
