"""Stations. Piles and prices add what they know of a station to these pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget

from apps.backoffice import scope, shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.dialogs import dialog_button
from apps.backoffice.sites import tenant_site
from apps.sites import services
from apps.sites.models import Station, StationState

TONES = {StationState.OPEN: "success", StationState.MAINTENANCE: "warning", StationState.CLOSED: "neutral"}


class StateForm(BaseDialogForm):
    """The state that a station is put into."""

    state = forms.ChoiceField(label=_("state"), choices=StationState, widget=UnfoldAdminSelectWidget)


@admin.register(Station, site=tenant_site)
class StationAdmin(BackofficeAdmin):
    """Master data of a station, in tabs."""

    list_display = ["name", "station_no", "state_shown", "published_shown", "place_shown"]
    list_filter = ["state", "is_published", "city"]
    search_fields = ["name", "station_no", "address"]
    readonly_fields = ["state_shown"]
    actions_detail = ["change_state"]
    export = [
        (_("station number"), "station_no"),
        (_("name"), "name"),
        (_("state"), "get_state_display"),
        (_("province"), "province"),
        (_("city"), "city"),
        (_("district"), "district"),
        (_("address"), "address"),
        (_("longitude"), "longitude"),
        (_("latitude"), "latitude"),
    ]
    fieldsets = [
        (
            _("Basics"),
            {
                "classes": ["tab"],
                "fields": [
                    ("station_no", "name"),
                    ("state_shown", "is_published"),
                    ("opening_hours", "service_phone"),
                ],
            },
        ),
        (
            _("Position"),
            {
                "classes": ["tab"],
                "description": _("Coordinates are GCJ-02, as every map in China shows them."),
                "fields": [
                    ("province", "city", "district"),
                    ("address", "area_code"),
                    ("longitude", "latitude"),
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
        (_("For drivers"), {"classes": ["tab"], "fields": ["parking_note", "notice", "qr_prefix"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Station]:
        """With whom they belong to."""
        return super().get_queryset(request).select_related("department", "keeper")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who sees some stations only would not see the new one."""
        return super().has_add_permission(request) and not scope.is_limited(request.user)

    def get_readonly_fields(self, request: HttpRequest, obj: Station | None = None) -> Any:
        """Whoever could hand stations over would set their own scope."""
        fields = [*super().get_readonly_fields(request, obj)]
        may_set = request.user.has_perm("accounts.set_scope") and not scope.is_limited(request.user)  # type: ignore[union-attr]
        return fields if may_set else [*fields, "department", "keeper"]

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

    @display(description=_("place"), ordering="city")
    def place_shown(self, obj: Station) -> str:
        """City and district."""
        return " ".join(filter(None, [obj.city, obj.district])) or shown.EMPTY


# Pages of their own, found by the admin through this module.
from apps.sites import staff_pages  # noqa: E402, F401
