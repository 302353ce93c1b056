"""A driver's orders where the account is deleted, or its data copied (settings.CUSTOMER_*)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from apps.customers.models import Customer
from apps.orders.enums import OrderRefundState, OrderState
from apps.orders.models import Order, OrderRefund

OVER = (OrderState.COMPLETED, OrderState.FAILED)


def reasons_to_keep(customer: Customer) -> Iterator[tuple[str, Any]]:
    """Say which orders stand against deleting an account. The wallet is locked, so none begins meanwhile."""
    if Order.objects.filter(customer=customer).exclude(state__in=OVER).exists():
        yield "charge_open", _("A charge is going on or not settled yet; wait until it has its bill.")
    if OrderRefund.objects.filter(order__customer=customer, state=OrderRefundState.APPLIED).exists():
        yield "order_refund_open", _("A refund of a charge is under review; wait for the decision.")


def data_of(customer: Customer) -> dict[str, list[dict[str, Any]]]:
    """Return the charges of a driver and what was refunded of them; yuan, kWh."""
    return {
        "orders": list(
            Order.objects.filter(customer=customer)
            .order_by("id")
            .values(
                "order_no",
                "source",
                "state",
                "station__name",
                "connector__code",
                "plate",
                "vin",
                "card_no",
                "created_at",
                "started_at",
                "ended_at",
                "energy_kwh",
                "electricity_fee",
                "service_fee",
                "enterprise_discount",
                "coupon_discount",
                "payable",
                "paid_principal",
                "paid_bonus",
                "paid_enterprise",
            )
        ),
        "order-refunds": list(
            OrderRefund.objects.filter(order__customer=customer)
            .order_by("id")
            .values("refund_no", "order__order_no", "electricity", "service", "state", "reason", "created_at")
        ),
    }


def forget_plates(customer: Customer) -> None:
    """Take the plates of cars from the orders of a customer whose account is deleted."""
    Order.objects.filter(customer=customer).exclude(plate="").update(plate="")
