"""What waits for a person at orders."""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.backoffice import todo
from apps.backoffice.todo import Place, Todo
from apps.common.differences import DifferenceState
from apps.orders.enums import OrderRefundState, RecordState
from apps.orders.models import AbnormalOrder, EnergyDifference, OrderRefund, TransactionRecord


def _orders(place: Place) -> Q:
    return Q(connector=place.gun) if place.gun else Q(connector__pile=place.pile)


def _refunds(place: Place) -> Q:
    return Q(order__connector=place.gun) if place.gun else Q(order__connector__pile=place.pile)


def _records(place: Place) -> Q:
    found = Q(pile_code=place.pile_code)
    return found & Q(connector_no=place.connector_no) if place.gun else found


todo.add(
    Todo(
        _("Abnormal orders"),
        "orders.view_abnormalorder",
        "admin:orders_abnormalorder_changelist",
        lambda _request: AbnormalOrder.objects.all(),
        of_station="station",
        at=_orders,
    ),
    Todo(
        _("Order refunds to review"),
        "orders.view_orderrefund",
        "admin:orders_orderrefund_changelist",
        lambda _request: OrderRefund.objects.filter(state=OrderRefundState.APPLIED),
        "state__exact=applied",
        of_station="order__station",
        at=_refunds,
    ),
    Todo(
        _("Quarantined records"),
        "orders.view_transactionrecord",
        "admin:orders_transactionrecord_changelist",
        lambda _request: TransactionRecord.objects.filter(state=RecordState.QUARANTINED),
        "state__exact=quarantined",
        at=_records,
    ),
    Todo(
        _("Energy differences"),
        "orders.view_energyday",
        "admin:orders_energydifference_changelist",
        lambda _request: EnergyDifference.objects.filter(state=DifferenceState.OPEN),
        "state__exact=open",
        of_station="energy_day__pile__station",
        at=lambda place: Q(energy_day__pile=place.pile),
    ),
)
