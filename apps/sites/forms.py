"""A station's form: hours that can be read, and a position in whatever coordinates it was found."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.common.geo import Datum, to_gcj02
from apps.sites import hours
from apps.sites.models import Station

GCJ02_ONLY = ("latitude", "longitude")
MOST_TAGS, LONGEST_TAG = 6, 10
_BETWEEN_TAGS = re.compile(r"[,，、;；\s]+")


class TagsField(forms.CharField):
    """Short words with commas or blanks between them, each once, in their order."""

    def prepare_value(self, value: Any) -> Any:
        """Show the words as they are typed."""
        return " ".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        """Return the words. Raises ValidationError for too many or too long ones."""
        words = list(dict.fromkeys(filter(None, _BETWEEN_TAGS.split(str(super().clean(value))))))
        if len(words) > MOST_TAGS or any(len(word) > LONGEST_TAG for word in words):
            raise forms.ValidationError(
                _("At most %(count)s tags, each of at most %(length)s characters.")
                % {"count": MOST_TAGS, "length": LONGEST_TAG}
            )
        return words

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether other words were typed."""
        return bool(super().has_changed(self.prepare_value(initial), data))


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
    tags = TagsField(
        label=_("tags for drivers"),
        required=False,
        max_length=100,
        help_text=_("for example: 超充 停车免费 24小时; drivers filter by them"),
        widget=UnfoldAdminTextInputWidget,
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
        if "list_order" in words:
            words["list_order"] = words["list_order"] or 0
        kind, fee = words.get("parking_kind"), words.get("parking_fee")
        if kind == 0 and fee:
            self.add_error(
                "parking_fee", _("Parking is free here: leave the fee empty, or choose another kind.")
            )
        return words
