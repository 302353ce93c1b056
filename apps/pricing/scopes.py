"""Price templates and the calendar are the company's; where prices apply, and prices of a station, belong to it."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q

from apps.backoffice import scope
from apps.pricing.models import Holiday, PriceAssignment, PricePush, PriceTask, PriceTemplate, RetailPrice


def _tasks(_person: Any, stations: frozenset[int]) -> Q:
    """A task shows all its places: it is seen by who sees each of them."""
    own = {"pricetask": OuterRef("pk")}
    of_stations = PriceTask.stations.through.objects.filter(**own)
    of_piles = PriceTask.piles.through.objects.filter(**own)
    outside = Q(Exists(of_stations.exclude(station__in=stations)))
    outside |= Q(Exists(of_piles.exclude(pile__station__in=stations)))
    return (Q(Exists(of_stations)) | Q(Exists(of_piles))) & ~outside


scope.by_permission(PriceTemplate, Holiday)
scope.by_station(PriceAssignment, "station", "pile__station")
scope.by_station(PricePush, "pile__station")
scope.by_station(RetailPrice, "station")
scope.by_rule(PriceTask, _tasks)
