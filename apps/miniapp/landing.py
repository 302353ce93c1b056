"""What a phone's own camera finds behind the QR code of a gun: a plain page, until an app takes the address over."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.common.time import now
from apps.miniapp.stations import connector_code, connector_fields
from apps.piles.errors import PileNotFound
from apps.piles.selectors import connector_by_code
from apps.pricing.selectors import effective_prices


@require_safe
def gun_page(request: HttpRequest, code: str) -> HttpResponse:
    """Show a gun: where it is, whether it is free, what it costs now."""
    try:
        connector = connector_by_code(code=connector_code(code))
    except PileNotFound as error:
        return render(request, "tenancy/refused.html", {"status": 404, "message": str(error)}, status=404)
    at, station = now(), connector.pile.station
    found = effective_prices(pile_id=connector.pile_id, station_id=station.pk, at=at)
    gun = connector_fields(connector, station, found[2] if found else None, at, ())
    return render(request, "miniapp/gun.html", {"gun": gun, "station": station})
