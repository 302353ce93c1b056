"""What accounts of franchisees see, and who of ours sees which franchisees."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q

from apps.accounts.enums import Scope
from apps.backoffice import scope
from apps.common.time import day_bounds
from apps.franchisees.models import Franchisee, FranchiseeStation
from apps.franchisees.selectors import holdings_of
from apps.orders.models import Order
from apps.piles.models import Alarm
from apps.piles.scopes import of_pile_codes
from apps.sites.scopes import reach_by


def _stations(person: Any) -> frozenset[int]:
    return frozenset(holdings_of(person))


def _orders(person: Any, stations: frozenset[int]) -> Q:
    """Those of the stations; a franchisee sees none from before a station was its own."""
    if not scope.is_outsider(person):
        return Q(station__in=stations)
    seen = scope.NOTHING
    for station, since in holdings_of(person).items():
        if station in stations:
            seen |= Q(station=station, created_at__gte=day_bounds(since)[0])
    return seen


def _alarms(person: Any, stations: frozenset[int]) -> Q:
    """Those of the stations' piles; a franchisee sees none that was over before a station was its own."""
    if not scope.is_outsider(person):
        return of_pile_codes(stations)
    seen = scope.NOTHING
    for station, since in holdings_of(person).items():
        if station in stations:
            goes_on = Q(closed_at=None) | Q(closed_at__gte=day_bounds(since)[0])
            seen |= of_pile_codes(frozenset({station})) & goes_on
    return seen


def _franchisees(person: Any, stations: frozenset[int]) -> Q:
    """A franchisee's pages show all its stations: they are seen by who sees each of them."""
    rows = FranchiseeStation.objects.filter(franchisee=OuterRef("pk"))
    return Q(Exists(rows)) & ~Q(Exists(rows.exclude(station__in=stations)))


reach_by(Scope.FRANCHISEE, _stations)
scope.by_rule(Order, _orders)
scope.by_rule(Alarm, _alarms)
scope.by_rule(Franchisee, _franchisees)
