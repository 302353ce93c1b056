"""A station's form: hours that can be read, and a position in whatever coordinates it was found."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.common.geo import Datum, to_gcj02
from apps.sites import hours
from apps.sites.models import Station

GCJ02_ONLY = ("latitude", "longitude")


class StationForm(forms.ModelForm):
    """Everything of a station but its state, which is a button."""

    datum = forms.ChoiceField(
        label=_("these coordinates are"),
        choices=Datum,
        initial=Datum.GCJ02,
        required=False,
        help_text=_("Others are turned into GCJ-02 when they are saved."),
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = Station
        fields: list[str] = []  # the page names them
        widgets = {
            "opening_hours": UnfoldAdminTextInputWidget(
                attrs={"data-opening-hours": "", "autocomplete": "off", "placeholder": hours.ALL_DAY}
            )
        }
        help_texts = {"opening_hours": hours.HELP}

    def clean(self) -> dict[str, Any]:
        """Keep GCJ-02, whatever the numbers were read from."""
        words: dict[str, Any] = super().clean() or self.cleaned_data
        datum = words.get("datum") or Datum.GCJ02
        if datum != Datum.GCJ02 and all(words.get(name) is not None for name in GCJ02_ONLY):
            words["latitude"], words["longitude"] = to_gcj02(
                words["latitude"], words["longitude"], Datum(datum)
            )
        kind, fee = words.get("parking_kind"), words.get("parking_fee")
        if kind == 0 and fee:
            self.add_error(
                "parking_fee", _("Parking is free here: leave the fee empty, or choose another kind.")
            )
        return words
