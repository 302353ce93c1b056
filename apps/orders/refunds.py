"""Refunds of orders to who paid them: asked for, decided by another person, paid at once. No network, no waiting."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import structlog
from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from apps.backoffice import approvals
from apps.common.ids import Actor, dated_number
from apps.common.money import ZERO
from apps.common.time import now
from apps.customers import inbox
from apps.customers.models import Customer, InboxKind, Payer
from apps.orders.enums import OrderRefundState, OrderState
from apps.orders.errors import (
    NotRefundable,
    OrderNotFound,
    RefundDecided,
    RefundNotFound,
    RefundOpen,
    RefundTooHigh,
)
from apps.orders.models import Order, OrderRefund
from apps.orders.moves import note
from apps.orders.signals import order_refunded
from apps.wallet.errors import AmountNotAllowed, KeyReused
from apps.wallet.payment import Share
from apps.wallet.returns import Returned, must_not_charge, return_charge, return_to_enterprise
from apps.wallet.services import lock_wallet

log = structlog.get_logger(__name__)

OPERATION = approvals.register(
    approvals.Operation("orders.refund", _("Refund a charge"), "orders.review_orderrefund")
)


def apply(
    *,
    order_no: str,
    electricity: Decimal | None,
    service: Decimal | None,
    reason: str,
    applied_by: Actor,
    request_key: str,
    customer: Customer | None = None,
    at: datetime | None = None,
) -> OrderRefund:
    """Ask for fees of a settled order back (yuan; both None: all that is left), once per order and `request_key`.

    `customer` is given where the driver asks: the order has to be their own. Raises OrderNotFound, NotRefundable,
    RefundTooHigh, RefundOpen, AmountNotAllowed, KeyReused, and ChargeRunning while the customer charges with the wallet
    that it goes back to.
    """
    for fee in (electricity, service):
        if fee is not None and (not fee.is_finite() or fee < 0 or fee != fee.quantize(Decimal("0.01"))):
            raise AmountNotAllowed(reason=str(fee))
    moment = at or now()
    with transaction.atomic():
        order = _lock(order_no)
        if customer is not None and order.customer_id != customer.pk:
            raise OrderNotFound
        found = OrderRefund.objects.filter(order=order, request_key=request_key).first()
        if found is not None:
            if electricity is not None and (found.electricity, found.service) != (
                electricity,
                service or ZERO,
            ):
                raise KeyReused
            return found
        if order.state != OrderState.COMPLETED:
            raise NotRefundable
        if electricity is None and service is None:
            electricity, service = order.refundable_electricity, order.refundable_service
        electricity, service = electricity or ZERO, service or ZERO
        _must_be_left(order, electricity, service)
        if order.payer == Payer.WALLET:
            must_not_charge(lock_wallet(customer_id=order.customer_id))
        open_one = order.refunds.filter(state=OrderRefundState.APPLIED).first()
        if open_one is not None:
            raise RefundOpen(refund_no=open_one.refund_no)
        refund = OrderRefund(
            refund_no=dated_number("F", at=at),
            order=order,
            electricity=electricity,
            service=service,
            reason=reason[:200],
            applied_by_kind=applied_by.kind,
            applied_by_id=applied_by.id,
            applied_by=str(applied_by)[:100],
            request_key=request_key,
            created_at=moment,
        )
        refund.save(force_insert=True)
        note(
            order, "refund_applied", applied_by, moment, refund_no=refund.refund_no, amount=str(refund.amount)
        )
    log.info("order_refund_applied", order_no=order_no, refund_no=refund.refund_no, amount=str(refund.amount))
    return refund


def approve(*, refund_no: str, reviewer: Actor, reason: str = "", at: datetime | None = None) -> OrderRefund:
    """Give the money back, once. What is left of the order counts now, not when it was asked for.

    Raises RefundNotFound, RefundDecided, RefundTooHigh, ChargeRunning, and approvals.SamePerson for the applicant.
    """
    moment = at or now()
    with transaction.atomic():
        order, refund = _lock_open(refund_no)
        approvals.check_reviewer(OPERATION.code, refund.applicant, reviewer, refund.amount)
        _must_be_left(order, refund.electricity, refund.service)
        returned = _return(order, refund, moment)
        refund.principal, refund.bonus, refund.debt = returned.principal, returned.bonus, returned.debt
        refund.enterprise = returned.enterprise
        order.refunded_electricity += refund.electricity
        order.refunded_service += refund.service
        order.save(update_fields=["refunded_electricity", "refunded_service", "updated_at"])
        _close(refund, OrderRefundState.DONE, reviewer, reason, moment)
        note(order, "refunded", reviewer, moment, refund_no=refund_no, amount=str(refund.amount))
        if order.payer == Payer.WALLET:  # a driver is told of money of their own
            words = {"amount": f"{refund.amount:.2f}", "order": order.order_no}
            inbox.post(inbox.News(order.customer_id, InboxKind.ORDER_REFUNDED, refund_no, words), at=moment)
        order_no = order.order_no
        transaction.on_commit(lambda: order_refunded.send_robust(sender=None, order_no=order_no))
    log.info("order_refunded", order_no=order.order_no, refund_no=refund_no, amount=str(refund.amount))
    return refund


def _return(order: Order, refund: OrderRefund, at: datetime) -> Returned:
    if order.payer == Payer.ENTERPRISE and order.enterprise_id is not None:
        return return_to_enterprise(
            enterprise_id=order.enterprise_id,
            order_no=order.order_no,
            refund_no=refund.refund_no,
            electricity=refund.electricity,
            service=refund.service,
            at=at,
        )
    done = order.refunds.filter(state=OrderRefundState.DONE).aggregate(p=Sum("principal"), b=Sum("bonus"))
    return return_charge(
        customer=order.customer,
        order_no=order.order_no,
        refund_no=refund.refund_no,
        electricity=refund.electricity,
        service=refund.service,
        paid=Share(order.paid_principal, order.paid_bonus),
        given=Share(done["p"] or ZERO, done["b"] or ZERO),
        at=at,
    )


def reject(*, refund_no: str, reviewer: Actor, reason: str, at: datetime | None = None) -> OrderRefund:
    """Say no, with a reason that the driver reads. Raises RefundNotFound, RefundDecided, approvals.SamePerson."""
    moment = at or now()
    with transaction.atomic():
        order, refund = _lock_open(refund_no)
        approvals.check_reviewer(OPERATION.code, refund.applicant, reviewer, refund.amount)
        _close(refund, OrderRefundState.REJECTED, reviewer, reason, moment)
        note(order, "refund_rejected", reviewer, moment, refund_no=refund_no, reason=reason)
    return refund


def cancel(*, refund_no: str, customer: Customer, actor: Actor, at: datetime | None = None) -> OrderRefund:
    """Withdraw a driver's own application; a second call changes nothing. Raises RefundNotFound, RefundDecided."""
    moment = at or now()
    with transaction.atomic():
        found = of_customer(customer=customer, refund_no=refund_no)
        if found.applied_by_kind != "customer":
            raise RefundNotFound
        order = _lock(found.order.order_no)
        refund = OrderRefund.objects.select_for_update().get(pk=found.pk)
        if refund.state == OrderRefundState.CANCELLED:
            return refund
        if refund.state != OrderRefundState.APPLIED:
            raise RefundDecided
        refund.state, refund.closed_at = OrderRefundState.CANCELLED, moment
        refund.save()
        note(order, "refund_cancelled", actor, moment, refund_no=refund_no)
    return refund


def of_customer(*, customer: Customer, refund_no: str) -> OrderRefund:
    """Return one refund of a customer's own orders. Raises RefundNotFound."""
    refunds = OrderRefund.objects.select_related("order").filter(order__customer=customer)
    refund = refunds.filter(refund_no=refund_no).first()
    if refund is None:
        raise RefundNotFound
    return refund


def _lock(order_no: str) -> Order:
    order = Order.objects.select_for_update(of=["self"]).select_related("customer")
    found = order.filter(order_no=order_no).first()
    if found is None:
        raise OrderNotFound
    return found


def _lock_open(refund_no: str) -> tuple[Order, OrderRefund]:
    order_no = (
        OrderRefund.objects.filter(refund_no=refund_no).values_list("order__order_no", flat=True).first()
    )
    if order_no is None:
        raise RefundNotFound
    order = _lock(order_no)
    refund = OrderRefund.objects.select_for_update().get(refund_no=refund_no)
    if refund.state != OrderRefundState.APPLIED:
        raise RefundDecided
    return order, refund


def _must_be_left(order: Order, electricity: Decimal, service: Decimal) -> None:
    left_electricity, left_service = order.refundable_electricity, order.refundable_service
    if electricity > left_electricity or service > left_service or not electricity + service:
        raise RefundTooHigh(electricity=left_electricity, service=left_service)


def _close(refund: OrderRefund, state: OrderRefundState, reviewer: Actor, reason: str, at: datetime) -> None:
    refund.state, refund.closed_at = state, at
    refund.decided_by(reviewer, reason, at)
    refund.save()
