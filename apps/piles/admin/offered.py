"""The user platform's piles: what drivers are offered, and what keeps them from charging there."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from apps.backoffice import shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.sites import tenant_site
from apps.piles.admin.wall import guns_line
from apps.piles.enums import PileState
from apps.piles.models import OfferedPile
from apps.sites.models import StationState

OBSTACLES = {
    "hidden": (Q(station__is_published=False), _("station not shown to drivers"), "neutral"),
    "closed": (~Q(station__state=StationState.OPEN), _("station not open"), "warning"),
    "disabled": (~Q(state=PileState.IN_SERVICE), _("pile out of service"), "warning"),
    "offline": (Q(is_online=False), _("pile offline"), "danger"),
}
"""What keeps drivers from a pile: the first that holds is shown."""

OFFERED = pgettext_lazy("pile for drivers", "can be charged at")


def obstacle(pile: OfferedPile) -> str:
    """Return the key of what keeps drivers from a pile (its station loaded), "" for nothing."""
    if not pile.station.is_published:
        return "hidden"
    if pile.station.state != StationState.OPEN:
        return "closed"
    if pile.state != PileState.IN_SERVICE:
        return "disabled"
    return "" if pile.is_online else "offline"


class OfferFilter(admin.SimpleListFilter):
    """By what keeps drivers from a pile."""

    title = _("for drivers")
    parameter_name = "offer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Nothing, or one of the obstacles."""
        return [("yes", OFFERED), *((key, words) for key, (_rows, words, _tone) in OBSTACLES.items())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OfferedPile]) -> QuerySet[OfferedPile]:
        """As the column says it: those whose first obstacle is the chosen one."""
        value = self.value()
        if value != "yes" and value not in OBSTACLES:
            return queryset
        for key, (rows, _words, _tone) in OBSTACLES.items():
            if key == value:
                return queryset.filter(rows)
            queryset = queryset.exclude(rows)
        return queryset


@admin.register(OfferedPile, site=tenant_site)
class OfferedPileAdmin(ReadOnlyAdmin):
    """Piles with the state that drivers meet. What is wrong with the machine is on the pile's own page."""

    list_display = ["pile_code", "station", "offer_shown", "guns_shown", "kind", "power_shown"]
    list_select_related = ["station"]
    list_filter = [
        OfferFilter,
        ("station", RelatedDropdownFilter),
        ("kind", ChoicesDropdownFilter),
    ]
    search_fields = ["pile_code", "name", "station__name"]
    search_help_text = _("Pile code, name or station")
    fields = [
        ("pile_code", "station"),
        ("offer_shown", "guns_shown"),
        ("kind", "power_shown"),
        "machine_shown",
    ]
    export = [
        (_("pile code"), "pile_code"),
        (_("station"), "station.name"),
        (_("for drivers"), lambda row: OBSTACLES[key][1] if (key := obstacle(row)) else OFFERED),
        (_("kind"), "get_kind_display"),
        (_("power (kW)"), "power_kw"),
        (_("guns"), lambda row: len(row.connectors.all())),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[OfferedPile]:
        """With the live state of each gun."""
        return super().get_queryset(request).select_related("station").prefetch_related("connectors__status")

    @display(description=_("for drivers"))
    def offer_shown(self, obj: OfferedPile) -> SafeString:
        """As a label."""
        key = obstacle(obj)
        if not key:
            return shown.label(OFFERED, "success")
        _rows, words, tone = OBSTACLES[key]
        return shown.label(words, tone)

    @display(description=_("guns"))
    def guns_shown(self, obj: OfferedPile) -> SafeString:
        """Counts by state."""
        return guns_line([gun.status.state for gun in obj.connectors.all()])

    @display(description=_("power"), ordering="power_kw")
    def power_shown(self, obj: OfferedPile) -> str:
        """Rated output."""
        return f"{obj.power_kw.normalize():f} kW"

    @display(description=_("machine"))
    def machine_shown(self, obj: OfferedPile) -> SafeString:
        """Where its maintenance is."""
        return format_html('<a href="{}">{}</a>', reverse("admin:piles_pile_change", args=[obj.pk]), obj)
