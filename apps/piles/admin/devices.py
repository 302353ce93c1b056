"""First-seen piles that were offered to this tenant: its staff approve them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.backoffice import scope, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.dialogs import dialog_button
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.piles import services
from apps.piles.enums import PileKind
from apps.piles.models import NewDevice
from apps.sites.models import Station


class ApproveForm(BaseDialogForm):
    """What has to be known of a pile that is taken over from the list of new devices."""

    station = forms.ModelChoiceField(
        label=_("station"), queryset=Station.objects.none(), widget=UnfoldAdminSelectWidget
    )
    kind = forms.ChoiceField(
        label=_("kind"), choices=PileKind, initial=PileKind.DC, widget=UnfoldAdminSelectWidget
    )
    power_kw = forms.DecimalField(
        label=_("power (kW)"),
        min_value=Decimal("0.1"),
        max_digits=8,
        decimal_places=2,
        initial=120,
        widget=UnfoldAdminTextInputWidget,
    )
    gun_count = forms.IntegerField(
        label=_("number of guns"), min_value=1, max_value=99, initial=1, widget=UnfoldAdminIntegerFieldWidget
    )
    pins_sim = forms.BooleanField(
        label=_("let it in with this SIM card only"), required=False, widget=UnfoldBooleanSwitchWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["station"].queryset = scope.narrow(Station.objects.order_by("name"), self.request.user)


@admin.register(NewDevice, site=tenant_site)
class NewDeviceAdmin(ReadOnlyAdmin):
    """Piles that dialled in and are not registered, as far as they were offered to this tenant."""

    list_display = ["key", "address", "version_shown", "sim_shown", "times", "first_shown", "last_shown"]
    search_fields = ["key__startswith"]
    search_help_text = _("Pile code")
    fields = [
        ("key", "address"),
        ("version_shown", "software_shown"),
        ("sim_shown", "times"),
        ("first_shown", "last_shown"),
    ]
    actions_detail = ["approve"]

    @dialog_button(
        _("Approve"),
        url="approve",
        icon="check",
        permission="approve",
        text=_("The pile is registered, and let in when it dials in again."),
        form=ApproveForm,
        variant=ActionVariant.PRIMARY,
    )
    def approve(self, request: HttpRequest, form: ApproveForm, object_id: str) -> HttpResponse:
        """Register it."""
        device = self.row(request, object_id)
        words = {
            name: form.cleaned_data[name] for name in ("station", "kind", "power_kw", "gun_count", "pins_sim")
        }
        try:
            pile = services.approve_device(device=device, actor=staff_actor(request), **words)
        except DomainError as error:
            messages.error(request, str(error))
            return HttpResponse(headers={"HX-Redirect": reverse("admin:piles_newdevice_changelist")})
        changes = {name: [None, str(value)] for name, value in words.items()}
        self.audit(request, "approved", pile, changes={"address": [None, device.address]} | changes)
        messages.success(request, _("The pile is registered. It is let in when it dials in again."))
        return HttpResponse(headers={"HX-Redirect": reverse("admin:piles_pile_change", args=[pile.pk])})

    def has_approve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may register piles."""
        return self.allowed(request, "add_pile")

    @display(description=_("protocol version"))
    def version_shown(self, obj: NewDevice) -> str:
        """Of its login."""
        return obj.facts.get("protocol_version") or shown.EMPTY

    @display(description=_("software version"))
    def software_shown(self, obj: NewDevice) -> str:
        """Of its login."""
        return obj.facts.get("software_version") or shown.EMPTY

    @display(description=_("SIM card"))
    def sim_shown(self, obj: NewDevice) -> str:
        """Of its login."""
        number = obj.facts.get("sim_no", "")
        return number if number.strip("0") else shown.EMPTY

    @display(description=_("first seen"), ordering="first_seen_at")
    def first_shown(self, obj: NewDevice) -> str:
        """To the second."""
        return shown.moment(obj.first_seen_at)

    @display(description=_("last seen"), ordering="last_seen_at")
    def last_shown(self, obj: NewDevice) -> str:
        """To the second."""
        return shown.moment(obj.last_seen_at)
