"""What orders say to deeds of lower apps (settings.PILE_GUARDS)."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from apps.orders.enums import LIVE
from apps.orders.models import Order
from apps.piles.errors import PileInUse


def refuse_live_charges(*, connector_ids: Iterable[int]) -> None:
    """Raise PileInUse if an order occupies one of these connectors, which the caller has locked."""
    ids = list(connector_ids)
    live = Order.objects.filter(state__in=LIVE).filter(
        Q(connector_id__in=ids) | Q(legs__connector_id__in=ids)
    )
    codes = list(live.order_by("connector__code").values_list("connector__code", flat=True)[:5])
    if codes:
        raise PileInUse(piles=", ".join(codes))
