"""The wall's page: a station's guns, or which station."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q
from django.http import Http404
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from django.views.generic import TemplateView
from unfold.views import UnfoldModelAdminViewMixin

from apps.backoffice import pages, scope
from apps.common.ids import whole_number
from apps.common.time import now
from apps.piles.enums import ConnectorState, PileState
from apps.piles.gunwall.cards import WORST_FIRST, buttons, cards_of, counts_of, html_of
from apps.piles.models import Connector
from apps.sites.models import Station

TONES = {
    ConnectorState.IDLE: "success",
    ConnectorState.CHARGING: "info",
    ConnectorState.PLUGGED: "warning",
    ConnectorState.FAULT: "danger",
    ConnectorState.OFFLINE: "neutral",
}


class GunWallPage(UnfoldModelAdminViewMixin, TemplateView):
    """`?station=` shows that station's guns, live; without it the stations with their guns by state."""

    permission_required = ("piles.view_connector",)
    title = _("Gun wall")
    template_name = "backoffice/gun_wall.html"

    def get_context_data(self, **words: Any) -> dict[str, Any]:
        """See the class. Raises Http404 for a station that the person does not see."""
        context = super().get_context_data(**words)
        stations = scope.narrow(Station.objects.order_by("name"), self.request.user)
        chosen = self.request.GET.get("station", "")
        if not chosen:
            return {**context, "stations": _lines(stations)}
        station = stations.filter(pk=whole_number(chosen)).first()
        if station is None:
            raise Http404
        cards = cards_of(station.pk)
        held = buttons(self.request.user)
        counts = counts_of(cards)
        return {
            **context,
            "station": station,
            "choices": list(stations.values_list("pk", "name")),
            "cards": [mark_safe(html_of(card, held)) for card in cards],  # noqa: S308 - rendered by a template
            "chips": [
                {
                    "state": state.value,
                    "label": state.label,
                    "tone": TONES[state],
                    "count": counts[state.value],
                }
                for state in WORST_FIRST
            ],
            "total": counts["all"],
            "at": now(),
        }


def _lines(stations: Any) -> list[dict[str, Any]]:
    """Return the stations with their guns by state, those with faults first. One query."""
    guns = Q(piles__connectors__isnull=False) & ~Q(piles__state=PileState.RETIRED)
    numbers = {
        f"n_{state.value}": Count(
            "piles__connectors", filter=guns & Q(piles__connectors__status__state=state.value)
        )
        for state in WORST_FIRST
    }
    lines = []
    for station in stations.annotate(**numbers):
        states = [
            {"label": state.label, "tone": TONES[state], "count": getattr(station, f"n_{state.value}")}
            for state in WORST_FIRST
        ]
        lines.append(
            {
                "pk": station.pk,
                "name": station.name,
                "faults": states[0]["count"],
                "total": sum(one["count"] for one in states),
                "states": [one for one in states if one["count"]],
            }
        )
    return sorted(lines, key=lambda line: (-line["faults"], line["name"]))


pages.add_page(Connector, pages.Page("wall/", "piles_gun_wall", GunWallPage))
