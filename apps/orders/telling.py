"""Telling drivers what became of their charges."""

from __future__ import annotations

from collections.abc import Iterable

from apps.customers import inbox
from apps.customers.models import InboxKind
from apps.orders.enums import OrderState
from apps.orders.models import Order


def tell_settled(*, order_nos: Iterable[str]) -> int:
    """Put the bills of settled orders into their drivers' inboxes, each once. Returns how many orders those are."""
    orders = Order.objects.filter(order_no__in=list(order_nos), state=OrderState.COMPLETED)
    rows = list(
        orders.order_by("id").values_list("customer_id", "order_no", "station__name", "energy_kwh", "payable")
    )
    inbox.post(
        *(
            inbox.News(
                customer_id,
                InboxKind.CHARGE_ENDED,
                order_no,
                {"station": station, "energy": f"{energy:.4f}", "payable": f"{payable:.2f}"},
            )
            for customer_id, order_no, station, energy, payable in rows
        )
    )
    return len(rows)
