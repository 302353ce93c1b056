"""An invoice is over orders of several stations: who sees all of these sees it. Titles are the drivers' own."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q

from apps.backoffice import scope
from apps.invoices.models import InvoiceApplication, InvoiceItem, InvoicePolicy


def _applications(_person: Any, stations: frozenset[int]) -> Q:
    items = InvoiceItem.objects.filter(application=OuterRef("pk"))
    return Q(Exists(items)) & ~Q(Exists(items.exclude(order__station__in=stations)))


scope.by_rule(InvoiceApplication, _applications)
scope.by_permission(InvoicePolicy)
