"""To which station orders, records and energy differences belong."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from apps.backoffice import scope
from apps.orders.models import (
    AbnormalOrder,
    BillingPolicy,
    EnergyDay,
    EnergyDifference,
    EnterpriseCharge,
    Order,
    OrderRefund,
    TransactionRecord,
)
from apps.piles.scopes import of_pile_codes


def _records(_person: Any, stations: frozenset[int]) -> Q:
    """A record that belongs to no order yet is of the pile that sent it."""
    return Q(order__station__in=stations) | Q(order=None) & of_pile_codes(stations)


scope.by_station(Order, "station")
scope.by_station(AbnormalOrder, "station")
scope.by_station(EnterpriseCharge, "station")
scope.by_station(OrderRefund, "order__station")
scope.by_station(EnergyDay, "pile__station")
scope.by_station(EnergyDifference, "energy_day__pile__station")
scope.by_rule(TransactionRecord, _records)
scope.by_permission(BillingPolicy)
