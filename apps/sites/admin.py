"""Stations. Piles and prices add what they know of a station to these pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget

from apps.backoffice import scope, shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.dialogs import dialog_button
from apps.backoffice.sites import tenant_site
from apps.sites import filing, hours, services
from apps.sites.enums import StationState
from apps.sites.forms import StationForm
from apps.sites.models import Station

TONES = {
    StationState.OPEN: "success",
    StationState.BUILDING: "info",
    StationState.MAINTENANCE: "warning",
    StationState.CLOSED: "neutral",
}
FIELDSETS: list[Any] = [
    (
        _("Basics"),
        {
            "classes": ["tab"],
            "fields": [
                ("station_no", "name"),
                ("state_shown", "is_published"),
                ("kind", "construction"),
                ("operation", "opened_on"),
                "opening_hours",
                ("service_phone", "station_phone"),
            ],
        },
    ),
    (
        _("Position"),
        {
            "classes": ["tab"],
            "description": _("Click on the map, drag the marker, or type coordinates."),
            "fields": [
                ("province", "city", "district"),
                ("area_code", "township_code"),
                ("address", "site_guide"),
                ("longitude", "latitude", "datum"),
                "map_shown",
            ],
        },
    ),
    (
        _("Parking"),
        {
            "classes": ["tab"],
            "fields": [
                ("parking_kind", "parking_fee"),
                ("parking_spaces", "parking_info"),
                ("orientation", "parking_note"),
                ("reduces_by_plate", "reduces_by_receipt", "reduces_by_qr"),
                ("has_barrier", "has_parking_locks"),
                ("parking_owner", "parking_manager"),
            ],
        },
    ),
    (
        _("Facilities"),
        {
            "classes": ["tab"],
            "fields": [
                ("has_toilet", "has_shop", "has_restaurant"),
                ("has_lounge", "has_rain_cover", "is_manned"),
                ("has_video", "has_printer", "takes_reservations"),
                ("takes_online", "takes_cards", "takes_cash"),
                "suits",
            ],
        },
    ),
    (
        _("Power supply"),
        {
            "classes": ["tab"],
            "fields": [
                ("grid_account_no", "capacity_kva"),
                ("rated_power_kw", "rated_voltage_v"),
                ("electricity_kind", "expansion_kind"),
                "substation_km",
            ],
        },
    ),
    (
        _("Filing"),
        {
            "classes": ["tab"],
            "description": _("What government platforms and partners ask for beside the other tabs."),
            "fields": [
                ("owner_code", "unique_code"),
                ("classification", "stake_use"),
                ("project_code", "area_m2"),
                ("subsidy_price", "remark"),
            ],
        },
    ),
    (
        _("Staff"),
        {
            "classes": ["tab"],
            "description": _("Who sees the station, of those whose scope is less than all stations."),
            "fields": [("department", "keeper")],
        },
    ),
    (
        _("For drivers"),
        {"classes": ["tab"], "fields": [("list_order", "tags"), "notice", "qr_prefix"]},
    ),
]
EXPORT = [
    (_("station number"), "station_no"),
    (_("name"), "name"),
    (_("state"), "get_state_display"),
    (_("for whom"), "get_kind_display"),
    (_("place of construction"), "get_construction_display"),
    (_("province"), "province"),
    (_("city"), "city"),
    (_("district"), "district"),
    (_("area code"), "area_code"),
    (_("address"), "address"),
    (_("longitude"), "longitude"),
    (_("latitude"), "latitude"),
    (_("opening hours"), lambda row: hours.words(row.opening_hours)),
    (_("service phone"), "service_phone"),
    (_("parking spaces"), "parking_spaces"),
    (_("parking costs"), "get_parking_kind_display"),
    (_("parking fee"), "parking_fee"),
    (_("account at the grid"), "grid_account_no"),
    (_("capacity applied for (kVA)"), "capacity_kva"),
    (_("subsidy (yuan/kWh)"), "subsidy_price"),
    (_("in operation since"), "opened_on"),
]
DOTS = 500
"""Other stations on the map of one."""


class StateForm(BaseDialogForm):
    """The state that a station is put into."""

    state = forms.ChoiceField(label=_("state"), choices=StationState, widget=UnfoldAdminSelectWidget)


class FilingFilter(admin.SimpleListFilter):
    """Stations whose papers are not complete."""

    title = _("filing")
    parameter_name = "filing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Complete, or not."""
        return [("missing", _("something is missing")), ("complete", _("complete"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Station]) -> QuerySet[Station]:
        """By what `filing` asks for."""
        value = self.value()
        if value == "missing":
            return queryset.filter(filing.incomplete())
        return queryset.exclude(filing.incomplete()) if value == "complete" else queryset


@admin.register(Station, site=tenant_site)
class StationAdmin(BackofficeAdmin):
    """Master data of a station, in tabs."""

    list_display = ["name", "station_no", "state_shown", "published_shown", "place_shown"]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        "is_published",
        ("kind", ChoicesDropdownFilter),
        "city",
        FilingFilter,
    ]
    search_fields = ["name", "station_no", "address", "grid_account_no"]
    search_help_text = _("Name, number, address or account at the grid")
    readonly_fields = ["state_shown", "map_shown"]
    actions_detail = ["change_state"]
    export = EXPORT
    form = StationForm
    fieldsets = FIELDSETS
    change_form_before_template = "backoffice/station_filing.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Station]:
        """With whom they belong to."""
        return super().get_queryset(request).select_related("department", "keeper")

    def get_fieldsets(self, request: HttpRequest, obj: Station | None = None) -> Any:
        """Who may only look types no coordinates."""
        found = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return found
        typed = ("longitude", "latitude", "datum")
        return [
            (title, {**options, "fields": [typed[:2] if row == typed else row for row in options["fields"]]})
            for title, options in found
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who sees some stations only would not see the new one."""
        return super().has_add_permission(request) and not scope.is_limited(request.user)

    def save_model(self, request: HttpRequest, obj: Station, form: Any, change: bool) -> None:
        """A new one only as far as the package allows."""
        if not change:
            services.check_room()
        super().save_model(request, obj, form, change)

    def get_readonly_fields(self, request: HttpRequest, obj: Station | None = None) -> Any:
        """Whoever could hand stations over would set their own scope."""
        fields = [*super().get_readonly_fields(request, obj)]
        may_set = request.user.has_perm("accounts.set_scope") and not scope.is_limited(request.user)  # type: ignore[union-attr]
        return fields if may_set else [*fields, "department", "keeper"]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], **options: Any
    ) -> HttpResponse:
        """The map's tiles, where a key is configured, and where the person's other stations are."""
        obj = options.get("obj")
        others = scope.narrow(Station.objects.exclude(pk=obj.pk if obj else None), request.user)
        rows = others.order_by("station_no").values_list("name", "latitude", "longitude")[:DOTS]
        context["map"] = {
            "tiles": settings.MAP_TILES_URL,
            "attribution": settings.MAP_TILES_ATTRIBUTION,
            "stations": [[name, str(latitude), str(longitude)] for name, latitude, longitude in rows],
        }
        context["hours_words"] = hours.editor_words()
        context["missing"] = filing.missing(obj) if obj else []
        return super().render_change_form(request, context, **options)

    @dialog_button(
        _("Change state"),
        url="state",
        icon="toggle_on",
        permission="state",
        text=_("Running charges go on. No new charge starts at a station that is not open."),
        form=StateForm,
    )
    def change_state(self, request: HttpRequest, form: StateForm, object_id: str) -> HttpResponse:
        """Open, close, or put under maintenance."""
        station = self.row(request, object_id)
        before = services.set_state(station=station, state=StationState(form.cleaned_data["state"]))
        self.audit(request, "state_changed", station, changes={"state": [before, station.state]})
        return self.back_to(request, station)

    def has_state_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Who may change the station."""
        return self.allowed(request, "change_station")

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Station) -> str:
        """As a label."""
        return shown.state(obj, TONES)

    @display(description=_("shown to drivers"), ordering="is_published", boolean=True)
    def published_shown(self, obj: Station) -> bool:
        """Whether drivers see it."""
        return obj.is_published

    @display(description=_("map"))
    def map_shown(self, obj: Station) -> SafeString:
        """Drawn by map-picker.js; without tiles it is a grid of degrees with the stations on it."""
        label = _("Position of the station; coordinates can also be typed above")
        return format_html(
            '<div class="bo-map" id="bo-map" role="application" aria-label="{}" data-zoom-in="{}"'
            ' data-zoom-out="{}"></div>',
            label,
            _("Zoom in"),
            _("Zoom out"),
        )

    @display(description=_("place"), ordering="city")
    def place_shown(self, obj: Station) -> str:
        """City and district."""
        return " ".join(filter(None, [obj.city, obj.district])) or shown.EMPTY


# Pages of their own, found by the admin through this module.
from apps.sites import picture_pages, staff_pages  # noqa: E402, F401
