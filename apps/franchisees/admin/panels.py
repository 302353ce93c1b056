"""What a station's page shows of franchisees."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.backoffice import pages, scope
from apps.common.time import business_day, now
from apps.franchisees.admin.tabs import state_of
from apps.franchisees.contract_files import SEE
from apps.franchisees.models import Franchisee
from apps.sites.models import Station


def station_panel(request: HttpRequest, station: Station) -> dict[str, Any]:
    """Return whose the station is and was, of the franchisees that the person sees."""
    today = business_day(now())
    seen = scope.narrow(Franchisee.objects.all(), request.user)
    rows = station.franchisees.filter(franchisee__in=seen).select_related("franchisee")
    return {"rows": [{"row": row, "state": state_of(row.starts_on, row.ends_on, today)} for row in rows]}


pages.add_panel(
    Station, pages.Panel(_("Franchisee"), "backoffice/station_franchisees.html", station_panel, SEE)
)
