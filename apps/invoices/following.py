"""Invoices follow refunds of their orders: amounts change before the invoice is issued, a red one is needed after."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from apps.backoffice import audit
from apps.common.ids import SYSTEM
from apps.common.time import now
from apps.invoices.enums import LIVING, NOT_ISSUED, InvoiceState
from apps.invoices.errors import InvoiceNotFound
from apps.invoices.models import InvoiceApplication, InvoiceItem
from apps.invoices.selectors import parts_of, with_principal
from apps.orders.enums import OrderRefundState
from apps.orders.models import Order, OrderRefund

LOOK_BACK = timedelta(days=2)
"""How far back refunds are looked for whose task was lost."""

log = structlog.get_logger(__name__)


def lock(application_no: str) -> InvoiceApplication:
    """Lock an application after its orders, as refunds do (order first). Raises InvoiceNotFound."""
    orders = InvoiceItem.objects.filter(application__application_no=application_no).values("order")
    list(Order.objects.select_for_update().filter(pk__in=orders).order_by("pk").values_list("pk"))
    application = InvoiceApplication.objects.select_for_update().filter(application_no=application_no).first()
    if application is None:
        raise InvoiceNotFound
    return application


def follow_refund(*, order_no: str) -> bool:
    """Let the living application of an order follow its refunds; return whether anything changed."""
    item = (
        InvoiceItem.objects.filter(order__order_no=order_no, is_living=True)
        .select_related("application")
        .first()
    )
    return item is not None and catch_up(item.application.application_no)


def follow_refunds() -> int:
    """Let the applications of all orders that were refunded lately follow; return how many changed."""
    refunds = OrderRefund.objects.filter(
        state=OrderRefundState.DONE, closed_at__gte=now() - LOOK_BACK, order__invoice_items__is_living=True
    )
    return sum(
        follow_refund(order_no=order_no)
        for order_no in refunds.values_list("order__order_no", flat=True).distinct()
    )


def catch_up(application_no: str) -> bool:
    """Bring an application up to the refunds of its orders; return whether anything changed.

    Before it is issued its amounts are worked out anew and it is reviewed again; with nothing left it ends. An issued
    one keeps its amounts and is marked: it needs a red invoice.
    """
    with transaction.atomic():
        application = lock(application_no)
        if application.state not in LIVING:
            return False
        items = list(application.items.all())
        orders = with_principal(Order.objects.filter(pk__in=[item.order_id for item in items]))
        by_id: dict[int, Any] = {order.pk: order for order in orders}
        stale = [item for item in items if item.refunded != refunded_of(by_id[item.order_id])]
        if not stale:
            return False
        before = application.as_json()
        for item in stale:
            order = by_id[item.order_id]
            item.refunded = refunded_of(order)
            if application.state in NOT_ISSUED:
                item.electricity, item.service = parts_of(order)
            item.save()
        if application.state in NOT_ISSUED:
            _work_out(application)
        else:
            application.state = InvoiceState.NEEDS_RED
            numbers = ", ".join(by_id[item.order_id].order_no for item in stale)
            application.red_reason = (_("refund of %(orders)s") % {"orders": numbers})[:200]
        application.save()
        after = application.as_json()
        audit.record(
            SYSTEM,
            "invoices.invoiceapplication_changed",
            application,
            changes={name: [before[name], after[name]] for name in before if before[name] != after[name]},
            reason=_("an order was refunded"),
        )
    log.info("invoice_followed_refund", application_no=application_no, state=application.state)
    return True


def refunded_of(order: Order) -> Decimal:
    """Return what of an order's fees went back, yuan."""
    return order.refunded_electricity + order.refunded_service


def _work_out(application: InvoiceApplication) -> None:
    sums = application.items.aggregate(e=Sum("electricity"), s=Sum("service"))
    application.electricity, application.service = sums["e"], sums["s"]
    if not application.amount:
        application.state = InvoiceState.CANCELLED
        application.review_reason = _("All of it was refunded.")
        application.items.update(is_living=False)
    elif application.state != InvoiceState.APPLIED:  # another person looks at the new amounts
        application.state = InvoiceState.APPLIED
        application.reviewed_by_kind = application.reviewed_by_id = application.reviewed_by = ""
        application.reviewed_at, application.review_reason, application.fail_reason = None, "", ""
