"""What the pages of piles are made of: their forms, filters, and the guns on a pile's page."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import StackedInline
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
)

from apps.backoffice import scope
from apps.backoffice.dialogs import ReasonForm
from apps.common.ids import whole_number
from apps.common.schema import current_schema
from apps.piles import networks, services
from apps.piles.admin.wall import WORST_FIRST
from apps.piles.enums import ConnectorState, PileState
from apps.piles.models import Connector, Pile
from apps.sites.models import Station
from apps.tenancy.selectors import routes


class ConnectorInline(StackedInline):
    """The guns of a pile: what partners and governments ask for. Their live state is a page of its own."""

    model = Connector
    fields = [
        ("name", "parking_no", "kind"),
        ("power_kw", "current_max_a"),
        ("voltage_min_v", "voltage_max_v"),
        ("standard", "aux_power", "unique_code"),
    ]
    extra = 0
    can_delete = False
    show_change_link = True
    collapsible = True
    tab = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A pile has the guns that it was registered with."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Guns belong to their pile."""
        return bool(request.user.has_perm("piles.view_pile"))  # type: ignore[union-attr]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Guns belong to their pile."""
        return bool(request.user.has_perm("piles.change_pile"))  # type: ignore[union-attr]

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """A range of voltages has two ends."""
        kwargs["form"] = ConnectorForm
        return super().get_formset(request, obj, **kwargs)


class ConnectorForm(forms.ModelForm):
    """Master data of a gun."""

    def clean(self) -> dict[str, Any]:
        """The lowest voltage is not above the highest."""
        words: dict[str, Any] = super().clean() or self.cleaned_data
        lowest, highest = words.get("voltage_min_v"), words.get("voltage_max_v")
        if lowest and highest and lowest > highest:
            self.add_error("voltage_max_v", _("It is below the lowest voltage."))
        return words


class PileForm(forms.ModelForm):
    """Registers a pile, with its number of guns; later the code stays as it is."""

    gun_count = forms.IntegerField(
        label=_("number of guns"), min_value=1, max_value=99, initial=1, widget=UnfoldAdminIntegerFieldWidget
    )

    class Meta:
        model = Pile
        fields = ["pile_code", "name", "station", "kind", "power_kw", "brand", "model"]

    def clean_pile_code(self) -> str:
        """A code is one tenant's."""
        code: str = self.cleaned_data["pile_code"]
        owner = routes(services.ROUTE_KIND, [code]).get(code)
        if owner is not None and owner != current_schema():
            raise forms.ValidationError(_("This pile code is registered already."))
        return code


class PileChangeForm(forms.ModelForm):
    """Changes a registered pile."""

    class Meta:
        model = Pile
        fields = ["allowed_networks", "pinned_sim_no", "cipher_key"]  # beside those that the page names

    cipher_key = forms.CharField(
        label=_("cipher key"),
        max_length=200,
        required=False,
        help_text=_("Hex digits or text. It is shown to nobody. Empty: it stays as it is."),
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.pop("cipher_key", None)

    def clean(self) -> dict[str, Any]:
        """The key is written and never read: an empty field keeps it, a pile without a cipher has none."""
        words: dict[str, Any] = super().clean() or self.cleaned_data
        kept = words.get("cipher_key") or self.instance.cipher_key
        words["cipher_key"] = kept if words.get("cipher") else ""
        return words

    def clean_allowed_networks(self) -> str:
        """Networks that can be read, or none."""
        text: str = self.cleaned_data["allowed_networks"]
        try:
            networks.parse(text)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        return text

    def clean_pinned_sim_no(self) -> str:
        """An ICCID has 20 digits; some have hex digits in them."""
        number: str = self.cleaned_data["pinned_sim_no"].strip().upper()
        if number and not re.fullmatch(r"[0-9A-F]{20}", number):
            raise forms.ValidationError(_("20 digits are needed."))
        return number


class GunStateFilter(admin.SimpleListFilter):
    """Piles with a gun in a state."""

    title = _("state of a gun")
    parameter_name = "gun"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """As guns say it."""
        return [(state.value, state.label) for state in WORST_FIRST]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Pile]) -> QuerySet[Pile]:
        """At least one of them."""
        value = self.value()
        if value not in ConnectorState.values:
            return queryset
        guns = Connector.objects.filter(pile=OuterRef("pk"), status__state=value)
        return queryset.filter(Exists(guns))


class AllValuesFilter(admin.AllValuesFieldListFilter):
    """Values that are there, without a line for none."""

    def has_output(self) -> bool:
        """Only where there is a choice."""
        return len([value for value in self.lookup_choices if value]) > 1


class ClockFilter(admin.SimpleListFilter):
    """Piles whose clock is off."""

    title = _("clock")
    parameter_name = "clock"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Off by more than the limit, or by so much that there is an alarm."""
        limits = (services.CLOCK_FLAG_S, services.CLOCK_ALARM_S)
        return [(str(limit), _("off by more than %(limit)s s") % {"limit": limit}) for limit in limits]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Pile]) -> QuerySet[Pile]:
        """On either side."""
        limit = whole_number(self.value())
        if limit is None:
            return queryset
        return queryset.filter(Q(clock_offset_s__gt=limit) | Q(clock_offset_s__lt=-limit))


class PileStateForm(BaseDialogForm):
    """The state that a pile is put into."""

    state = forms.ChoiceField(
        label=_("state"),
        choices=[(state.value, state.label) for state in (PileState.IN_SERVICE, PileState.DISABLED)],
        widget=UnfoldAdminSelectWidget,
    )


class MoveForm(ReasonForm):
    """Where piles go."""

    station = forms.ModelChoiceField(
        label=_("new station"), queryset=Station.objects.none(), widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stations = scope.narrow(Station.objects.order_by("name"), self.request.user)
        self.fields["station"].queryset = stations  # type: ignore[attr-defined]
