"""What a station's pages show of its guns, and what can be sent to all of its piles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from apps.backoffice import pages
from apps.backoffice.sites import tenant_site
from apps.piles.admin.wall import guns_line
from apps.piles.command_pages import CARD_MENU, MENU, StationCommands
from apps.piles.enums import PileState
from apps.piles.models import ConnectorStatus
from apps.sites.admin import StationAdmin
from apps.sites.models import Station


def station_guns(stations: Sequence[Station]) -> dict[int, SafeString]:
    """Return the line of guns by state for each station, in one query."""
    rows = (
        ConnectorStatus.objects.filter(connector__pile__station__in=stations)
        .exclude(connector__pile__state=PileState.RETIRED)
        .values_list("connector__pile__station_id", "state")
    )
    states: dict[int, list[str]] = {}
    for station_id, state in rows:
        states.setdefault(station_id, []).append(state)
    return {station.pk: guns_line(states.get(station.pk, [])) for station in stations}


def station_panel(request: HttpRequest, station: Station) -> dict[str, Any]:
    """Return the guns of a station by state, and where their wall and their piles are."""
    wall = f"{reverse('admin:piles_gun_wall')}?station={station.pk}"
    piles = f"{reverse('admin:piles_pile_changelist')}?station__id__exact={station.pk}"
    return {"guns": station_guns([station])[station.pk], "wall": wall, "piles": piles}


tenant_site.unregister(Station)


@admin.register(Station, site=tenant_site)
class StationWithPilesAdmin(StationCommands, StationAdmin):
    """A station's page, with what can be sent to all of its piles."""

    actions_detail = [
        "refresh_state",
        "sync_clock",
        {**MENU, "items": [*MENU["items"], "limit_power"]},
        CARD_MENU,
        *StationAdmin.actions_detail,
    ]


pages.add_column(Station, pages.Column("guns", _("guns"), station_guns))
pages.add_panel(
    Station,
    pages.Panel(
        _("Guns now"), "backoffice/station_guns.html", station_panel, "piles.view_connector", above=True
    ),
)
