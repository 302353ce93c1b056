"""Pages beside the overview: branches and searches of its tree, and the wall display."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views import View

from apps.backoffice import scope, shown
from apps.backoffice.sites import tenant_site
from apps.common.ids import whole_number
from apps.common.time import now
from apps.piles.models import Alarm
from apps.reports import dashboard, places, selectors
from apps.reports.places import Chosen, NoSuchPlace
from apps.sites.models import Station

WALL_STATIONS = 8
WALL_ALARMS = 6


class TreeView(View):
    """What of the tree is fetched later: the piles of one station (`?station=`), or what a search finds (`?q=`)."""

    def get(self, request: HttpRequest, site: Any) -> HttpResponse:
        """Answer a part of the page. 403 without the permission to see stations, 404 for one out of sight."""
        person: Any = request.user
        if not person.has_perm("sites.view_station"):
            raise PermissionDenied
        sees_guns = person.has_perm("piles.view_connector")
        try:
            chosen = places.choose(request.GET.get("at", ""), person)
        except NoSuchPlace:
            chosen = Chosen()
        station = request.GET.get("station", "")
        if station:
            return self._branch(request, station, chosen, sees_guns=sees_guns)
        stations, machines = places.search(request.GET.get("q", "").replace("\0", "").strip()[:50], person)
        by_station = groupby(
            sorted(machines if sees_guns else [], key=lambda one: one.pile.station_id),
            key=lambda one: one.pile.station,
        )
        limit = places.FOUND_AT_MOST
        context = {
            "chosen": chosen,
            "stations": stations,
            "groups": [{"station": station, "piles": list(found)} for station, found in by_station],
            "is_cut": len(stations) == limit or len(machines) == limit,
            "limit": limit,
        }
        return render(request, "overview/found.html", context)

    def _branch(self, request: HttpRequest, station: str, chosen: Chosen, *, sees_guns: bool) -> HttpResponse:
        if not sees_guns:
            raise PermissionDenied
        person: Any = request.user
        number = whole_number(station) or 0
        if not scope.narrow(Station.objects.filter(pk=number), person).exists():
            raise Http404
        context = {"piles": places.piles_of(number, person), "chosen": chosen}
        return render(request, "overview/piles.html", context)


class WallView(View):
    """The wall display (大屏): a page without any control, dark, that renews itself from `WallDataView`.

    It shows what the person sees who signed in there: all of it, or the place that `?at=` names.
    """

    def get(self, request: HttpRequest, site: Any) -> HttpResponse:
        """Answer the page with its first figures. 403 without the permission to see orders."""
        return render(request, "overview/wall.html", {"data": wall(request), "at": request.GET.get("at", "")})


class WallDataView(View):
    """The figures of the wall display, as JSON; the same permissions."""

    def get(self, request: HttpRequest, site: Any) -> JsonResponse:
        """Answer them as of now."""
        return JsonResponse(wall(request))


def wall(request: HttpRequest) -> dict[str, Any]:
    """Return the figures of the wall display, all as text that is shown as it is. No customer is named there."""
    person: Any = request.user
    if not person.has_perm("orders.view_order"):
        raise PermissionDenied
    try:
        chosen = places.choose(request.GET.get("at", ""), person)
    except NoSuchPlace:
        raise Http404 from None
    moment = now()
    seen = places.stations_seen(person)
    here = dashboard.here_of(chosen, seen, person)
    shown_stations = [station for station in seen if station.pk in (here.stations or ())]
    found: dict[str, Any] = {
        "at": shown.moment(moment),
        "place": chosen.title or _("All stations"),
        "tiles": dashboard.business(moment, here),
        "days": dashboard.history(moment, here)["days"]["chart"],
    }
    states = {}
    if person.has_perm("piles.view_connector"):
        states = places.guns_by_station(here.stations)
        guns = dashboard.guns(moment, here, dashboard.states_at(here, states), is_everywhere=True)
        power = selectors.power_now(place=here)
        found["tiles"] = [*found["tiles"], guns["online"]]
        found["guns"] = [
            {"label": str(one["label"]), "tone": one["tone"], "count": one["count"]}
            for one in guns["gun_states"]
        ]
        found["power"] = f"{power:.0f}"
    found["tiles"] = [
        {name: str(tile[name]) for name in ("title", "value", "unit", "change", "tone")}
        for tile in found["tiles"]
    ]
    sums = dashboard.by_station(moment, here)
    found["stations"] = [
        {
            "name": line.station.name,
            "charging": f"{line.charging}/{line.guns}" if states else "",
            "energy": f"{line.sums.energy_kwh:.1f}",
            "income": f"{line.sums.income:.2f}",
        }
        for line in selectors.station_lines(shown_stations, states, sums, limit=WALL_STATIONS)
    ]
    if person.has_perm("piles.view_alarm"):
        alarms = scope.narrow(Alarm.objects.filter(closed_at=None, is_muted=False), person)
        if not chosen.place.is_everywhere:
            alarms = alarms.filter(scope.at_stations(Alarm, person, here.stations or ()))
        found["alarms"] = [
            {
                "at": shown.minute(alarm.created_at),
                "kind": str(alarm.get_kind_display()),
                "where": f"{alarm.pile_code}{alarm.connector_no}",
            }
            for alarm in alarms[:WALL_ALARMS]
        ]
    return found


def add_pages() -> None:
    """Serve these in the tenant's back office."""
    tenant_site.add_page("overview/tree/", TreeView.as_view(), "overview_tree")
    tenant_site.add_page("display/", WallView.as_view(), "wall_display")
    tenant_site.add_page("display/data/", WallDataView.as_view(), "wall_display_data")
