"""What pages of lower apps show of orders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from apps.backoffice import pages, scope
from apps.common.time import now
from apps.customers.models import Customer
from apps.orders.admin.orders import STOPPABLE
from apps.orders.admin.rows import newest_lines
from apps.orders.models import Order
from apps.piles.gunwall.cards import Card, Link, add_links
from apps.piles.models import Connector

STOP = "orders.stop_order"


def newest(orders: QuerySet[Order], person: Any) -> list[dict[str, Any]]:
    """Return the newest orders as lines of a panel, as a person may see them."""
    return newest_lines(orders, person, most=10)


def gun_panel(request: HttpRequest, gun: Connector) -> dict[str, Any]:
    """Return the newest orders of a gun."""
    return {"rows": newest(scope.narrow(Order.objects.filter(connector=gun), request.user), request.user)}


def customer_panel(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    """Return the newest orders of a customer, and those of the last 30 days as a number."""
    orders = scope.narrow(Order.objects.filter(customer=customer), request.user)
    return {
        "rows": newest(orders, request.user),
        "recent": orders.filter(created_at__gte=now() - timedelta(days=30)).count(),
    }


def stop_links(cards: Sequence[Card]) -> dict[int, Link]:
    """Return the button that stops a gun's order, for guns of a wall that charge for one."""
    orders = Order.objects.filter(
        connector_id__in=[card.pk for card in cards], state__in=STOPPABLE, stop_requested_at=None
    )
    return {
        gun: Link(
            _("Stop charging"), "stop_circle", reverse("admin:orders_order_stop_charge", args=[pk]), STOP
        )
        for gun, pk in orders.values_list("connector_id", "pk")
    }


add_links(stop_links, STOP)

PANELS: Sequence[tuple[Any, Any]] = ((Connector, gun_panel), (Customer, customer_panel))
for model, context in PANELS:
    pages.add_panel(
        model, pages.Panel(_("Newest orders"), "backoffice/newest_orders.html", context, "orders.view_order")
    )
