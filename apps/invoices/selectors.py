"""Reads of invoices: the company's rule, which orders can be invoiced and with how much, a customer's applications."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import DecimalField, Exists, F, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from apps.common.time import now
from apps.customers.models import Customer
from apps.invoices.errors import InvoiceNotFound, TitleNotFound
from apps.invoices.models import InvoiceApplication, InvoiceItem, InvoicePolicy, InvoiceTitle
from apps.invoices.rules import invoiced
from apps.orders.enums import OrderRefundState, OrderState
from apps.orders.models import Order, OrderRefund
from apps.wallet.models import Debt

_MONEY = DecimalField(max_digits=14, decimal_places=2)
_NOTHING = Value(Decimal("0.00"), output_field=_MONEY)


def invoice_policy() -> InvoicePolicy:
    """Return how this company invoices."""
    return InvoicePolicy.objects.first() or InvoicePolicy()


def with_principal(orders: QuerySet[Order]) -> QuerySet[Any]:
    """Return orders with `principal`: what of each was paid from principal and has not gone back, yuan.

    A debt that was paid later counts with the principal that paid it. `is_unpaid`: some of it is still owed.
    """
    debts = Debt.objects.filter(order_no=OuterRef("order_no"))
    refunds = OrderRefund.objects.filter(order=OuterRef("pk"), state=OrderRefundState.DONE)
    later = debts.annotate(part=F("recovered") - F("recovered_bonus")).values("part")[:1]
    back = refunds.order_by().values("order").annotate(total=Sum("principal")).values("total")
    return orders.annotate(
        principal=F("paid_principal")
        + Coalesce(Subquery(later, output_field=_MONEY), _NOTHING)
        - Coalesce(Subquery(back, output_field=_MONEY), _NOTHING),
        is_unpaid=Exists(debts.filter(closed_at=None)),
    )


def invoiceable(*, customer: Customer, policy: InvoicePolicy, at: datetime | None = None) -> QuerySet[Any]:
    """Return a customer's orders that an application may name now, with `principal` (see `with_principal`)."""
    since = (at or now()) - timedelta(days=policy.days)
    orders = Order.objects.filter(
        customer=customer, state=OrderState.COMPLETED, settled_at__gte=since, payable__gt=0
    )
    taken = InvoiceItem.objects.filter(order=OuterRef("pk"), is_living=True)
    waiting = OrderRefund.objects.filter(order=OuterRef("pk"), state=OrderRefundState.APPLIED)
    return (
        with_principal(orders)
        .filter(~Exists(taken), ~Exists(waiting), is_unpaid=False, principal__gt=0)
        .select_related("station")
    )


def parts_of(order: Any) -> tuple[Decimal, Decimal]:
    """Return the electricity and service fee of an order (from `with_principal`) that an invoice may have, yuan."""
    return invoiced(order.refundable_electricity, order.refundable_service, order.principal)


def title_of(*, customer: Customer, title_id: int) -> InvoiceTitle:
    """Return a customer's own title. Raises TitleNotFound."""
    title = InvoiceTitle.objects.filter(customer=customer, pk=title_id).first()
    if title is None:
        raise TitleNotFound
    return title


def invoices_of(*, customer: Customer) -> QuerySet[InvoiceApplication]:
    """Return a customer's applications, newest first."""
    return InvoiceApplication.objects.filter(customer=customer).select_related("file").order_by("-id")


def invoice_of(*, customer: Customer, application_no: str) -> InvoiceApplication:
    """Return a customer's own application with its orders. Raises InvoiceNotFound."""
    found = (
        invoices_of(customer=customer)
        .prefetch_related("items__order__station")
        .filter(application_no=application_no)
        .first()
    )
    if found is None:
        raise InvoiceNotFound
    return found
